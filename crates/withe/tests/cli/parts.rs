//! `withe build`: parts built by the commands of the manifest.
#![cfg(unix)]

use std::fs;

use crate::sandbox::{COUNTER, built_shop};

#[test]
fn what_changed_is_built_and_checked() {
    let sandbox = built_shop();
    insta::assert_snapshot!(sandbox.run(&["build", "shop.yaml"]).replace_times());
    insta::assert_snapshot!(sandbox.run(&["build", "shop.yaml"]).replace_times());
    // Something else that does not fit what calls it.
    let other = COUNTER.replace("\"next\"", "\"nxt\"");
    fs::write(sandbox.path("counter.src"), wat::parse_str(other).unwrap()).unwrap();
    let shown = sandbox.run(&["build", "shop.yaml"]);
    assert!(
        shown.starts_with("exit code: 1") && shown.contains("built counter"),
        "{shown}"
    );
    assert!(shown.contains("error[W0"), "{shown}");
}

#[test]
fn a_command_that_fails_says_what_it_wrote() {
    let sandbox = built_shop();
    fs::remove_file(sandbox.path("counter.src")).unwrap();
    let shown = sandbox.run(&["build", "shop.yaml"]);
    assert!(shown.starts_with("exit code: 1"), "{shown}");
    assert!(shown.contains("counter | cp: "), "{shown}");
    assert!(shown.contains("error: counter was not built"), "{shown}");
    let component = sandbox.run(&["build", "front.wasm"]);
    assert!(component.starts_with("exit code: 2"), "{component}");
}

trait ReplaceTimes {
    fn replace_times(self) -> String;
}

impl ReplaceTimes for String {
    /// With no times in it.
    fn replace_times(self) -> String {
        let lines = self.lines().map(|line| match line.strip_prefix("built ") {
            Some(rest) => format!("built {}", rest.split(" in ").next().unwrap_or_default()),
            None => line.to_owned(),
        });
        lines.map(|line| line + "\n").collect()
    }
}
