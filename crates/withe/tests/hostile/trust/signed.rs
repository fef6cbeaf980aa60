//! Records of somebody who can write to the lattice, on hosts that were told whom to trust.

use std::fs;

use serde_json::{Value, json};
use withe_lattice::{Expect, Lattice as _};
use withe_trust::{MemberKey, RecordPlace, Role, RootKey, is_signed, read_member, read_root};

use super::Member;
use super::support::app::Visits;
use super::support::background::Background;
use super::support::client::get;
use super::support::eventually;
use super::support::lattice::Lattice;

/// Where the keys are, in the folder of a lattice.
const KEYS: &str = "keys";

/// A lattice whose hosts act only on what is signed.
struct Signed {
    lattice: Lattice,
    root: RootKey,
    member: Member,
}

impl Signed {
    fn new() -> Self {
        let lattice = Lattice::new();
        lattice.run(&["lattice", "init", "--dir", KEYS]).printed();
        Self {
            root: read_root(&lattice.path(KEYS)).unwrap(),
            member: Member::of(&lattice),
            lattice,
        }
    }

    /// A host with a key of its own, in the zone of its name.
    fn host(&self, name: &str) -> Background {
        let grant = ["lattice", "grant", "--dir", KEYS, "--role", "host"];
        self.lattice
            .run(&[&grant[..], &["--name", name]].concat())
            .printed();
        let (zone, key) = (format!("zone={name}"), format!("{KEYS}/{name}.key"));
        let options = ["--label", &zone, "--trust", "keys/root.pub", "--key", &key];
        self.lattice.host_with(name, &options)
    }

    /// The key of the deployer.
    fn deployer(&self) -> MemberKey {
        read_member(&self.lattice.path("keys/deployer.key")).unwrap()
    }

    /// Puts the application `shop` of a component that differs by `text` from others, signed by the deployer.
    fn up(&self, text: &str) {
        let component = wat::parse_str(format!(r#"(component (@custom "n" "{text}"))"#)).unwrap();
        fs::write(self.lattice.path("c.wasm"), component).unwrap();
        fs::write(self.lattice.path("app.yaml"), manifest("shop")).unwrap();
        let up = ["up", "app.yaml", "--key", "keys/deployer.key"];
        self.lattice.run(&up).printed();
    }

    /// The entry of a key.
    fn entry(&self, key: &str) -> Option<Vec<u8>> {
        let entry = self.member.lattice.get(key);
        let entry = self.member.runtime.block_on(entry).unwrap();
        entry.map(|entry| entry.value.to_vec())
    }

    /// The digest of the component that runs of `shop`.
    fn running(&self) -> Option<String> {
        let parts = self.lattice.json(&["get", "components", "--app", "shop"]);
        Some(parts.as_array()?.first()?["digest"].as_str()?.to_owned())
    }
}

fn manifest(name: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: {name}}}\nspec:\n  components:\n    \
         - {{name: c, type: component, properties: {{image: ./c.wasm}}}}\n"
    )
}

fn place(key: &str) -> RecordPlace<'_> {
    RecordPlace {
        lattice: "default",
        key,
    }
}

/// The record of an application that nobody has put.
fn forged(name: &str) -> Vec<u8> {
    let record = json!({
        "name": name, "manifest": manifest(name), "file": "app.yaml", "folder": "/", "images": {}, "programs": {},
    });
    record.to_string().into_bytes()
}

impl Member {
    fn put_bytes(&self, key: &str, value: Vec<u8>) {
        let putting = self.lattice.put(key, value.into(), Expect::Any);
        self.runtime.block_on(putting).unwrap();
    }

    fn put_lease_bytes(&self, key: &str, value: Vec<u8>) {
        let putting = self.lattice.put_lease(key, value.into(), Expect::Any);
        self.runtime.block_on(putting).unwrap();
    }

    fn delete(&self, key: &str) {
        let deleting = self.lattice.delete(key, Expect::Any);
        self.runtime.block_on(deleting).unwrap();
    }
}

/// Waits until a host says that it ignores a record for this reason.
fn ignores(host: &mut Background, record: &str, why: &str) {
    let line = host.says(why);
    assert!(line.contains(record), "no {record:?} in {line}");
}

