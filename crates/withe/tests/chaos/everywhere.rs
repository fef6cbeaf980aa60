//! A lattice on which every host may run every part, so that any of them may be lost.

use std::time::{Duration, Instant};
use std::{fs, thread};

use withe_lattice::nats::Options;
use withe_lattice::{Lattice as _, Nats};

use crate::support::app::{Visits, component};
use crate::support::background::Background;
use crate::support::client::get;
use crate::support::eventually;
use crate::support::lattice::Lattice;

/// The label of all hosts.
const ZONE: &[&str] = &["everywhere"];

/// A lattice, its hosts, and a member that sees what is kept there.
pub(crate) struct Everywhere {
    pub(crate) hosts: Vec<Background>,
    pub(crate) lattice: Lattice,
    runtime: tokio::runtime::Runtime,
    member: Nats,
}

impl Everywhere {
    /// One with hosts of these names.
    pub(crate) fn new(names: &[&str]) -> Self {
        let lattice = Lattice::new();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let options = Options::new(lattice.nats.url(), "default");
        let member = runtime.block_on(Nats::connect(options)).unwrap();
        let mut all = Self {
            hosts: Vec::new(),
            lattice,
            runtime,
            member,
        };
        for name in names {
            all.add(name);
        }
        all
    }

    /// One more host.
    pub(crate) fn add(&mut self, name: &str) {
        let label = format!("zone={}", ZONE[0]);
        let host = self.lattice.host_with(name, &["--label", &label]);
        self.hosts.push(host);
    }

    /// The application: `front` and `visits` on all hosts, the providers on one each. The version is its greeting, and
    /// other bytes of its counter.
    pub(crate) fn app(&self, version: &str) -> Visits {
        let mut app = self.lattice.visits();
        (app.http, app.front, app.visits, app.store) = (ZONE, ZONE, ZONE, ZONE);
        app.greeting = format!("Version {version}");
        app.counter = self.lattice.path(&format!("counter-{version}.wasm"));
        let mut bytes = fs::read(component("visits")).unwrap();
        // A custom section: its name has one byte, and the version is what it holds.
        let length = u8::try_from(version.len() + 2).unwrap();
        bytes.extend([0, length, 1, b'v']);
        bytes.extend(version.as_bytes());
        fs::write(&app.counter, bytes).unwrap();
        app
    }

    /// Begins to put an application.
    pub(crate) fn begin_up(&self, app: &Visits) -> Background {
        fs::write(self.lattice.path("app.yaml"), app.manifest()).unwrap();
        let command = self.lattice.command(&["up", "app.yaml"]);
        self.lattice.start(command, "up")
    }

    /// Waits until the application answers with this version, and all that runs is of that; how long that took.
    pub(crate) fn answers(&self, app: &Visits) -> Duration {
        let began = Instant::now();
        eventually(&format!("{:?} answers", app.greeting), || {
            let apps = self.lattice.json(&["get", "apps"]);
            let endpoints = apps[0]["endpoints"].as_array()?;
            let (status, [endpoint]) = (&apps[0]["status"], endpoints.as_slice()) else {
                return None;
            };
            let address = endpoint.as_str()?.trim_start_matches("http://");
            let page = get(address.trim_end_matches('/'), "/").ok()?;
            let is_new = page.status == 200 && page.text().contains(&app.greeting);
            (is_new && status == "runs" && self.all_run_the_same()).then_some(())
        });
        began.elapsed()
    }

    /// Whether each host that there is runs the same counter.
    fn all_run_the_same(&self) -> bool {
        let parts = self.lattice.json(&["get", "components"]);
        let parts = parts.as_array().unwrap().iter();
        let counters = parts.filter(|part| part["name"] == "visits");
        let digests: Vec<_> = counters.map(|part| part["digest"].to_string()).collect();
        digests.len() == self.hosts.len() && digests.iter().all(|digest| *digest == digests[0])
    }

    /// The greeting of what is desired.
    pub(crate) fn desired(&self) -> String {
        let entry = self.runtime.block_on(self.member.get("apps.visits"));
        let entry = entry.unwrap().expect("it was put");
        let record = String::from_utf8(entry.value.to_vec()).unwrap();
        let (_, greeting) = record.split_once("Version ").unwrap();
        let end = greeting.find(|c: char| !c.is_alphanumeric()).unwrap();
        format!("Version {}", &greeting[..end])
    }

    /// The revision of what is desired; 0 if nothing is.
    pub(crate) fn revision(&self) -> u64 {
        self.revision_of("apps.visits")
    }

    /// The revision of the entry of the deployment; 0 if there is none.
    pub(crate) fn decided(&self) -> u64 {
        self.revision_of("deployments.visits")
    }

    fn revision_of(&self, key: &str) -> u64 {
        let entry = self.runtime.block_on(self.member.get(key)).unwrap();
        entry.map_or(0, |entry| entry.revision)
    }

    /// The number of the deployment.
    pub(crate) fn number(&self) -> u64 {
        let entry = self.runtime.block_on(self.member.get("deployments.visits"));
        let entry = entry.unwrap().expect("it was decided");
        let deployment: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
        deployment["number"].as_u64().unwrap()
    }

    /// The id of the host that decides where parts run, once there is one.
    pub(crate) fn controller(&self) -> String {
        eventually("a host decides where parts run", || {
            let leases = self.runtime.block_on(self.member.leases("controller"));
            let lease = leases.unwrap().into_iter().next()?;
            Some(String::from_utf8(lease.value.to_vec()).unwrap())
        })
    }

    /// Which of the hosts has this id.
    pub(crate) fn place_of(&self, id: &str) -> usize {
        let hosts = self.lattice.json(&["get", "hosts"]);
        let hosts = hosts.as_array().unwrap().iter();
        let named = hosts.clone().find(|host| host["id"] == id);
        let name = named.unwrap_or_else(|| panic!("`{id}` is none of {hosts:?}"))["name"].clone();
        let place = self.hosts.iter().position(|host| name == host.name());
        place.unwrap()
    }

    /// Kills the host at this place, as a crash or the loss of its machine does; returns its name.
    pub(crate) fn kill(&mut self, place: usize) -> String {
        let mut host = self.hosts.swap_remove(place);
        host.kill();
        host.name().to_owned()
    }
}

/// Waits until `is_so`, and then a little more.
pub(crate) fn after(what: &str, more: u64, is_so: impl Fn() -> bool) {
    eventually(what, || is_so().then_some(()));
    thread::sleep(Duration::from_millis(more));
}
