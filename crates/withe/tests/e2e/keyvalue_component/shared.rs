//! One instance for all callers: what they share, what they do not, and what becomes of them when it fails.

use withe_testing::keyvalue::Draft;

use super::client::{Client, Running, configured, kv, table};
use crate::support::manifest::{application, http_servers};

/// Two callers, over links of their own.
fn two(provider: &str) -> (Running, [Client; 2]) {
    let manifest = application(&[
        http_servers(&["a", "b"]),
        table("a", "", true),
        table("b", ", timeout: 20s", true),
        kv(provider),
    ]);
    let running = Running::start(&manifest, &[]);
    let clients = running.up.addresses(["a", "b"]).map(|address| Client {
        address,
        draft: Draft::One,
    });
    (running, clients)
}

#[test]
fn all_callers_have_one_instance() {
    let (running, [a, b]) = two(&configured("backend: memory"));
    a.put("k", "of a").unwrap();
    assert_eq!(b.value("k"), Ok(Some("of a".into())));
    let plan = running.folder.run(&["plan", "app.yaml"]);
    for text in [
        "provider (component)",
        "is a provider: all callers share one",
    ] {
        assert!(plan.printed().contains(text), "{plan:#?}");
    }
    let graph = running.folder.run(&["graph", "app.yaml"]);
    assert!(graph.printed().contains("kv"), "{graph:#?}");
}

#[test]
fn an_instance_that_trapped_is_replaced_and_gives_nobody_what_another_one_had() {
    let memory = configured("backend: memory");
    let (running, [a, b]) = two(&format!("{memory}, limits: {{memory: 24MiB}}"));
    // Its handle is kept by the caller's instance, over the end of the provider's.
    a.put("k", "of a").unwrap();
    let large = "v".repeat(40 << 20);
    let (status, _) = b.post(&[b"set", b"1", b"other", b"k", large.as_bytes()]);
    assert_eq!(status, 500);
    running.up.says("wasi:keyvalue/store");

    // Memory is gone with the instance. The first bucket of the next one has the number that `a` would have for its own.
    let (status, answer) = b.post(&[b"set", b"1", b"fresh", b"k", b"of b"]);
    assert_eq!((status, &*answer[0]), (200, &b"ok"[..]));
    let (status, _) = a.post(&[b"get", b"1", b"", b"k"]);
    assert_eq!(status, 500, "its handle is of an instance that has gone");
    // The caller's instance failed with that, and the next one opens the bucket anew.
    assert_eq!(a.value("k"), Ok(None));
    let (status, answer) = b.post(&[b"get", b"1", b"fresh", b"k"]);
    assert_eq!((status, &*answer[1]), (200, &b"+of b"[..]));
}