#[test]
fn only_what_a_deployer_has_signed_runs_and_ends() {
    let signed = Signed::new();
    let (lattice, member) = (&signed.lattice, &signed.member);
    let mut host = signed.host("a");
    let mut events = lattice.start(lattice.command(&["events", "--json"]), "events");
    events.says("following");
    signed.up("1");
    let older = signed.entry("apps.shop").unwrap();
    let first = signed.running().expect("it runs");
    signed.up("2");
    let second = signed.running().expect("it runs");
    assert_ne!(first, second);

    let key = "apps.shop";
    let seal = |role, expires, key: &str| {
        let by = signed.root.certify(role, "eve", expires).unwrap();
        by.seal(place(key), u64::MAX, &forged("shop"))
    };
    let stranger = RootKey::generate().unwrap();
    let stranger = stranger.certify(Role::Deployer, "mallory", None).unwrap();
    for (value, why) in [
        (forged("shop"), "it is not signed"),
        (
            seal(Role::Viewer, None, key),
            "by the viewer `eve`, and a deployer may put it",
        ),
        (
            seal(Role::Host, None, key),
            "by the host `eve`, and a deployer may put it",
        ),
        (
            seal(Role::Deployer, Some(1), key),
            "`eve`, whose key has expired",
        ),
        (
            stranger.seal(place(key), u64::MAX, &forged("shop")),
            "`mallory`, whose key this lattice's key has not certified",
        ),
        // Another application's, under this one's name.
        (
            seal(Role::Deployer, None, "apps.other"),
            "`eve` has signed, or not where",
        ),
        (older, "it is older than what was there before"),
    ] {
        member.put_bytes(key, value);
        ignores(&mut host, key, why);
        let event = events.says(why);
        assert!(
            event.contains(r#""event":"untrusted""#) && event.contains(key),
            "{event}"
        );
        assert_eq!(signed.running().as_ref(), Some(&second), "{why}");
    }
    member.put_bytes("apps.evil", forged("evil"));
    ignores(&mut host, "apps.evil", "record=\"apps.evil\"");
    member.delete(key);
    ignores(&mut host, key, "nobody who may has removed it");
    assert_eq!(signed.running(), Some(second));

    // The deployer puts it again, and takes it away.
    signed.up("1");
    assert_eq!(signed.running(), Some(first));
    let evil = lattice.json(&["get", "components", "--app", "evil"]);
    assert_eq!(evil, json!([]));
    lattice
        .run(&["down", "shop", "--key", "keys/deployer.key"])
        .printed();
    eventually("the application ends", || {
        signed.running().is_none().then_some(())
    });
    // A deployer that forgets to sign is warned.
    let warned = [
        "no application `shop`",
        "warning: hosts of this lattice ignore",
        "--key",
    ];
    lattice.run(&["down", "shop"]).failed(&warned);
    assert_eq!(host.leave(), Some(0));
}

#[test]
fn commands_sign_with_keys_of_deployers_only_and_nothing_of_others() {
    let signed = Signed::new();
    let lattice = &signed.lattice;
    let mut host = signed.host("a");
    let grant = [
        "lattice", "grant", "--dir", KEYS, "--role", "viewer", "--name", "eve",
    ];
    lattice.run(&grant).printed();
    signed.up("1");
    let up = ["up", "app.yaml", "--key"];
    lattice
        .run(&[&up[..], &["keys/eve.key"]].concat())
        .failed(&["keys/eve.key", "the viewer `eve`"]);
    // A key of a host is none of a deployer, and one that others can read is nobody's.
    lattice
        .run(&["down", "shop", "--key", "keys/a.key"])
        .failed(&["the host `a`"]);
    lattice
        .run(&[
            "host",
            "--trust",
            "keys/root.pub",
            "--key",
            "keys/deployer.key",
        ])
        .failed(&["the deployer `deployer`"]);
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(lattice.path("keys/eve.key"), readable).unwrap();
    lattice
        .run(&[&up[..], &["keys/eve.key"]].concat())
        .failed(&["others may read", "chmod"]);
    // A change of a record signs all of it.
    signed.member.put_bytes("apps.shop", forged("shop"));
    let put = [
        "link",
        "put",
        "shop",
        "c",
        "c",
        "--key",
        "keys/deployer.key",
    ];
    let refused = lattice.run(&put);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert_eq!(signed.entry("apps.shop"), Some(forged("shop")));
    assert_eq!(host.leave(), Some(0));
}

#[test]
fn where_applications_run_is_decided_by_hosts_only() {
    let signed = Signed::new();
    let mut host = signed.host("a");
    signed.up("1");
    let running = signed.running();
    let key = "deployments.shop";
    let decided = signed.entry(key).unwrap();
    let nowhere = json!({"number": 1, "revision": u64::MAX, "hosts": {}}).to_string();
    let by_deployer = signed
        .deployer()
        .seal(place(key), u64::MAX, nowhere.as_bytes());
    for (value, why) in [
        (nowhere.clone().into_bytes(), "it is not signed"),
        (
            by_deployer,
            "by the deployer `deployer`, and a host may put it",
        ),
    ] {
        signed.member.put_bytes(key, value.clone());
        ignores(&mut host, key, why);
        eventually("the host puts right what is there", || {
            signed
                .entry(key)
                .filter(|now| is_signed(now) && *now != value)
        });
        assert_eq!(signed.running(), running);
    }
    // So it does with what was there before, and where nothing is.
    signed.member.put_bytes(key, decided);
    ignores(&mut host, key, "it is older than what was there before");
    signed.member.delete(key);
    ignores(&mut host, key, "nobody who may has removed it");
    eventually("the host puts right what is not there", || {
        signed.entry(key)
    });
    assert_eq!(signed.running(), running);
    assert_eq!(host.leave(), Some(0));
}

#[test]
fn a_forged_lease_diverts_no_calls() {
    let signed = Signed::new();
    let (lattice, member) = (&signed.lattice, &signed.member);
    let [mut a, mut b] = ["a", "b"].map(|name| signed.host(name));
    let mut app = Visits::anywhere(&lattice.redis.url());
    (app.http, app.front, app.store, app.visits) = (&["a"], &["a"], &["a"], &["b"]);
    lattice
        .try_up(&app, &["--key", "keys/deployer.key"])
        .printed();
    let address = lattice.address();
    let answers = || assert_eq!(get(&address, "/").unwrap().status, 200);
    answers();

    // Calls that arrive there get no answer.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = json!({"addresses": [nobody.local_addr().unwrap().to_string()]});
    let hosts = lattice.json(&["get", "hosts"]);
    let of = |name: &str| -> Value {
        let all = hosts.as_array().unwrap().iter();
        all.into_iter()
            .find(|host| host["name"] == name)
            .unwrap()
            .clone()
    };
    let mut diverted = of("b");
    diverted["tcp"] = elsewhere.clone();
    diverted["fingerprint"] = "00".repeat(32).into();
    let own = format!("hosts.{}", diverted["id"].as_str().unwrap());
    let by = |role, name: &str, key: &str, record: &Value| {
        let by = signed.root.certify(role, name, None).unwrap();
        by.seal(place(key), u64::MAX, record.to_string().as_bytes())
    };
    for (value, why) in [
        (diverted.to_string().into_bytes(), "it is not signed"),
        (
            by(Role::Viewer, "eve", &own, &diverted),
            "by the viewer `eve`, and a host may put it",
        ),
        // Not even another host may.
        (
            by(Role::Host, "c", &own, &diverted),
            "signed by the host `c`, and an earlier one by another host",
        ),
    ] {
        member.put_lease_bytes(&own, value);
        ignores(&mut a, &own, why);
        answers();
    }
    // A host that does not exist, and has all that there is.
    let mut ghost = of("b");
    ghost["id"] = "ghost".into();
    ghost["name"] = "ghost".into();
    ghost["tcp"] = elsewhere;
    let (key, text) = ("hosts.ghost", ghost.to_string().into_bytes());
    member.put_lease_bytes(key, text);
    ignores(&mut a, key, "record=\"hosts.ghost\"");
    // A host that has a key, under an id that is not its own certificate's.
    member.put_lease_bytes(key, by(Role::Host, "c", key, &ghost));
    ignores(&mut a, key, "it says of itself that it is another host's");
    for _ in 0..20 {
        answers();
    }
    assert_eq!(lattice.hosts_of("visits"), ["b", "ghost"]);
    for host in [&mut a, &mut b] {
        assert_eq!(host.leave(), Some(0));
    }
}
