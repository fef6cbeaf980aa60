//! Tests the client's view: routing, policy, errors, streams, TLS.

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use support::{address, component, get, link, raw, says, serve, text_body};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use withe_provider::{HttpError, HttpErrorKind, Provider};
use withe_provider_http_server::HttpServer;

#[tokio::test]
async fn the_component_gets_an_absolute_uri() {
    let echo = component(|request, _| async move {
        let line = format!(
            "{} {} {:?}",
            request.method(),
            request.uri(),
            request.version()
        );
        Ok(Response::new(text_body(line)))
    });
    let (server, address) = serve(echo, &[]).await;
    let reply = get(address, "Example.com:81", "/a/b?c=d").await;
    assert_eq!(reply.body(), "GET http://Example.com:81/a/b?c=d HTTP/1.1");
    // A client of HTTP/1.0 need not name a host.
    let reply = raw(address, "GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(reply.body(), format!("GET http://{address}/ HTTP/1.0"));
    let absolute =
        "GET http://b.example/x HTTP/1.1\r\nhost: b.example\r\nconnection: close\r\n\r\n";
    assert_eq!(
        raw(address, absolute).await.body(),
        "GET http://b.example/x HTTP/1.1"
    );
    server.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let (_server, address) = serve(says("x"), &[]).await;
    let cases = [
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n",
            400,
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n",
            501,
        ),
        ("GET / HTTP/1.1\r\nnot a header\r\n\r\n", 400),
    ];
    for (request, status) in cases {
        assert_eq!(raw(address, request).await.status, status, "{request}");
    }
    let long = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(70_000)
    );
    assert_eq!(raw(address, &long).await.status, 431);
}

