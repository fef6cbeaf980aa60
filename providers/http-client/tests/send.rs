//! Requests to real servers on this machine.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use withe_provider::{
    Body, ConfigMap, FunctionName, HttpError, HttpErrorKind, Link, LinkId, Peer, Provider,
    RequestOptions,
};
use withe_provider_http_client::{DESCRIPTOR, HttpClient};

/// Longer than any exchange should take.
const PATIENCE: Duration = Duration::from_secs(20);

fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn link(pairs: &[(&str, &str)]) -> Link {
    let function = FunctionName {
        interface: "wasi:http/outgoing-handler@0.2.6".into(),
        function: "handle".into(),
    };
    Link {
        id: LinkId(1),
        name: "default".into(),
        application: "app".into(),
        component: "c".into(),
        config: config(pairs),
        peer: Peer::Importer([function].into()),
    }
}

/// A provider with one link. Unless a test says so, nobody's certificates are believed: reading the
/// system's takes time.
async fn linked(pairs: &[(&str, &str)]) -> HttpClient {
    let own = [
        ("load_native_certs", "false"),
        ("load_webpki_certs", "false"),
    ];
    let client = HttpClient::new(config(&own));
    client.start().await.unwrap();
    client.link_put(link(pairs)).await.unwrap();
    client
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn get(uri: impl AsRef<str>) -> Request<Body> {
    Request::get(uri.as_ref()).body(empty()).unwrap()
}

async fn send(
    client: &HttpClient,
    request: Request<Body>,
    options: RequestOptions,
) -> Result<Response<Body>, HttpError> {
    let handler = client.outgoing_http().unwrap();
    timeout(PATIENCE, handler.send(LinkId(1), request, options))
        .await
        .expect("an answer")
}

async fn text(response: Response<Body>) -> Result<String, HttpError> {
    let body = timeout(PATIENCE, response.into_body().collect())
        .await
        .expect("all of it")?;
    Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

async fn kind(client: &HttpClient, request: Request<Body>) -> HttpErrorKind {
    send(client, request, RequestOptions::default())
        .await
        .unwrap_err()
        .kind
}

/// A server that says what it was asked, and counts its connections.
async fn echo() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let service = service_fn(|request: Request<Incoming>| async move {
                let host = request
                    .headers()
                    .get("host")
                    .map(|h| h.to_str().unwrap().to_owned());
                let line = format!("{} {} {host:?}", request.method(), request.uri());
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(line))))
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, connections)
}

/// A server that reads a little of each connection, sends `answer` and then does nothing.
async fn says(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 1024];
            let _ = stream.read(&mut bytes).await;
            let _ = stream.write_all(answer).await;
            open.push(stream);
        }
    });
    address
}

#[test]
fn the_world_exports_both_clients() {
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
    assert_eq!(
        names,
        [
            "wasi:http/outgoing-handler@0.2.12",
            "wasi:http/client@0.3.0"
        ]
    );
}

#[tokio::test]
async fn requests_arrive_and_share_a_connection() {
    let (address, connections) = echo().await;
    let client = linked(&[]).await;
    for _ in 0..3 {
        let mut request = get(format!("http://{address}/a?b"));
        // A component cannot ask one host in another's name.
        request
            .headers_mut()
            .insert("host", "other.example".parse().unwrap());
        *request.version_mut() = http::Version::HTTP_2;
        let response = send(&client, request, RequestOptions::default())
            .await
            .unwrap();
        assert_eq!(
            text(response).await.unwrap(),
            format!("GET /a?b Some(\"{address}\")")
        );
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn fields_of_connections_stay_on_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(stream.read_u8().await.unwrap()));
        }
        let answer = "HTTP/1.1 200 OK\r\nconnection: x-hop, close\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n\
                      content-length: 9\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nx-end: 2\r\n\r\n\
                      4\r\nbody\r\n0\r\nx-sum: 42\r\nhost: evil\r\nx-more: 43\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        head
    });
    let client = linked(&[]).await;
    let mut request = get(format!("http://{address}/"));
    let fields = [
        ("connection", "x-hop, close"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("x-end", "2"),
    ];
    for (name, value) in fields {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let response = send(&client, request, RequestOptions::default())
        .await
        .unwrap();
    let mut names: Vec<_> = response.headers().keys().map(|n| n.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["trailer", "x-end"]);
    let body = timeout(PATIENCE, response.into_body().collect());
    let body = body.await.expect("all of it").unwrap();
    let trailers = body.trailers().cloned().unwrap();
    assert_eq!(body.to_bytes(), "body");
    assert_eq!(trailers.len(), 2);
    assert_eq!(
        (&trailers["x-sum"], &trailers["x-more"]),
        (&"42".parse().unwrap(), &"43".parse().unwrap())
    );

    let head = timeout(PATIENCE, asked).await.unwrap().unwrap();
    let mut lines: Vec<_> = head
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty())
        .collect();
    lines.sort_unstable();
    let host = format!("host: {address}");
    assert_eq!(lines, ["connection: te", &host, "te: trailers", "x-end: 2"]);
}

