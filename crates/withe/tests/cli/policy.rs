//! `--policy`: what is wrong with the file, and what is refused by it.

use crate::sandbox::{COUNTER, Sandbox};

fn granted(grants: &str) -> Sandbox {
    Sandbox::new()
        .component("counter.wasm", COUNTER)
        .manifest(&format!(
            "    - name: counter\n      type: component\n      properties:\n        image: ./counter.wasm\n        \
             grants: {grants}\n"
        ))
}

#[test]
fn everything_that_is_wrong_with_a_policy_is_shown_with_its_place() {
    let sandbox = granted("{}").file(
        "policy.yaml",
        "aplications: [shop]\ngrants:\n  directories:\n    - {host: data}\n  network: maybe\n",
    );
    insta::assert_snapshot!(sandbox.run(&["host", "--policy", "policy.yaml"]), @r"
    exit code: 1
    ----- stderr -----
    error[W0009]: unknown field `aplications` in the policy
     --> policy.yaml:1:1
      |
    1 | aplications: [shop]
      | ^^^^^^^^^^^ no such field here
      |
      = note: the fields here are `applications`, `deployers`, `images`, `providers`, `programs`, `grants` and `limits`
      = help: did you mean `applications`?

    error[W0011]: `host` must be an absolute path, found the text `data`
     --> policy.yaml:4:14
      |
    4 |     - {host: data}
      |              ^^^^ expected an absolute path
      |
      = help: write the path from `/` on

    error[W0011]: `network` must be `true` or `false`, found the text `maybe`
     --> policy.yaml:5:12
      |
    5 |   network: maybe
      |            ^^^^^ expected `true` or `false`
      |
      = help: write `network: true` or `network: false`, without quotes

    error: 3 problems in policy.yaml; nothing was started
    ");
    let up = sandbox.run(&["up", "shop.yaml", "--policy", "policy.yaml"]);
    assert!(up.contains("error: 3 problems in policy.yaml"), "{up}");
}

#[test]
fn a_policy_that_is_not_there_stops_the_start() {
    let sandbox = granted("{}");
    let host = sandbox.run(&["host", "--policy", "nowhere.yaml"]);
    assert!(host.starts_with("exit code: 1"), "{host}");
    assert!(
        host.contains("the policy `nowhere.yaml` cannot be read"),
        "{host}"
    );
}

#[cfg(unix)]
#[test]
fn a_policy_that_everybody_may_write_to_is_none() {
    use std::os::unix::fs::PermissionsExt as _;

    let sandbox = granted("{}").file("policy.yaml", "{}\n");
    let everybody = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(sandbox.path("policy.yaml"), everybody).unwrap();
    let host = sandbox.run(&["host", "--policy", "policy.yaml"]);
    assert!(host.starts_with("exit code: 1"), "{host}");
    assert!(host.contains("chmod o-w policy.yaml"), "{host}");
}

#[test]
fn what_the_operator_names_is_held_to_a_policy_that_is_given() {
    let sandbox = granted("{network: true, env: {HOME: /, LANG: de}}")
        .file("policy.yaml", "grants:\n  network: false\n  env: [LANG]\n");
    let up = sandbox.run(&["up", "shop.yaml", "--policy", "policy.yaml"]);
    let expected = "error: this host does not accept it: `counter` may not use the network (`grants.network`, policy.yaml:2); \
                    `counter` may not have the variable `HOME` (`grants.env`, policy.yaml:3)";
    assert!(up.starts_with("exit code: 1"), "{up}");
    assert!(up.contains(expected), "{up}");
}

#[test]
fn hosts_of_a_lattice_have_policies_of_their_own() {
    let sandbox = granted("{}").file("policy.yaml", "{}\n");
    let lattice = ["--lattice", "nats://127.0.0.1:1", "--policy", "policy.yaml"];
    let up = sandbox.run(&[&["up", "shop.yaml"], &lattice[..]].concat());
    assert!(up.starts_with("exit code: 2"), "{up}");
    assert!(up.contains("give `--policy` to `withe host`"), "{up}");
}
