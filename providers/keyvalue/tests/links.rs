//! Links, handles, files that are shared, and servers that go away.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Component, config, link};
use tokio::time::timeout;
use withe_provider::codec::Handle;
use withe_provider::{CallError, Durations, Health, LinkId, Peer, Provider};
use withe_provider_keyvalue::{DESCRIPTOR, KeyValue};
use withe_testing::redis::RedisServer;

const ONE: &str = "0.2.0-draft";

#[test]
fn the_world_exports_both_drafts() {
    let mut resolve = wit_parser::Resolve::default();
    let mut last = None;
    for text in DESCRIPTOR.wit {
        last = Some(resolve.push_str("package.wit", text).unwrap());
    }
    let world = resolve
        .select_world(&[last.unwrap()], Some("provider"))
        .unwrap();
    let world = &resolve.worlds[world];
    let names: Vec<_> = world
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    for interface in ["store", "atomics", "batch"] {
        for version in [ONE, "0.2.0-draft2"] {
            let name = format!("wasi:keyvalue/{interface}@{version}");
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
    }
}

#[tokio::test]
async fn every_function_of_the_world_is_served() {
    let mut resolve = wit_parser::Resolve::default();
    for text in DESCRIPTOR.wit {
        resolve.push_str("package.wit", text).unwrap();
    }
    let mut names = Vec::new();
    for (id, interface) in resolve.interfaces.iter() {
        let name = resolve.id_of(id).unwrap();
        // Components export that one.
        if !name.contains("/watcher@") {
            names.extend(
                interface
                    .functions
                    .keys()
                    .map(|function| withe_provider::FunctionName {
                        interface: name.clone(),
                        function: function.clone(),
                    }),
            );
        }
    }
    assert_eq!(names.len(), 23);
    let mut everything = link(1, ONE, &[("backend", "memory")]);
    everything.peer = Peer::Importer(names.into());
    Component::linked(everything).await;

    let mut unknown = link(2, "0.3.0", &[("backend", "memory")]);
    unknown.config = config(&[("backend", "memory")]);
    let error = KeyValue::new(config(&[]))
        .link_put(unknown)
        .await
        .unwrap_err();
    assert!(error.0.contains("`wasi:keyvalue/store@0.3.0`"), "{error}");
}

#[tokio::test]
async fn handles_belong_to_their_link() {
    let c = Component::linked(link(1, ONE, &[("backend", "memory")])).await;
    let b = c.open("x").await;
    c.set(b, "k", "v").await.unwrap();

    c.provider
        .link_put(link(2, ONE, &[("backend", "memory")]))
        .await
        .unwrap();
    let other = Component {
        link: LinkId(2),
        ..c.clone()
    };
    let foreign = other.call::<()>(".get", (b, "k")).await;
    assert!(
        matches!(foreign, Err(CallError::TypeMismatch(_))),
        "{foreign:?}"
    );
    // The memory itself is the provider's, and so shared.
    assert_eq!(
        other.get(other.open("x").await, "k").await,
        Ok(Some(b"v".to_vec()))
    );

    // A link that is replaced keeps its handles.
    c.provider
        .link_put(link(1, ONE, &[("backend", "memory"), ("bucket", "y")]))
        .await
        .unwrap();
    assert_eq!(c.get(b, "k").await, Ok(Some(b"v".to_vec())));
    c.set(c.open("default").await, "in", "y").await.unwrap();
    assert_eq!(
        c.get(c.open("y").await, "in").await,
        Ok(Some(b"y".to_vec()))
    );

    c.provider.drop_resource(LinkId(1), b.0);
    assert!(c.call::<()>(".get", (b, "k")).await.is_err());
    c.provider.link_deleted(LinkId(1), Duration::ZERO).await;
    let gone = c.call::<()>("open", ("x",)).await;
    assert!(matches!(gone, Err(CallError::Unlinked(_))), "{gone:?}");
}

#[tokio::test]
async fn parameters_of_another_type_are_refused() {
    let c = Component::linked(link(1, ONE, &[("backend", "memory")])).await;
    let b = c.open("x").await;
    for wrong in [
        c.call::<()>(".get", (b,)).await,
        c.call::<()>(".get", (Handle(77), "k")).await,
    ] {
        assert!(
            matches!(wrong, Err(CallError::TypeMismatch(_))),
            "{wrong:?}"
        );
    }
}

#[tokio::test]
async fn a_file_is_shared_in_the_process_and_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.redb");
    // Two names of one file, in two providers.
    let detour = folder.path().join("sub/../data.redb");
    let a = Component::linked(link(1, ONE, &[("path", path.to_str().unwrap())])).await;
    let b = Component::linked(link(1, ONE, &[("path", detour.to_str().unwrap())])).await;
    let (in_a, in_b) = (a.open("").await, b.open("").await);
    a.set(in_a, "k", "v").await.unwrap();
    assert_eq!(b.get(in_b, "k").await, Ok(Some(b"v".to_vec())));
    for c in [a, b] {
        c.provider.shutdown(Duration::ZERO).await;
    }
    let again = Component::linked(link(1, ONE, &[("path", path.to_str().unwrap())])).await;
    assert_eq!(
        again.get(again.open("").await, "k").await,
        Ok(Some(b"v".to_vec()))
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "not a database, and long enough to be read as one".repeat(100),
    )
    .unwrap();
    let below = text.join("below");
    for path in [text.as_path(), below.as_path(), folder.path()] {
        let path = path.to_str().unwrap();
        let error = KeyValue::new(config(&[]))
            .link_put(link(1, ONE, &[("path", path)]))
            .await;
        let error = error.unwrap_err().0;
        let text = text.to_str().unwrap();
        assert!(error.contains(text) || error.contains(path), "{error}");
    }
}