#[tokio::test]
async fn trailers_that_a_request_announces_are_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        while !request.ends_with("0\r\nx-sum: 42\r\n\r\n") {
            request.push(char::from(stream.read_u8().await.unwrap()));
        }
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        request
    });
    let client = linked(&[]).await;
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    trailers.insert("host", "evil".parse().unwrap());
    // Of a length that is known.
    let body = Full::new(Bytes::from("body"))
        .map_err(|never| match never {})
        .with_trailers(std::future::ready(Some(Ok(trailers))));
    let request = Request::post(format!("http://{address}/"))
        .header("trailer", "x-sum")
        .header("content-length", "4")
        .body(body.boxed_unsync())
        .unwrap();
    let response = send(&client, request, RequestOptions::default());
    assert_eq!(response.await.unwrap().status(), 204);
    let request = timeout(PATIENCE, asked).await.unwrap().unwrap();
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
}

#[tokio::test]
async fn only_what_is_allowed_is_connected_to() {
    let (address, connections) = echo().await;
    let client = linked(&[("allow", "example.com, 127.0.0.1:1")]).await;
    for uri in [
        format!("http://{address}/"),
        format!("http://example.com@{address}/"),
    ] {
        let error = send(&client, get(uri), RequestOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind, HttpErrorKind::Denied);
        let want =
            format!("`{address}` is not allowed: the link's `allow` is `example.com, 127.0.0.1:1`");
        assert!(error.message.starts_with(&want), "{error}");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 0);
    // A change of the link counts at once.
    client
        .link_put(link(&[("allow", "127.0.0.1")]))
        .await
        .unwrap();
    send(
        &client,
        get(format!("http://{address}/")),
        RequestOptions::default(),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn failures_are_told_apart() {
    let client = linked(&[]).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(
        kind(&client, get(format!("http://{closed}/"))).await,
        HttpErrorKind::ConnectionRefused
    );
    assert_eq!(
        kind(&client, get("http://no-such-name.invalid/")).await,
        HttpErrorKind::Dns
    );
    let garbage = says(b"SSH-2.0-no\r\n\r\n").await;
    assert_eq!(
        kind(&client, get(format!("http://{garbage}/"))).await,
        HttpErrorKind::Protocol
    );
    assert_eq!(
        kind(&client, get(format!("https://{garbage}/"))).await,
        HttpErrorKind::Tls
    );
    assert_eq!(
        kind(&client, get("/no-authority")).await,
        HttpErrorKind::InvalidRequest
    );
    assert_eq!(
        kind(&client, get("ftp://a.example/")).await,
        HttpErrorKind::InvalidRequest
    );
    let connect = Request::connect("http://a.example/").body(empty()).unwrap();
    assert_eq!(kind(&client, connect).await, HttpErrorKind::InvalidRequest);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hang_up = tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
    let kind = kind(&client, get(format!("http://{address}/"))).await;
    assert_eq!(kind, HttpErrorKind::ConnectionTerminated);
    hang_up.await.unwrap();
}

#[tokio::test]
async fn every_wait_has_a_limit() {
    let short = Some(Duration::from_millis(50));
    let client = linked(&[]).await;

    // Nobody completes TLS there.
    let silent = says(b"").await;
    let options = RequestOptions {
        connect_timeout: short,
        ..Default::default()
    };
    let error = send(&client, get(format!("https://{silent}/")), options)
        .await
        .unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::ConnectionTimeout, "{error}");

    let options = RequestOptions {
        first_byte_timeout: short,
        ..Default::default()
    };
    let error = send(&client, get(format!("http://{silent}/")), options)
        .await
        .unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::ResponseTimeout, "{error}");

    let slow = says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let options = RequestOptions {
        between_bytes_timeout: short,
        ..Default::default()
    };
    let response = send(&client, get(format!("http://{slow}/")), options)
        .await
        .unwrap();
    assert_eq!(
        text(response).await.unwrap_err().kind,
        HttpErrorKind::ResponseTimeout
    );

    // The link's limits hold for components that ask for nothing, or for more.
    let client = linked(&[
        ("first_byte_timeout_ms", "50"),
        ("connect_timeout_ms", "50"),
    ])
    .await;
    let long = Some(Duration::from_secs(3600));
    let options = RequestOptions {
        first_byte_timeout: long,
        ..Default::default()
    };
    let error = send(&client, get(format!("http://{silent}/")), options)
        .await
        .unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::ResponseTimeout, "{error}");
    let kind = kind(&client, get(format!("https://{silent}/"))).await;
    assert_eq!(kind, HttpErrorKind::ConnectionTimeout);
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mirror = service_fn(|request: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(request.into_body()))
        });
        let http = hyper::server::conn::http1::Builder::new();
        let _ = http.serve_connection(TokioIo::new(stream), mirror).await;
    });
    let client = linked(&[]).await;
    let (frames, queue) = mpsc::channel::<Result<http_body::Frame<Bytes>, HttpError>>(1);
    let queue = futures::stream::unfold(queue, async |mut q| Some((q.recv().await?, q)));
    let body = BodyExt::boxed_unsync(StreamBody::new(queue));
    let request = Request::post(format!("http://{address}/"))
        .body(body)
        .unwrap();
    let response = send(&client, request, RequestOptions::default())
        .await
        .unwrap();
    let mut body = response.into_body();
    for word in ["one", "two"] {
        // The next is sent only when this one has come back.
        frames
            .send(Ok(http_body::Frame::data(word.into())))
            .await
            .unwrap();
        let frame = timeout(PATIENCE, body.frame())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(frame.into_data().unwrap(), word);
    }
    drop(frames);
    assert!(timeout(PATIENCE, body.frame()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_request_whose_body_fails_says_why() {
    let (address, _) = echo().await;
    let client = linked(&[]).await;
    let failure = HttpError::new(HttpErrorKind::Handler, "the component trapped");
    let frames = futures::stream::iter([
        Ok(http_body::Frame::data(Bytes::from("part"))),
        Err(failure.clone()),
    ]);
    let body = BodyExt::boxed_unsync(StreamBody::new(frames));
    let request = Request::post(format!("http://{address}/"))
        .body(body)
        .unwrap();
    let error = match send(&client, request, RequestOptions::default()).await {
        Ok(response) => text(response).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error, failure);
}

/// A server with a certificate for `localhost`, which answers with the version it was asked in.
async fn tls_server(alpn: &'static [u8]) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let service = service_fn(|request: Request<Incoming>| async move {
                let version = format!("{:?}", request.version());
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(version))))
            });
            let io = TokioIo::new(stream);
            if alpn == b"h2" {
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http.serve_connection(io, service));
            } else {
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(io, service));
            }
        }
    });
    (address, made.cert.pem())
}

