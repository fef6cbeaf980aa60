//! Redis with TLS: whose certificates are believed, and what is said of those that are not.

mod support;

use support::{Component, PATIENCE, config, link};
use tokio::time::timeout;
use withe_provider::Provider;
use withe_provider_keyvalue::KeyValue;
use withe_testing::certificates::Certificates;
use withe_testing::redis::RedisServer;

const ONE: &str = "0.2.0-draft";

/// The error of a link that cannot be made.
async fn refused(pairs: &[(&str, &str)]) -> String {
    let provider = KeyValue::new(config(&[]));
    let put = provider.link_put(link(1, ONE, pairs));
    timeout(PATIENCE, put).await.unwrap().unwrap_err().0
}

#[tokio::test]
async fn who_shows_another_authoritys_certificate_is_refused() {
    let certificates = Certificates::new().unwrap();
    let server = RedisServer::start_with_tls(&certificates).unwrap();
    let url = server.tls_url().unwrap();
    let url = url.replace("rediss://", "rediss://default:s3cret@");
    let at = url.split_once('@').unwrap().1.trim_end_matches('/');
    let others = Certificates::new().unwrap();
    let others = others.ca();
    // Neither what another authority signed is believed, nor what the system does not know.
    for wrong in [
        vec![
            ("url", url.as_str()),
            ("tls_ca_file", others.to_str().unwrap()),
        ],
        vec![("url", url.as_str())],
    ] {
        let said = refused(&wrong).await;
        for part in [
            &format!("no TLS with Redis at `{at}`"),
            "certificate",
            "`tls_ca_file`",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("s3cret"), "{said}");
    }
    let missing = others.with_file_name("missing.pem");
    let missing = missing.to_str().unwrap();
    let said = refused(&[("url", &url), ("tls_ca_file", missing)]).await;
    assert!(
        said.contains(missing) && said.contains("PEM file"),
        "{said}"
    );
}

#[tokio::test]
async fn a_port_with_tls_is_told_from_one_without() {
    let certificates = Certificates::new().unwrap();
    let server = RedisServer::start_with_tls(&certificates).unwrap();
    let with = server.url().replace("redis://", "rediss://");
    let without = server.tls_url().unwrap().replace("rediss://", "redis://");
    for (url, hint) in [(with, "`tls-port`"), (without, "that is `rediss://`")] {
        let limits = [
            ("url", url.as_str()),
            ("backend_connection_timeout_ms", "200"),
            ("backend_reconnect_num_retries", "1"),
        ];
        let said = refused(&limits).await;
        assert!(said.contains("cannot reach Redis"), "{said}");
        assert!(said.contains(hint), "{said}");
    }
}

#[tokio::test]
async fn users_log_in_over_tls() {
    let certificates = Certificates::new().unwrap();
    let server = RedisServer::start_with_tls(&certificates).unwrap();
    let rule = "ACL SETUSER app on >s3cret ~withe:bucket:shop:* +@all -@dangerous";
    assert_eq!(server.ask(rule).unwrap(), "OK");
    let url = server.tls_url().unwrap();
    let url = url.replace("rediss://", "rediss://app:s3cret@");
    let ca = certificates.ca();
    let pairs = [("url", url.as_str()), ("tls_ca_file", ca.to_str().unwrap())];
    let c = Component::linked(link(1, ONE, &pairs)).await;
    let (shop, other) = (c.open("shop").await, c.open("other").await);
    c.set(shop, "k", "v").await.unwrap();
    assert_eq!(c.get(shop, "k").await, Ok(Some(b"v".to_vec())));
    let said = c.set(other, "k", "v").await.unwrap_err().0;
    assert!(
        said.contains("refused") && said.contains("permission"),
        "{said}"
    );
    c.provider.shutdown(PATIENCE).await;
}
