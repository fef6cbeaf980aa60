//! The provider's program, as a host meets it first.

use std::process::Command;

use withe_provider::process::{Description, PROTOCOL};

#[test]
fn says_what_it_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_lines"))
        .arg("--describe")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said: Description = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said.protocol, PROTOCOL);
    assert_eq!(said.name, "lines");
    assert_eq!(said.wit, [include_str!("../wit/lines.wit")]);
}
