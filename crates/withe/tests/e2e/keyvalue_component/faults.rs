//! Faults of Redis, of the configuration and of the grants, and the errors that callers have.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use withe_testing::keyvalue::Draft;
use withe_testing::redis::RedisServer;

use super::client::{Client, Running, app, configured, kv, table};
use super::{NETWORK, in_redis};
use crate::support::manifest::{application, http_servers};

/// A URL that somebody could answer at, and nobody does.
const NOWHERE: &str = "redis://127.0.0.1:1/";

fn started(provider: &str) -> (Running, Client) {
    let running = Running::start(&app("", false, provider), &[]);
    let client = running.client(Draft::One);
    (running, client)
}

fn refused(client: &Client, texts: &[&str]) -> String {
    let why = client.value("k").unwrap_err();
    for text in texts {
        assert!(why.contains(text), "no {text:?} in {why}");
    }
    why
}

#[test]
fn redis_may_go_and_come_back() {
    let mut redis = RedisServer::start().unwrap();
    let (_running, client) = started(&in_redis(&redis.url()));
    client.put("k", "v").unwrap();
    let at = format!("Redis at `127.0.0.1:{}` cannot be reached", redis.port());

    redis.stop();
    for _ in 0..2 {
        refused(&client, &[&at]);
        let lost = client.put("k", "w").unwrap_err();
        assert!(lost.contains(&at), "{lost}");
    }
    redis.restart().unwrap();
    // All that it had is gone with it.
    assert_eq!(client.value("k"), Ok(None));
    client.put("k", "again").unwrap();
    assert_eq!(client.value("k"), Ok(Some("again".into())));

    // A connection that broke between two calls is not written to.
    redis.restart().unwrap();
    client.put("k", "once more").unwrap();
    assert_eq!(client.value("k"), Ok(Some("once more".into())));
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let config = configured(&format!("url: {url:?}, backend_response_timeout_ms: 50"));
    let (_running, client) = started(&format!("{config}, {NETWORK}"));
    refused(&client, &["did not answer in 50 ms"]);
}

#[test]
fn an_answer_that_never_ends_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let config = configured(&format!("url: {url:?}, backend_response_timeout_ms: 200"));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A list of one value, whose bytes come one at a time until the other side has enough.
            let mut sent = stream.write_all(b"*1\r\n$1000000\r\n");
            while sent.is_ok() {
                thread::sleep(Duration::from_millis(5));
                sent = stream.write_all(b"x");
            }
        }
    });
    let (_running, client) = started(&format!("{config}, {NETWORK}"));
    refused(&client, &["did not answer in 200 ms"]);
}

#[test]
fn one_limit_bounds_all_attempts_to_connect() {
    // Clients connect, and their password is never answered.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://:s3cret@{}/", listener.local_addr().unwrap());
    let settings = "backend_connection_timeout_ms: 200, backend_reconnect_num_retries: 100";
    let config = configured(&format!("url: {url:?}, {settings}"));
    let (_running, client) = started(&format!("{config}, {NETWORK}"));
    listener.set_nonblocking(true).unwrap();
    for _ in 0..2 {
        refused(&client, &["did not answer in 200 ms"]);
        let connections = std::iter::from_fn(|| listener.accept().ok());
        assert_eq!(connections.count(), 1);
    }
}

#[test]
fn a_wrong_password_is_told_and_never_shown() {
    let redis = RedisServer::start().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    stream
        .write_all(b"CONFIG SET requirepass s3cret\r\n")
        .unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    let url = |password: &str| format!("redis://{password}127.0.0.1:{}/", redis.port());

    let (_running, client) = started(&in_redis(&url("")));
    refused(&client, &["refused", "NOAUTH"]);
    let (_running, client) = started(&in_redis(&url(":gu3ssed@")));
    let why = refused(&client, &["refused", "WRONGPASS"]);
    assert!(!why.contains("gu3ssed"), "{why}");
    let (_running, client) = started(&in_redis(&url(":s3cret@")));
    client.put("k", "v").unwrap();
}

#[test]
fn a_secret_is_what_it_is_configured_by() {
    let redis = RedisServer::start().unwrap();
    let secret = "secrets: [{name: url, properties: {policy: vault, key: url}}]";
    let policies = "  policies:
    - name: vault
      type: policy.secret.wasmcloud.dev/v1alpha1
      properties: {backend: vault}
";
    let manifest = app("", false, &format!("{secret}, {NETWORK}"));
    let manifest = manifest.replacen("spec:\n", &format!("spec:\n{policies}"), 1);
    let folder = crate::support::Folder::with(&manifest);
    folder.write("secrets/url", &redis.url());
    let command = folder.command(&["up", "app.yaml", "--secrets", "vault=secrets"]);
    let up = crate::support::process::Up::start(command);
    let [address] = up.addresses(["table"]);
    let client = Client {
        address,
        draft: Draft::Two,
    };
    client.put("k", "v").unwrap();
    assert_eq!(client.value("k"), Ok(Some("v".into())));
}

#[test]
fn who_is_not_granted_the_network_is_told_what_to_write() {
    let grant = "grants: {network: true}";
    let (_running, client) = started(&configured(&format!("url: {NOWHERE:?}")));
    refused(&client, &["not granted the network", grant]);
    let (_running, client) = started(&configured("url: \"redis://localhost:1\""));
    refused(&client, &["cannot be looked up", grant]);
    let (_running, client) = started(&in_redis(NOWHERE));
    refused(&client, &["Redis at `127.0.0.1:1` cannot be reached"]);
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_as_a_whole() {
    // Keys and forms are what the component says of itself: nothing has to run.
    let wrong = configured("backend: redb, retries: 1, backend_reconnect_max_delay_ms: soon");
    let folder = crate::support::Folder::with(&app("", false, &wrong));
    let lines = [
        "`backend` is `redb`",
        "unknown key `retries`",
        "`backend_reconnect_max_delay_ms` is `soon`",
        "write a number from 1",
    ];
    for command in ["check", "up"] {
        folder.run(&[command, "app.yaml"]).failed(&lines);
    }
    // How values go together only the component knows, which says so to who calls.
    let (_running, client) = started(&configured("backend: memory, url: \"rediss://a\""));
    refused(&client, &["`url` is for `backend: redis`"]);
    let both = "url: \"rediss://a\", bucket: \"\"";
    let (_running, client) = started(&configured(both));
    refused(&client, &["asks for TLS", "`bucket` is empty"]);
}

#[test]
fn what_only_the_other_kind_of_provider_has_is_an_error() {
    let link = ", config: [{name: data, properties: {url: \"redis://x\"}}]";
    let link = format!("{{name: kv{link}}}");
    let manifest = application(&[
        http_servers(&["table"]),
        table("table", "", false).replace("target: kv", &format!("target: {link}")),
        kv("process: true"),
    ]);
    let folder = crate::support::Folder::with(&manifest);
    let checked = folder.run(&["check", "app.yaml"]);
    checked.failed(&["W0505", "cannot see the link", "W0506", "binding: unix"]);

    let native = "image: \"withe:keyvalue\", grants: {network: true}";
    let native = crate::support::manifest::entry("kv", "capability", native, &[]);
    let manifest = application(&[http_servers(&["table"]), table("table", "", false), native]);
    folder.write("app.yaml", &manifest);
    let checked = folder.run(&["check", "app.yaml"]);
    checked.failed(&["W0506", "`grants` is for components"]);
}
