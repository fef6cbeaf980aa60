//! A provider that is a program of its own: `examples/greeter-provider`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use super::{answers, kill_with_a_call_in_flight, only};
use crate::support::Folder;
use crate::support::client::get;
use crate::support::examples::{self, greeter_front, greeter_program};
use crate::support::rig::{Rig, send, stop_now};

/// The example's application on a free port, with another program or another configuration of the link.
fn greeter(program: &Path, link: &str) -> String {
    let link = format!("target: {{name: greeter, {link}}}, timeout: 100s");
    examples::greeter(program, "", "", &link)
}

/// Two of the example's applications in one, which give their calls two seconds.
fn two_greeters() -> String {
    let (program, component) = (greeter_program(), greeter_front());
    let (program, component) = (program.display(), component.display());
    let mut manifest = "\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: app}
spec:
  components:
"
    .to_owned();
    for (front, greeter) in [("front", "slow"), ("other", "quick")] {
        manifest += &format!(
            "    - name: http-{front}
      type: capability
      properties:
        image: withe:http-server
        config: [{{name: {front}, properties: {{default_address: \"127.0.0.1:0\"}}}}]
      traits: [{{type: link, properties: {{target: {front}}}}}]
    - name: {front}
      type: component
      properties: {{image: \"{component}\"}}
      traits: [{{type: link, properties: {{target: {greeter}, timeout: 5s}}}}]
    - name: {greeter}
      type: capability
      properties: {{image: \"file://{program}\"}}
"
        );
    }
    manifest
}

#[test]
fn calls_that_a_full_provider_cannot_take_fail_in_time_and_harm_nobody() {
    let rig = Rig::start(&two_greeters(), &[]);
    let [front, other] = rig.up.addresses(["front", "other"]);
    answers(&front, "/Ada", "Hello, Ada!\n");
    answers(&other, "/Ada", "Hello, Ada!\n");
    // Of the two processes it is the one that makes `front` wait.
    let greeters = rig.processes.of_program("greeter");
    assert_eq!(greeters.len(), 2, "{greeters:?}");
    let slow = greeters.into_iter().find(|process| {
        stop_now(*process);
        let is_it = get(&front, "/Ada").unwrap().status != 200;
        if !is_it {
            send("CONT", *process);
        }
        is_it
    });
    let slow = slow.expect("one of them is called by `front`");
    // More than its socket and the queue before it hold.
    let name = "A".repeat(50_000);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (front, path) = (front.clone(), format!("/{name}"));
            thread::spawn(move || get(&front, &path).unwrap().status)
        })
        .collect();
    answers(&other, "/Ada", "Hello, Ada!\n");
    for call in calls {
        assert_eq!(call.join().unwrap(), 500);
    }
    let line = rig.up.says("deadline");
    assert!(line.contains("acme:greeter/greeter"), "{line}");
    send("CONT", slow);
    // The calls that it did not take are not sent again, and new ones are answered.
    answers(&front, &format!("/{name}"), &name);
}

/// A script in a folder, to be run.
fn script(folder: &Folder, text: &str) -> PathBuf {
    let name = "provider.sh";
    folder.write(name, &format!("#!/bin/sh\n{text}\n"));
    let path = folder.path(name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[test]
fn a_provider_of_ones_own_is_called_killed_and_called_again() {
    let program = greeter_program();
    let mut rig = Rig::start(&greeter(&program, ""), &[]);
    let address = rig.up.address();
    // The provider's log is in the host's, under its name.
    let line = rig.up.says("greets for a component");
    assert!(line.contains("provider=\"greeter\""), "{line}");
    answers(&address, "/Ada", "Hello, Ada!\n");
    answers(&address, "/Ada?lang=de", "Guten Tag, Ada!\n");
    assert_eq!(get(&address, "/").unwrap().status, 400);
    assert_eq!(get(&address, "/Ada?lang=tlh").unwrap().status, 404);

    let greeters = || rig.processes.of_program("greeter");
    let before = only(greeters());
    let line = kill_with_a_call_in_flight(&rig, &address, "/Ada", || greeters().first().copied());
    for text in [
        "acme:greeter/greeter",
        "provider `greeter` exited (signal: 9",
    ] {
        assert!(line.contains(text), "no {text:?} in {line}");
    }
    answers(&address, "/Ada", "Hello, Ada!\n");
    assert_ne!(only(greeters()), before);

    rig.up.interrupt();
    assert_eq!(rig.up.exit_code(), Some(0));
    rig.leaves_nothing();
}

#[test]
fn what_it_says_of_its_configuration_keeps_the_application_from_running() {
    let program = greeter_program();
    let config = "config: [{name: style, properties: {punctuation: \"!!\"}}]";
    let folder = Folder::with(&greeter(&program, config));
    for command in ["check", "up"] {
        folder.run(&[command, "app.yaml"]).failed(&[
            "W0502",
            "app.yaml:",
            "`punctuation` is `!!`, expected `!`, `.` or `?`",
        ]);
    }
}

#[test]
fn links_to_it_are_checked_by_the_wit_that_it_says() {
    let folder = Folder::new();
    let wit = "package acme:greeter@0.1.0;\\ninterface greeter { greet: func(name: string) -> string; }\\n\
               world provider { export greeter; }\\n";
    let json = format!(
        "{{\"protocol\":3,\"name\":\"greeter\",\"version\":\"1\",\"summary\":\"\",\"wit\":[\"{wit}\"]}}"
    );
    let program = script(&folder, &format!("cat <<'EOF'\n{json}\nEOF"));
    folder.write("app.yaml", &greeter(&program, ""));
    folder
        .run(&["check", "app.yaml"])
        .failed(&["acme:greeter/greeter", "greet", "person"]);
}

#[test]
fn a_program_that_is_no_provider_is_an_error_that_says_what_it_said() {
    let folder = Folder::new();
    let program = script(&folder, "echo what? >&2; exit 7");
    folder.write("app.yaml", &greeter(&program, ""));
    folder.run(&["check", "app.yaml"]).failed(&[
        "W0066",
        "provider.sh",
        "exit status: 7",
        "it said: what?",
    ]);
}
