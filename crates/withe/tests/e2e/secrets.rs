//! Secrets that applications ask for by name.

use std::fs::{self, File};

use withe_testing::nats::NatsServer;

use crate::support::Folder;
use crate::support::manifest::{application, component, entry};
use crate::support::rig::eventually;

/// The value that nothing but the component may show.
const MARKER: &str = "hunter2-the-marker";

const POLICIES: &str = "  policies:
    - name: vault
      type: policy.secret.wasmcloud.dev/v1alpha1
      properties: {backend: vault}
";

fn secret(name: &str, key: &str) -> String {
    format!("{{name: {name}, properties: {{policy: vault, key: {key}}}}}")
}

/// An application with these components, and a policy.
fn with_policy(components: &[String]) -> String {
    application(components).replacen("spec:\n", &format!("spec:\n{POLICIES}"), 1)
}

/// A component that says its secrets, one that passes calls on to it, and the way between the two.
fn says(binding: &str) -> String {
    let secrets = format!("secrets: [{}]", secret("password", "shop/password"));
    with_policy(&[
        component("says", "secrets", &secrets, &[]),
        component("other", "secrets", "", &[]),
        component(
            "front",
            "names-front",
            "",
            &[&format!("target: says, binding: {binding}")],
        ),
    ])
}

fn folder(manifest: &str) -> Folder {
    let folder = Folder::with(manifest);
    folder.write("secrets/shop/password", &format!("{MARKER}\n"));
    folder
}

const CALL: &str = r#"t:names/run#run(["password", "other"])"#;

#[test]
fn a_component_has_its_own_secrets_and_no_others() {
    let secrets = format!("secrets: [{}]", secret("password", "shop/password"));
    let folder = folder(&with_policy(&[
        component("says", "secrets", &secrets, &[]),
        component("other", "secrets", "", &[]),
    ]));
    let call = |component: &str| {
        folder.run(&[
            "call",
            "app.yaml",
            component,
            CALL,
            "--secrets",
            "vault=secrets",
        ])
    };
    let said = call("says");
    assert_eq!(
        said.printed(),
        format!("[\"password: {MARKER}\", \"other: not found\"]")
    );
    let said = call("other");
    assert_eq!(
        said.printed(),
        "[\"password: not found\", \"other: not found\"]"
    );
}

#[test]
fn what_cannot_be_had_is_said_at_once_and_nothing_starts() {
    let secrets = format!(
        "secrets: [{}, {}]",
        secret("password", "shop/password"),
        secret("token", "shop/token"),
    );
    let folder = folder(&with_policy(&[component("says", "secrets", &secrets, &[])]));
    folder.call("says", CALL).failed(&[
        "the secret `password` of `says` cannot be had",
        "the secret `token` of `says` cannot be had",
        "`--secrets vault=FOLDER`",
    ]);
    let missing = folder.run(&[
        "call",
        "app.yaml",
        "says",
        CALL,
        "--secrets",
        "vault=secrets",
    ]);
    missing.failed(&[
        "the secret `token` of `says` cannot be had: the file `secrets/shop/token` cannot be read",
    ]);
    let wrong = folder.run(&["call", "app.yaml", "says", CALL, "--secrets", "vault"]);
    assert!(wrong.stderr.contains("`NAME=FOLDER`"), "{wrong:?}");
}

#[test]
fn a_provider_has_its_secrets_among_its_configuration_and_nobody_shows_them() {
    let nats = NatsServer::start().unwrap();
    let url = nats.url().replace("nats://", &format!("nats://{MARKER}@"));
    let own = format!(
        "image: \"withe:messaging\", secrets: [{}]",
        secret("cluster_uris", "nats")
    );
    let link = "target: events, source: {config: [{name: c, properties: {subscriptions: \"a\"}}]}";
    let manifest = with_policy(&[
        component(
            "events",
            "events",
            "",
            &["target: keyvalue", "target: messaging"],
        ),
        entry(
            "keyvalue",
            "capability",
            "image: \"withe:keyvalue\", config: [{name: kv, properties: {backend: memory}}]",
            &[],
        ),
        entry("messaging", "capability", &own, &[link]),
    ]);
    let folder = folder(&manifest);
    folder.write("secrets/nats", &url);
    let plan = folder.run(&["plan", "app.yaml", "--json"]);
    assert!(
        plan.printed().contains("\"cluster_uris\": \"•••\""),
        "{}",
        plan.stdout
    );
    let log = folder.path("log");
    let mut command = folder.command(&["-vv", "up", "app.yaml", "--secrets", "vault=secrets"]);
    command.stderr(File::create(&log).unwrap());
    let mut running = command.spawn().unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    // A provider that is not connected lets nothing run.
    eventually("it runs", || said().contains("runs; Ctrl-C"));
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(!said().contains(MARKER), "{}", said());
}

#[test]
fn secrets_reach_whatever_a_component_is_part_of() {
    for binding in ["fused", "local", "unix"] {
        let folder = folder(&says(binding));
        let said = folder.run(&[
            "call",
            "app.yaml",
            "front",
            CALL,
            "--secrets",
            "vault=secrets",
        ]);
        let expected = format!("[\"password: {MARKER}\", \"other: not found\"]");
        assert_eq!(said.printed(), expected, "{binding}");
    }
}