#[tokio::test]
async fn tls_is_spoken_to_those_whose_certificate_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let path = file.to_str().unwrap();
    for (alpn, version) in [(&b"http/1.1"[..], "HTTP/1.1"), (b"h2", "HTTP/2.0")] {
        let (address, pem) = tls_server(alpn).await;
        std::fs::write(&file, pem).unwrap();
        let uri = format!("https://localhost:{}/", address.port());

        let client = linked(&[("ssl_certs_file", path)]).await;
        let response = send(&client, get(&uri), RequestOptions::default())
            .await
            .unwrap();
        assert_eq!(text(response).await.unwrap(), version);
        // The name counts as well.
        let by_address = get(format!("https://{address}/"));
        assert_eq!(kind(&client, by_address).await, HttpErrorKind::Tls);
        assert_eq!(
            kind(&linked(&[]).await, get(&uri)).await,
            HttpErrorKind::Tls
        );
    }
    let missing = folder.path().join("none.pem");
    std::fs::write(&file, "no certificate").unwrap();
    for path in [path, missing.to_str().unwrap()] {
        let pairs = [("ssl_certs_file", path)];
        let error = HttpClient::new(ConfigMap::new())
            .link_put(link(&pairs))
            .await
            .unwrap_err();
        assert!(error.0.contains(path), "{error}");
    }
}

