//! A lattice of its own for a test: a NATS server, a Redis server, and hosts.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde_json::Value;
use withe_testing::nats::NatsServer;
use withe_testing::redis::RedisServer;

use super::app::Visits;
use super::background::Background;
use super::process::{Ended, run};
use super::{eventually, redis};

/// The servers, and a folder for manifests and logs. All end with it; hosts are the tests' own.
pub(crate) struct Lattice {
    pub(crate) nats: NatsServer,
    pub(crate) redis: RedisServer,
    folder: tempfile::TempDir,
    /// Options of every command.
    variables: Vec<(&'static str, String)>,
}

impl Lattice {
    pub(crate) fn new() -> Self {
        Self::on(NatsServer::start().unwrap())
    }

    pub(crate) fn on(nats: NatsServer) -> Self {
        Self {
            // Hosts of one machine stand for several.
            variables: vec![
                ("WITHE_LATTICE", nats.url()),
                ("WITHE_NO_UNIX", "true".into()),
            ],
            nats,
            redis: RedisServer::start().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Sets a variable for all commands and hosts from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.variables.push((name, value.into()));
    }

    /// A host in the zone of its name.
    pub(crate) fn host(&self, name: &str) -> Background {
        self.host_with(name, &["--label", &format!("zone={name}")])
    }

    pub(crate) fn hosts<const N: usize>(&self, names: [&str; N]) -> [Background; N] {
        names.map(|name| self.host(name))
    }

    pub(crate) fn host_with(&self, name: &str, options: &[&str]) -> Background {
        let command = self.command(
            &[
                &["host", "--name", name, "--listen", "127.0.0.1:0"],
                options,
            ]
            .concat(),
        );
        self.start_host(command, name)
    }

    /// Starts a host, and waits until it has joined its lattice.
    pub(crate) fn start_host(&self, command: Command, name: &str) -> Background {
        let mut host = self.start(command, name);
        host.says(" is on the lattice ");
        host
    }

    /// Starts a command that goes on.
    pub(crate) fn start(&self, command: Command, name: &str) -> Background {
        let mut n = 0;
        // One that comes back does not write over what it said before.
        let log = loop {
            let log = self.path(&format!("{name}-{n}.log"));
            if !log.exists() {
                break log;
            }
            n += 1;
        };
        Background::start(command, name, log)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_withe"));
        self.prepare(&mut command);
        command.args(args);
        command
    }

    /// Gives a command the variables and the folder of the lattice.
    pub(crate) fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // One for all tests, which share components: most find theirs compiled.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        command.env("WITHE_CACHE_DIR", cache);
        command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
        command.env("TMPDIR", self.folder.path());
        for variable in [
            "WITHE_LOG",
            "NO_COLOR",
            "CLICOLOR_FORCE",
            "XDG_RUNTIME_DIR",
            "WITHE_LATTICE_NAME",
        ] {
            command.env_remove(variable);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        run(self.command(args))
    }

    /// The JSON that a successful command prints.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ended = self.run(&[args, &["--json"]].concat());
        serde_json::from_str(ended.printed()).unwrap()
    }

    /// An application on its Redis server.
    pub(crate) fn visits(&self) -> Visits {
        Visits::spread(&self.redis.url())
    }

    /// Puts an application, without waiting for it.
    pub(crate) fn try_up(&self, app: &Visits, options: &[&str]) -> Ended {
        fs::write(self.path("app.yaml"), app.manifest()).unwrap();
        self.run(&[&["up", "app.yaml"], options].concat())
    }

    /// Has it run; where it is reached, as `HOST:PORT`.
    pub(crate) fn up(&self, app: &Visits) -> String {
        self.try_up(app, &[]).printed();
        self.address()
    }

    /// Where the application is reached, once it is.
    pub(crate) fn address(&self) -> String {
        eventually("the application is reached", || {
            let apps = self.json(&["get", "apps"]);
            let url = apps[0]["endpoints"][0].as_str()?;
            Some(
                url.trim_start_matches("http://")
                    .trim_end_matches('/')
                    .to_owned(),
            )
        })
    }

    /// The application's status, and the number of its deployment.
    pub(crate) fn status(&self) -> (String, u64) {
        let app = &self.json(&["get", "apps"])[0];
        let text = app["status"].as_str().unwrap_or_default();
        (text.to_owned(), app["number"].as_u64().unwrap_or_default())
    }

    /// Waits until all of the application runs.
    pub(crate) fn runs(&self) {
        eventually("all of the application runs", || {
            (self.status().0 == "runs").then_some(())
        });
    }

    /// The names of the hosts that run a component or provider of the application.
    pub(crate) fn hosts_of(&self, part: &str) -> Vec<String> {
        let mut hosts = Vec::new();
        for kind in ["components", "providers"] {
            let parts = self.json(&["get", kind]);
            let parts = parts.as_array().unwrap().iter();
            let named = parts.filter(|p| p["name"] == part);
            hosts.extend(named.map(|p| p["host"].as_str().unwrap().to_owned()));
        }
        hosts.sort();
        hosts
    }

    /// Waits until exactly these hosts run a part.
    pub(crate) fn runs_on(&self, part: &str, hosts: &[&str]) {
        let mut seen = Vec::new();
        let what = format!("`{part}` runs on {hosts:?}");
        eventually(&what, || {
            seen = self.hosts_of(part);
            (seen == hosts).then_some(())
        });
    }

    /// How often the store has counted a path in a bucket.
    pub(crate) fn counted(&self, bucket: &str, path: &str) -> u64 {
        redis::number(
            self.redis.port(),
            &format!("withe:bucket:{bucket}:count:{path}"),
        )
    }
}