#[tokio::test]
async fn links_share_an_address_by_path_and_host() {
    let (server, address) = serve(says("root"), &[]).await;
    let shared = address.to_string();
    let links = [
        (2, says("api"), vec![("path", "/api")]),
        (3, says("host"), vec![("host", "b.example")]),
    ];
    for (id, peer, mut pairs) in links {
        pairs.push(("address", &shared));
        server.link_put(link(id, peer, &pairs)).await.unwrap();
    }
    let cases = [
        ("a.example", "/", "root"),
        ("a.example", "/api/x", "api"),
        ("a.example", "/apix", "root"),
        ("B.example:80", "/api/x", "host"),
    ];
    for (host, path, want) in cases {
        assert_eq!(get(address, host, path).await.body(), want, "{host}{path}");
    }
    let urls: Vec<_> = server.endpoints().into_iter().map(|e| e.url).collect();
    assert_eq!(
        urls[..2],
        [
            format!("http://{address}/"),
            format!("http://{address}/api")
        ]
    );

    let clash = server
        .link_put(link(
            4,
            says("x"),
            &[("address", &shared), ("path", "/api/")],
        ))
        .await;
    let message = clash.unwrap_err().0;
    assert!(
        message.contains("path `/api`") && message.contains("`app/c2`"),
        "{message}"
    );

    server
        .link_deleted(withe_provider::LinkId(1), Duration::from_secs(5))
        .await;
    assert_eq!(get(address, "a.example", "/").await.status, 404);
    assert_eq!(get(address, "a.example", "/api").await.body(), "api");
    server.shutdown(Duration::from_secs(5)).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_host_may_be_named_by_another_header() {
    let own = [
        ("routing_mode", "host"),
        ("header", "X-Tenant"),
        ("default_address", "127.0.0.1:0"),
    ];
    let server = HttpServer::new(support::config(&own));
    server.start().await.unwrap();
    server
        .link_put(link(1, says("one"), &[("host", "one")]))
        .await
        .unwrap();
    let address = address(&server, 1);
    let request = "GET / HTTP/1.1\r\nhost: a\r\nx-tenant: One\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(address, request).await.body(), "one");
    assert_eq!(get(address, "one", "/").await.status, 404);
    let missing = server
        .link_put(link(2, says("two"), &[]))
        .await
        .unwrap_err();
    assert!(missing.0.contains("has no `host`"), "{missing}");
}

#[tokio::test]
async fn failures_become_statuses_and_none_is_explained() {
    let fails = component(|request, _| async move {
        let kind = match request.uri().path() {
            "/exhausted" => HttpErrorKind::Exhausted,
            "/refused" => HttpErrorKind::ConnectionRefused,
            "/deadline" => HttpErrorKind::Deadline,
            "/invalid" => HttpErrorKind::InvalidRequest,
            _ => HttpErrorKind::Handler,
        };
        Err(HttpError::new(
            kind,
            "`page` trapped: unreachable\nwasm backtrace:",
        ))
    });
    let (_server, address) = serve(fails, &[]).await;
    let cases = [
        ("/exhausted", 503),
        ("/refused", 502),
        ("/deadline", 504),
        ("/invalid", 502),
        ("/", 500),
    ];
    for (path, status) in cases {
        let reply = get(address, "a", path).await;
        assert_eq!(reply.status, status, "{path}");
        let reason = StatusCode::from_u16(status)
            .unwrap()
            .canonical_reason()
            .unwrap()
            .to_owned();
        assert_eq!(reply.body(), format!("{reason}\n"));
    }
}

#[tokio::test]
async fn a_component_that_does_not_answer_is_given_up() {
    let hangs = component(|_, deadline| async move {
        assert!(deadline > Instant::now());
        std::future::pending().await
    });
    let (_server, address) = serve(hangs, &[("timeout_ms", "50")]).await;
    let reply = get(address, "a", "/").await;
    assert_eq!((reply.status, reply.body()), (504, "Gateway Timeout\n"));
}

#[tokio::test]
async fn policies_are_applied() {
    let pairs = [
        ("readonly_mode", "true"),
        ("cache_control", "max-age=5"),
        ("disable_keepalive", "true"),
        ("cors_allowed_origins", r#"["https://a.example"]"#),
    ];
    let (_server, address) = serve(says("x"), &pairs).await;
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(
        raw(
            address,
            post.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")
                .as_str()
        )
        .await
        .status,
        405
    );
    // Without keep-alive the server closes, or `raw` would wait in vain.
    let reply = raw(
        address,
        "GET / HTTP/1.1\r\nhost: a\r\norigin: https://a.example\r\n\r\n",
    )
    .await;
    assert_eq!(reply.status, 200);
    for line in [
        "cache-control: max-age=5",
        "access-control-allow-origin: https://a.example",
    ] {
        assert!(reply.text.contains(line), "{reply:?}");
    }
    let preflight = "OPTIONS / HTTP/1.1\r\nhost: a\r\norigin: https://a.example\r\naccess-control-request-method: PUT\r\nconnection: close\r\n\r\n";
    let reply = raw(address, preflight).await;
    assert_eq!(reply.status, 204);
    assert!(
        reply.text.contains("access-control-max-age: 300"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn head_has_no_body() {
    let (_server, address) = serve(says("hello"), &[]).await;
    let reply = raw(
        address,
        "HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert_eq!((reply.status, reply.body()), (200, ""));
    assert!(reply.text.contains("content-length: 5"), "{reply:?}");
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let upper = component(|request, _| async move {
        let (to_client, frames) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                let upper = frame.into_data().unwrap().to_ascii_uppercase();
                let frame = Ok(http_body::Frame::data(Bytes::from(upper)));
                if to_client.send(frame).await.is_err() {
                    return;
                }
            }
        });
        let frames = futures::stream::unfold(frames, async |mut f| Some((f.recv().await?, f)));
        Ok(Response::new(BodyExt::boxed_unsync(StreamBody::new(
            frames,
        ))))
    });
    let (_server, address) = serve(upper, &[]).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    for word in ["one", "two", "six"] {
        // The next chunk is sent only when the answer to this one is there.
        stream
            .write_all(format!("3\r\n{word}\r\n").as_bytes())
            .await
            .unwrap();
        let want = format!("3\r\n{}\r\n", word.to_uppercase());
        timeout(support::PATIENCE, async {
            while !seen.ends_with(&want) {
                let mut bytes = [0; 1024];
                let n = stream.read(&mut bytes).await.unwrap();
                assert_ne!(n, 0, "closed after {seen}");
                seen.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_call() {
    struct OnDrop(mpsc::UnboundedSender<&'static str>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            let _ = self.0.send("cancelled");
        }
    }
    let (events, mut seen) = mpsc::unbounded_channel();
    let hangs = component(move |_, _| {
        let events = events.clone();
        async move {
            let _ = events.send("called");
            let _guard = OnDrop(events);
            std::future::pending().await
        }
    });
    let (_server, address) = serve(hangs, &[]).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(
        timeout(support::PATIENCE, seen.recv()).await.unwrap(),
        Some("called")
    );
    drop(stream);
    assert_eq!(
        timeout(support::PATIENCE, seen.recv()).await.unwrap(),
        Some("cancelled")
    );
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let server = HttpServer::new(Default::default());
    let error = server
        .link_put(link(1, says("x"), &[("address", &address)]))
        .await
        .unwrap_err();
    assert!(
        error.0.contains(&format!(
            "cannot listen on `{address}`: the address is in use"
        )),
        "{error}"
    );
    assert!(error.0.contains("ss -ltnp"), "{error}");
    assert_eq!(server.endpoints(), []);
}

#[tokio::test]
async fn a_link_says_which_methods_and_how_large_bodies_it_lets_through() {
    let reads = component(|request, _| async move {
        let body = request.into_body().collect().await?.to_bytes();
        Ok(Response::new(text_body(body)))
    });
    let pairs = [
        ("methods", "GET, POST"),
        ("max_body_bytes", "4"),
        ("access_log", "true"),
    ];
    let (_server, address) = serve(reads, &pairs).await;
    let ask = async |head: &str, body: &str| {
        let mut client = support::Client::connect(address).await;
        // The server may have closed before all is sent.
        let request = format!("{head}\r\nhost: a\r\nconnection: close\r\n{body}");
        _ = client.try_send(&request).await;
        client.rest().await
    };
    let four = "content-length: 4\r\n\r\nbody";
    for (head, body, status) in [
        ("GET / HTTP/1.1", "\r\n", 200),
        ("HEAD / HTTP/1.1", "\r\n", 200),
        ("POST / HTTP/1.1", four, 200),
        ("PUT / HTTP/1.1", four, 405),
        ("POST / HTTP/1.1", "content-length: 5\r\n\r\nlarge", 413),
        (
            "POST / HTTP/1.1",
            "transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            200,
        ),
        (
            "POST / HTTP/1.1",
            "transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n2\r\nis\r\n0\r\n\r\n",
            413,
        ),
    ] {
        let reply = ask(head, body).await;
        let said = reply.split_whitespace().nth(1);
        let wanted = status.to_string();
        assert_eq!(said, Some(&*wanted), "{head} {body:?}: {reply:?}");
        if status == 405 {
            assert!(reply.contains("allow: GET, HEAD, POST"), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_websocket_is_refused_by_name() {
    let (_server, address) = serve(says("x"), &[]).await;
    let request =
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: WebSocket\r\n\r\n";
    let reply = raw(address, request).await;
    assert_eq!(reply.status, 501, "{reply:?}");
    assert!(reply.text.contains("carries no WebSocket"), "{reply:?}");
    // Others may be left out of account (RFC 9110, 7.8).
    let reply = raw(address, &request.replace("WebSocket", "h2c")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn http2_is_served_without_tls_to_whoever_begins_with_it() {
    let echo = component(|request, _| async move {
        let text = format!("{} {:?}", request.uri(), request.version());
        Ok(Response::new(text_body(text)))
    });
    let (_server, address) = serve(echo, &[]).await;
    let tcp = TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(tcp);
    let executor = hyper_util::rt::TokioExecutor::new();
    let handshake = hyper::client::conn::http2::handshake(executor, io).await;
    let (mut send, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder().uri("http://localhost/x");
    let body = http_body_util::Empty::<Bytes>::new();
    let response = send.send_request(request.body(body).unwrap());
    let response = response.await.unwrap();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "http://localhost/x HTTP/2.0");
    // A method that begins in the same way, and comes in two parts.
    let mut client = support::Client::connect(address).await;
    client.send("PR").await;
    tokio::task::yield_now().await;
    client
        .send("OPFIND /y HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    assert!(client.until("HTTP/1.1").await.contains("HTTP/1.1"));
    assert!(client.until("http://a/y HTTP/1.1").await.contains("200"));
}

#[tokio::test]
async fn a_renewed_certificate_is_served_and_one_that_is_none_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert"), path("key"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        made.cert.der().clone()
    };
    let first = renew();
    let pairs = [
        ("tls_cert_file", cert.as_str()),
        ("tls_priv_key_file", key.as_str()),
    ];
    let (server, address) = serve(says("x"), &pairs).await;
    let ring = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    // Whether a client that believes only this certificate is served.
    let is_served = async |certificate: &rustls::pki_types::CertificateDer<'static>| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(ring.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
        connector.connect(name, tcp).await.is_ok()
    };
    assert!(is_served(&first).await);
    let second = renew();
    let renewed = async {
        while !is_served(&second).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(support::PATIENCE, renewed).await.unwrap();
    assert!(!is_served(&first).await);
    // A file that is no certificate leaves the one that was there, and the next one is read again.
    std::fs::write(&cert, "none").unwrap();
    assert!(is_served(&second).await);
    let third = renew();
    let renewed = async {
        while !is_served(&third).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(support::PATIENCE, renewed).await.unwrap();
    server.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn tls_is_served_over_http1_and_http2() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("cert"), made.cert.pem()).unwrap();
    std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    let echo = component(|request, _| async move {
        Ok(Response::new(text_body(format!(
            "{} {:?}",
            request.uri(),
            request.version()
        ))))
    });
    let files = [
        ("tls_cert_file", path("cert")),
        ("tls_priv_key_file", path("key")),
    ];
    let pairs: Vec<_> = files.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let server = HttpServer::new(Default::default());
    let mut tls_link = link(1, echo, &pairs);
    tls_link
        .config
        .insert("address".into(), "127.0.0.1:0".into());
    server.link_put(tls_link).await.unwrap();
    let url = server.endpoints()[0].url.clone();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let address = address(&server, 1);

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let ring = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    for (alpn, version) in [("http/1.1", "HTTP/1.1"), ("h2", "HTTP/2.0")] {
        let mut client = client.clone();
        client.alpn_protocols = vec![alpn.into()];
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
        let io = hyper_util::rt::TokioIo::new(connector.connect(name, tcp).await.unwrap());
        let request = http::Request::builder();
        let body = http_body_util::Empty::<Bytes>::new();
        let response = if alpn == "h2" {
            let executor = hyper_util::rt::TokioExecutor::new();
            let (mut send, conn) = hyper::client::conn::http2::handshake(executor, io)
                .await
                .unwrap();
            tokio::spawn(conn);
            let request = request.uri("https://localhost/x").body(body).unwrap();
            send.send_request(request).await.unwrap()
        } else {
            let (mut send, conn) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(conn);
            let request = request
                .uri("/x")
                .header("host", "localhost")
                .body(body)
                .unwrap();
            send.send_request(request).await.unwrap()
        };
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, format!("https://localhost/x {version}"));
    }
    server.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_next_request() {
    let (_server, address) = serve(says("first"), &[]).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let one_and_a_half = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HT";
    stream.write_all(one_and_a_half).await.unwrap();
    let mut bytes = [0; 1024];
    let n = timeout(support::PATIENCE, stream.read(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert!(bytes[..n].ends_with(b"first"));
}