/// A proxy that lets `me` in with the password `right`, and tunnels to this machine only; counts the tunnels.
async fn proxy() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tunnels = Arc::new(AtomicUsize::new(0));
    let count = tunnels.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap() == 0 {
                        return;
                    }
                }
                let head = String::from_utf8(head).unwrap();
                // `me:right`
                let is_known = head.contains("proxy-authorization: Basic bWU6cmlnaHQ=\r\n");
                let to = head.strip_prefix("CONNECT localhost:");
                let port = to.and_then(|rest| rest.split(' ').next()?.parse::<u16>().ok());
                let answer = match (is_known, port) {
                    (false, _) => "HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n",
                    (true, None) => "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n",
                    (true, Some(_)) => "HTTP/1.1 200 Go on\r\n\r\n",
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
                if let (true, Some(port)) = (is_known, port) {
                    count.fetch_add(1, Ordering::Relaxed);
                    let mut to = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    _ = tokio::io::copy_bidirectional(&mut stream, &mut to).await;
                }
            });
        }
    });
    (address, tunnels)
}

#[tokio::test]
async fn requests_go_through_a_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let ca = ("ssl_certs_file", file.to_str().unwrap());
    let (server, pem) = tls_server(b"h2").await;
    std::fs::write(&file, pem).unwrap();
    let secure = format!("https://localhost:{}/", server.port());

    // Through a tunnel, in which the client speaks to the server itself.
    let (at, tunnels) = proxy().await;
    let url = format!("http://me:right@{at}");
    let client = linked(&[ca, ("proxy", &url)]).await;
    let response = send(&client, get(&secure), RequestOptions::default()).await;
    assert_eq!(text(response.unwrap()).await.unwrap(), "HTTP/2.0");
    assert_eq!(tunnels.load(Ordering::Relaxed), 1);
    // A refusal of the proxy is said.
    let wrong = format!("http://me:s3cret@{at}");
    for (url, uri, says) in [
        (&wrong, secure.as_str(), "refuses the user"),
        (&url, "https://elsewhere.example/", "answers 403"),
    ] {
        let client = linked(&[ca, ("proxy", url)]).await;
        let failed = send(&client, get(uri), RequestOptions::default()).await;
        let failed = failed.unwrap_err();
        assert_eq!(failed.kind, HttpErrorKind::ConnectionRefused, "{failed:?}");
        let is_clear = failed.message.contains(says) && !failed.message.contains("s3cret");
        assert!(is_clear, "{failed:?}");
    }
    // Not for those that are reached directly.
    let direct = [ca, ("proxy", &*wrong), ("no_proxy", "localhost")];
    let client = linked(&direct).await;
    let response = send(&client, get(&secure), RequestOptions::default()).await;
    assert_eq!(text(response.unwrap()).await.unwrap(), "HTTP/2.0");

    // Without TLS the proxy gets the request itself, for a server that this machine does not know.
    let (at, _) = echo().await;
    let url = format!("http://{at}");
    let client = linked(&[("proxy", &url)]).await;
    let response = send(
        &client,
        get("http://elsewhere.example/x"),
        RequestOptions::default(),
    );
    let said = text(response.await.unwrap()).await.unwrap();
    assert_eq!(
        said,
        "GET http://elsewhere.example/x Some(\"elsewhere.example\")"
    );
}