/// Set in the process that [`what_was_acknowledged_survives_a_kill`] kills.
const VICTIM: &str = "WITHE_TEST_KEYVALUE_PATH";

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    if let Ok(path) = std::env::var(VICTIM) {
        return count_until_killed(&path).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.redb");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "what_was_acknowledged_survives_a_kill",
            "--nocapture",
        ])
        .env(VICTIM, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let acknowledged = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("now ")?.parse().ok());
    let acknowledged: u64 = acknowledged.take(50).last().unwrap();
    // On Unix this is SIGKILL.
    victim.kill().unwrap();
    victim.wait().unwrap();

    let c = Component::linked(link(1, ONE, &[("path", path.to_str().unwrap())])).await;
    let kept = c.increment(c.open("").await, "n", 0).await.unwrap();
    assert!(kept >= acknowledged, "{kept} of {acknowledged} were kept");
}

async fn count_until_killed(path: &str) {
    let c = Component::linked(link(1, ONE, &[("path", path)])).await;
    let b = c.open("").await;
    // Far more than are waited for; not for ever, should nobody be left to kill it.
    for _ in 0..10_000 {
        println!("now {}", c.increment(b, "n", 1).await.unwrap());
    }
}

#[tokio::test]
async fn redis_that_is_not_there_is_an_error_that_says_where_it_should_be() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("redis://user:s3cret@127.0.0.1:{port}");
    let provider = KeyValue::new(config(&[]));
    let put = provider.link_put(link(1, ONE, &[("url", &url)]));
    let error = timeout(support::PATIENCE, put)
        .await
        .unwrap()
        .unwrap_err()
        .0;
    assert!(
        error.contains(&format!("cannot reach Redis at `127.0.0.1:{port}`")),
        "{error}"
    );
    assert!(
        error.contains("redis-server") && !error.contains("s3cret"),
        "{error}"
    );
}

#[tokio::test]
async fn redis_that_refuses_the_password_is_not_to_be_started() {
    let server = RedisServer::start().unwrap();
    let mut other = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    other
        .write_all(b"CONFIG SET requirepass right\r\n")
        .unwrap();
    let mut answer = [0; 5];
    other.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+OK\r\n");
    let at = format!("127.0.0.1:{}", server.port());
    for login in [":s3cret@", "nobody:right@", ""] {
        let url = format!("redis://{login}{at}");
        let provider = KeyValue::new(config(&[]));
        let put = provider.link_put(link(1, ONE, &[("url", &url)]));
        let error = timeout(support::PATIENCE, put).await.unwrap().unwrap_err();
        assert!(
            (error.0).starts_with(&format!("Redis at `{at}` refuses the user or the password")),
            "{error}"
        );
        let hint = !error.0.contains("redis-server") && !error.0.contains("s3cret");
        assert!(hint, "{error}");
    }
    let url = format!("redis://:right@{at}");
    Component::linked(link(1, ONE, &[("url", &url)])).await;
}

#[tokio::test]
async fn redis_that_says_nothing_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let limits = [
        ("url", url.as_str()),
        ("backend_connection_timeout_ms", "50"),
        ("backend_response_timeout_ms", "50"),
        ("backend_reconnect_max_delay_ms", "10"),
    ];
    let provider = KeyValue::new(config(&[]));
    let put = provider.link_put(link(1, ONE, &limits));
    assert!(timeout(support::PATIENCE, put).await.unwrap().is_err());
}

#[tokio::test]
async fn redis_that_goes_away_is_an_error_until_it_is_back() {
    let mut server = RedisServer::start().unwrap();
    let port = server.port();
    let limits = [
        ("url", server.url()),
        ("backend_connection_timeout_ms", "200".into()),
        ("backend_reconnect_max_delay_ms", "20".into()),
    ];
    let limits: Vec<_> = limits.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let c = Component::linked(link(1, ONE, &limits)).await;
    let b = c.open("").await;
    c.set(b, "k", "v").await.unwrap();
    assert_eq!(c.provider.health().await, Health::Healthy);

    server.stop();
    let error = c.increment(b, "k", 1).await.unwrap_err();
    assert!(error.0.contains(&format!("127.0.0.1:{port}")), "{error:?}");
    assert!(c.get(b, "k").await.is_err());
    assert!(matches!(c.provider.health().await, Health::Unhealthy(_)));

    server.restart().unwrap();
    let back = async { while c.increment(b, "k2", 1).await.is_err() {} };
    timeout(support::PATIENCE, back).await.unwrap();
    assert_eq!(c.get(b, "k").await, Ok(None));
    // One read while the server was gone, and one after.
    let counts = c.provider.backend_calls();
    let counts = counts
        .iter()
        .find(|count| count.operation == "get")
        .unwrap();
    let calls = Durations::count(&counts.durations);
    assert_eq!((&*counts.backend, calls, counts.failed), ("redis", 2, 1));
}

#[tokio::test]
async fn a_caller_with_little_time_gets_an_error_it_can_handle() {
    let server = RedisServer::start().unwrap();
    let url = server.url();
    let limits = [
        ("url", url.as_str()),
        ("backend_connection_timeout_ms", "60000"),
    ];
    let mut c = Component::linked(link(1, ONE, &limits)).await;
    let b = c.open("").await;
    // From here on it accepts, but answers nothing.
    let mut other = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    other.write_all(b"CLIENT PAUSE 60000\r\n").unwrap();
    let mut answer = [0; 5];
    other.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+OK\r\n");
    c.patience = Duration::from_millis(200);
    let error = c.get(b, "k").await.unwrap_err();
    assert!(error.0.contains("did not answer in time"), "{error:?}");
}
