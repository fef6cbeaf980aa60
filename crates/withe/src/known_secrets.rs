//! The secret values of what runs here, which nothing shows that people or other programs read.

use std::sync::LazyLock;

use withe_host::KnownSecrets;

/// The values that neither the log nor anything else is to show.
///
/// There is one log in a process, which is begun before anything is known of what will run.
static SECRETS: LazyLock<KnownSecrets> = LazyLock::new(KnownSecrets::default);

/// Where the values are made known that nothing is to show.
pub(crate) fn known_secrets() -> &'static KnownSecrets {
    &SECRETS
}

/// From now on this value is known as a secret; `of` is of one test alone.
#[cfg(test)]
pub(crate) fn know_secret(of: &str, value: &str) {
    let plan = serde_json::json!({
        "application": of,
        "components": [{
            "name": "c", "id": "c", "kind": "component", "digest": "", "entry": true, "concurrency": false,
            "config": {"key": value}, "secret_keys": ["key"], "host_imports": [],
        }],
        "links": [],
    });
    known_secrets().know(&serde_json::from_value(plan).expect("it is a plan"));
}
