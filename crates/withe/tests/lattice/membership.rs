//! Tests the members of a lattice, and what it takes from whom.

use withe_lattice::nats::Options;
use withe_lattice::{Expect, Lattice as _, Nats};
use withe_node::records::{DEPLOYMENTS, Deployment, key};
use withe_testing::nats::NatsServer;

use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::load::{Load, visit};

#[test]
fn lattices_of_different_names_on_one_server_do_not_see_each_other() {
    let lattice = Lattice::new();
    let _hosts = lattice.hosts(["a", "b", "c"]);
    let other = |command: &[&str]| {
        let name = ["--lattice-name", "other"];
        lattice.run(&[command, &name].concat())
    };
    let _other = lattice.host_with("other", &["--lattice-name", "other", "--label", "zone=a"]);
    let address = lattice.up(&lattice.visits());
    assert_eq!(visit(&address, "/"), Ok(1));

    assert_eq!(
        lattice.json(&["get", "hosts"]).as_array().map(Vec::len),
        Some(3)
    );
    let hosts = other(&["get", "hosts"]);
    assert_eq!(hosts.printed().lines().count(), 2, "{hosts:?}");
    assert!(!other(&["get", "apps"]).printed().contains("visits"));
    other(&["down", "visits"]).failed(&["`visits`"]);
    other(&["ping", "front/visits"]).failed(&["front"]);
    assert_eq!(visit(&address, "/"), Ok(2));
}

#[test]
fn an_older_deployment_is_not_followed_and_numbers_only_grow() {
    let lattice = Lattice::new();
    let _hosts = lattice.hosts(["a", "b", "c"]);
    let address = lattice.up(&lattice.visits());
    let mut other = lattice.visits();
    other.greeting = "Another".into();
    lattice.up(&other);
    let load = Load::start(&address, "/older");
    load.goes_on(50);
    let (_, before) = lattice.status();

    // As a controller would have written it that has slept since.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = Options::new(lattice.nats.url(), "default".to_owned());
        let nats = Nats::connect(options).await.unwrap();
        let key = key(DEPLOYMENTS, "visits");
        let entry = nats.get(&key).await.unwrap().unwrap();
        let mut deployment: Deployment = serde_json::from_slice(&entry.value).unwrap();
        assert_eq!(deployment.number, before);
        deployment.number -= 1;
        for hosts in deployment.hosts.values_mut() {
            hosts.clear();
        }
        let value = serde_json::to_vec(&deployment).unwrap().into();
        nats.put(&key, value, Expect::Any).await.unwrap();
    });

    // The controller puts that right, by a number that is greater than all before.
    eventually("there is a newer deployment", || {
        (lattice.status().1 > before).then_some(())
    });
    lattice.runs();
    load.goes_on(50);
    let answers = load.stop();
    answers.none_failed();
    answers.add_up(&lattice, &["visits"]);

    let (_, before) = lattice.status();
    lattice.run(&["down", "visits"]).printed();
    let address = lattice.up(&other);
    let (_, after) = lattice.status();
    assert!(after > before, "{after} after {before}");
    visit(&address, "/").unwrap();
}

#[test]
fn a_password_is_needed_and_never_shown() {
    const PASSWORD: &str = "s3cret-and-not-to-be-seen";
    let nats = NatsServer::start_with(&format!(
        "authorization {{ user: withe, password: {PASSWORD:?} }}\n"
    ))
    .unwrap();
    let mut lattice = Lattice::on(nats);
    let refused = lattice.run(&["get", "hosts"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    lattice.set("WITHE_NATS_USER", "withe");
    lattice.set("WITHE_NATS_PASSWORD", "wrong");
    let wrong = lattice.run(&["get", "hosts"]);
    assert_ne!(wrong.code, Some(0), "{wrong:?}");
    lattice.set("WITHE_NATS_PASSWORD", PASSWORD);

    let mut host = lattice.host_with("a", &["-vv"]);
    let up = lattice.path("app.yaml");
    let mut app = lattice.visits();
    (app.http, app.front, app.visits, app.store) = (&[], &[], &[], &[]);
    std::fs::write(&up, app.manifest()).unwrap();
    let mut said = String::new();
    for command in [
        &["up", "app.yaml", "-vv"][..],
        &["get", "hosts", "-vv", "--json"],
        &["get", "apps", "-vv"],
        &["link", "list", "visits", "-vv"],
        &["down", "visits", "-vv"],
    ] {
        let ended = lattice.run(command);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        said += &ended.stdout;
        said += &ended.stderr;
    }
    // A server that goes away and comes back is told it again.
    lattice.nats.restart().unwrap();
    eventually("the host is back", || {
        let hosts = lattice.run(&["get", "hosts", "-vv"]);
        said += &hosts.stderr;
        hosts.stdout.contains("127.0.0.1").then_some(())
    });
    assert_eq!(host.leave(), Some(0));
    said += &host.log();
    assert!(said.contains("async_nats"), "there is a log: {said}");
    for line in said.lines() {
        assert!(!line.contains(PASSWORD), "{line}");
    }
}
