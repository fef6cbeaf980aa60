//! The program, as a host meets it first. Cargo builds it for the tests of other packages because this one needs it.

use std::process::Command;

use withe_provider::process::{Description, PROTOCOL};

#[test]
fn says_what_it_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_pipe-provider"))
        .arg("--describe")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said: Description = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said.protocol, PROTOCOL);
}