#[tokio::test]
async fn a_link_that_is_gone_sends_nothing() {
    let (address, _) = echo().await;
    let client = linked(&[]).await;
    client.link_deleted(LinkId(1), Duration::ZERO).await;
    let kind = kind(&client, get(format!("http://{address}/"))).await;
    assert_eq!(kind, HttpErrorKind::Internal);
}

/// A server that answers each request, one a connection, with the next of these: `None` closes the connection without an answer. Bodies that
/// it read are kept.
async fn failing(answers: Vec<Option<&'static str>>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bodies = Arc::<Mutex<Vec<String>>>::default();
    let read = bodies.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            // Bodies in these tests end in a dot, and so does no head.
            while !(request.ends_with("\r\n\r\n") && request.contains("content-length: 0")
                || request.ends_with("\r\n\r\n") && !request.contains("content-length")
                || request.ends_with('.'))
            {
                let mut bytes = [0; 1024];
                let n = stream.read(&mut bytes).await.unwrap();
                assert_ne!(n, 0, "{request}");
                request += std::str::from_utf8(&bytes[..n]).unwrap();
            }
            let body = request.split_once("\r\n\r\n").unwrap().1;
            read.lock().unwrap().push(body.to_owned());
            if let Some(answer) = answer {
                let head = format!(
                    "HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        }
    });
    (address, bodies)
}

const RETRIES: [(&str, &str); 1] = [("retries", "3")];

#[tokio::test]
async fn what_may_be_repeated_is_sent_again() {
    let busy = "503 Service Unavailable";
    let client = linked(&RETRIES).await;
    for method in ["GET", "PUT", "DELETE"] {
        let (address, bodies) = failing(vec![None, Some(busy), Some("200 OK")]).await;
        let body = match method {
            "PUT" => "two eggs.",
            _ => "",
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{address}/"))
            .body(BodyExt::boxed_unsync(
                Full::new(Bytes::from(body)).map_err(|never| match never {}),
            ))
            .unwrap();
        let response = send(&client, request, RequestOptions::default()).await;
        assert_eq!(response.unwrap().status(), 200, "{method}");
        assert_eq!(*bodies.lock().unwrap(), [body; 3], "{method}");
    }
}

#[tokio::test]
async fn nothing_else_is_sent_again() {
    let busy = Some("503 Service Unavailable");
    // A method that must not be; a link that does not ask for it; a server that wants to be left alone for long; an answer
    // that another attempt would not change.
    for (method, settings, answer, status) in [
        ("POST", &RETRIES[..], busy, 503),
        ("GET", &[], busy, 503),
        ("GET", &RETRIES, Some("503 Busy\r\nretry-after: 86400"), 503),
        ("GET", &RETRIES, Some("500 Broken"), 500),
    ] {
        let client = linked(settings).await;
        let (address, bodies) = failing(vec![answer, Some("200 OK")]).await;
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{address}/"))
            .body(empty())
            .unwrap();
        let response = send(&client, request, RequestOptions::default()).await;
        assert_eq!(response.unwrap().status(), status, "{method} {answer:?}");
        assert_eq!(bodies.lock().unwrap().len(), 1, "{method} {answer:?}");
    }
}

#[tokio::test]
async fn attempts_end_with_the_time_of_one() {
    let client = linked(&[
        ("retries", "10"),
        ("connect_timeout_ms", "100"),
        ("first_byte_timeout_ms", "100"),
    ])
    .await;
    // A socket that does not listen keeps the port from others. More pauses than these fit in no fifth of a second.
    let deaf = tokio::net::TcpSocket::new_v4().unwrap();
    deaf.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = deaf.local_addr().unwrap();
    assert_eq!(
        kind(&client, get(format!("http://{address}/"))).await,
        HttpErrorKind::ConnectionRefused
    );
}
