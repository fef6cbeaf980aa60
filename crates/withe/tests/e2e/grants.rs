//! A component reaches nothing of the machine that the manifest does not grant.

use std::net::TcpListener;

use crate::support::Folder;
use crate::support::manifest::{application, component};

/// A probe with these grants, and a folder `shared` with a file `note`.
fn probe(grants: &str) -> Folder {
    let properties = format!("grants: {{{grants}}}");
    let folder = Folder::with(&application(&[component(
        "probe",
        "fs-probe",
        &properties,
        &[],
    )]));
    folder.write("shared/note", "kept");
    folder
}

fn ask(folder: &Folder, call: &str) -> String {
    folder
        .call("probe", &format!("t:probe/run#{call}"))
        .printed()
        .to_owned()
}

#[test]
fn nothing_is_reached_unless_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = probe("");
    for call in [
        r#"read-dir("/")"#,
        r#"read-dir("/data")"#,
        r#"read-file("/etc/hostname")"#,
        r#"write-file("/tmp/withe-probe", "x")"#,
        &format!(r#"connect("{address}")"#),
    ] {
        let answer = ask(&folder, call);
        assert!(answer.starts_with("err("), "{call}: {answer}");
    }
    assert_eq!(ask(&folder, r#"env("PATH")"#), "none");
}

#[test]
fn a_directory_can_be_granted_to_read_only_or_to_write() {
    let folder = probe("directories: [{host: ./shared, guest: /data, read_only: true}]");
    assert_eq!(ask(&folder, r#"read-dir("/data")"#), r#"ok(["note"])"#);
    assert_eq!(ask(&folder, r#"read-file("/data/note")"#), r#"ok("kept")"#);
    for call in [
        r#"write-file("/data/note", "changed")"#,
        r#"read-file("/data/../app.yaml")"#,
    ] {
        let answer = ask(&folder, call);
        assert!(answer.starts_with("err("), "{call}: {answer}");
    }

    let folder = probe("directories: [{host: ./shared, guest: /data}]");
    assert_eq!(ask(&folder, r#"write-file("/data/new", "written")"#), "ok");
    let written = std::fs::read_to_string(folder.path("shared/new")).unwrap();
    assert_eq!(written, "written");
}

#[test]
fn a_directory_that_cannot_be_opened_stops_the_start() {
    let folder =
        probe("directories: [{host: ./nowhere, guest: /data}, {host: ./app.yaml, guest: /a}]");
    let ended = folder.call("probe", r#"t:probe/run#read-dir("/data")"#);
    ended.failed(&[
        "`probe` is granted the directory",
        "nowhere` (as `/data`), which cannot be opened: No such file or directory",
        "app.yaml` (as `/a`), which cannot be opened: Not a directory",
    ]);
}

#[test]
fn variables_and_the_network_can_be_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = probe("env: {LANG: de}, network: true");
    assert_eq!(ask(&folder, r#"env("LANG")"#), r#"some("de")"#);
    assert_eq!(ask(&folder, r#"env("PATH")"#), "none");
    assert_eq!(ask(&folder, &format!(r#"connect("{address}")"#)), "ok");
}
