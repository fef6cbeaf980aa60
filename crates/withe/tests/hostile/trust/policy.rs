//! Applications that ask a host for more than its operator accepts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::problem;
use super::support::eventually;
use super::support::lattice::Lattice;
use super::support::process::Ended;

/// An application of a component `c` with these properties, and these parts besides.
fn manifest(name: &str, properties: &str, parts: &str) -> String {
    format!(
        "\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: {name}}}
spec:
  components:
    - {{name: c, type: component, properties: {{image: ./c.wasm, {properties}}}}}
{parts}"
    )
}

/// A lattice in whose folder is a component that differs by `text` from others.
fn component(lattice: &Lattice, text: &str) {
    let component = format!(r#"(component (@custom "n" "{text}"))"#);
    fs::write(lattice.path("c.wasm"), wat::parse_str(component).unwrap()).unwrap();
}

fn up(lattice: &Lattice, manifest: &str) -> Ended {
    fs::write(lattice.path("app.yaml"), manifest).unwrap();
    lattice.run(&["up", "app.yaml"])
}

/// The digest of the component `c` of an application that runs, if one does.
fn running(lattice: &Lattice, application: &str) -> Option<String> {
    let parts = lattice.json(&["get", "components", "--app", application]);
    let part = parts.as_array()?.first()?;
    Some(part["digest"].as_str()?.to_owned())
}

fn grant(directory: &Path, rest: &str) -> String {
    format!("grants: {{directories: [{{host: {directory:?}, guest: /d{rest}}}]}}")
}

#[test]
fn without_a_policy_the_lattice_gets_neither_disk_nor_network_of_a_host() {
    let lattice = Lattice::new();
    component(&lattice, "1");
    let mut host = lattice.host("a");
    let mut events = lattice.start(lattice.command(&["events", "--json"]), "events");
    let greedy = manifest(
        "greedy",
        "grants: {directories: [{host: /etc, guest: /etc, read_only: true}], network: true}",
        "    - name: kv\n      type: capability\n      properties:\n        image: withe:keyvalue\n        \
         config: [{name: file, properties: {path: /var/tmp/withe-taken.redb}}]\n",
    );
    let all = [
        "`c` may not read the directory `/etc` (`grants.directories`, the default policy)",
        "`c` may not use the network (`grants.network`, the default policy)",
        "`kv` may not use the file `/var/tmp/withe-taken.redb`",
        "--policy FILE",
    ];
    let refused = up(&lattice, &greedy);
    refused.failed(&["on host `a`"]);
    refused.failed(&all);
    let problem = problem(&lattice, "greedy");
    let event = events.says("may not use the network");
    for text in all {
        assert!(problem.contains(text), "no {text:?} in {problem}");
        assert!(event.contains(text), "no {text:?} in {event}");
    }
    assert!(!Path::new("/var/tmp/withe-taken.redb").exists());
    assert_eq!(running(&lattice, "greedy"), None);
    // The host goes on with what asks for nothing.
    let modest = manifest("modest", "grants: {env: {A: b}}", "");
    up(&lattice, &modest).printed();
    assert!(running(&lattice, "modest").is_some());
    assert_eq!(host.leave(), Some(0));
}

#[test]
fn a_host_runs_what_its_policy_accepts_and_keeps_it_when_more_is_asked_for() {
    let lattice = Lattice::new();
    let (data, secret) = (lattice.path("data"), lattice.path("secret"));
    for folder in [&data, &secret] {
        fs::create_dir(folder).unwrap();
    }
    symlink(&secret, data.join("way-out")).unwrap();
    let policy = format!(
        "applications: [\"shop-*\"]\ngrants:\n  directories:\n    - host: {data:?}\nlimits:\n  memory: 32MiB\n"
    );
    fs::write(lattice.path("policy.yaml"), policy).unwrap();
    let mut host = lattice.host_with("a", &["--policy", "policy.yaml"]);

    component(&lattice, "1");
    up(
        &lattice,
        &manifest("shop-1", &grant(&data, ", read_only: true"), ""),
    )
    .printed();
    let first = running(&lattice, "shop-1").expect("it runs");

    component(&lattice, "2");
    for (properties, refusals) in [
        (
            format!("limits: {{memory: 33MiB}}, {}", grant(&data, "")),
            [
                "may not write to the directory",
                "`grants.directories`, policy.yaml:4",
                "asks for 33 MiB of memory, and 32 MiB is the most (`limits.memory`, policy.yaml:6)",
            ],
        ),
        (
            grant(&data.join("way-out"), ", read_only: true"),
            ["may not read the directory", "secret`", "policy.yaml:3"],
        ),
        (
            grant(&data.join("../secret"), ", read_only: true"),
            ["may not read the directory", "secret`", "policy.yaml:3"],
        ),
    ] {
        let refused = up(&lattice, &manifest("shop-1", &properties, ""));
        refused.failed(&["on host `a`"]);
        refused.failed(&refusals);
        assert_eq!(running(&lattice, "shop-1").as_ref(), Some(&first));
    }
    up(&lattice, &manifest("other", "", "")).failed(&[
        "applications named `other` are not accepted",
        "`applications`, policy.yaml:1",
    ]);
    up(&lattice, &manifest("shop-1", "", "")).printed();
    eventually("the accepted revision runs", || {
        (running(&lattice, "shop-1")? != first).then_some(())
    });
    assert_eq!(host.leave(), Some(0));
}
