//! Messages by the letter of RFC 9110 and RFC 9112: what is refused, and what goes on to the other side.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use support::{
    Client, PATIENCE, address, component, frames, get, link, parts, raw, says, serve, text_body,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use withe_provider::{HttpError, HttpErrorKind, Peer, Provider};
use withe_provider_http_server::HttpServer;

/// A component that says what it was asked.
fn echo() -> Peer {
    component(|request, _| async move {
        let mut text = format!("{} {}\n", request.method(), request.uri());
        let fields = request.headers().iter();
        let mut lines: Vec<_> = fields
            .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
            .collect();
        lines.sort();
        text += &lines.concat();
        let collected = request.into_body().collect().await?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        text += std::str::from_utf8(&collected.to_bytes()).unwrap();
        for (name, value) in &trailers {
            text += &format!("\n{name}= {}", value.to_str().unwrap());
        }
        Ok(Response::new(text_body(text)))
    })
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let (_server, address) = serve(echo(), &[]).await;
    let close = "connection: close\r\n";
    let cases = [
        // The host of a request.
        ("GET / HTTP/1.1", "host: a\r\nhost: b\r\n", "", 400),
        ("GET / HTTP/1.1", "host: a\r\nhost: a\r\n", "", 400),
        ("GET / HTTP/1.1", "", "", 400),
        ("GET / HTTP/1.1", "host:\r\n", "", 400),
        ("GET / HTTP/1.1", "host: u@a\r\n", "", 400),
        ("GET / HTTP/1.0", "", "", 200),
        ("GET http://b/x HTTP/1.1", "host: a\r\n", "", 200),
        ("GET http://b/x HTTP/1.1", "", "", 400),
        ("GET https://b/x HTTP/1.1", "host: b\r\n", "", 421),
        ("OPTIONS * HTTP/1.1", "host: a\r\n", "", 200),
        ("GET * HTTP/1.1", "host: a\r\n", "", 400),
        ("CONNECT a:1 HTTP/1.1", "host: a:1\r\n", "", 501),
        ("GET / HTTP/3.7", "host: a\r\n", "", 400),
        // Its fields.
        ("GET / HTTP/1.1", "host: a\r\nx: 1\r\n folded\r\n", "", 400),
        ("GET / HTTP/1.1", "host: a\r\nx : 1\r\n", "", 400),
        ("GET / HTTP/1.1", " host: a\r\n", "", 400),
        ("GET / HTTP/1.1", "host: a\r\nx: a\0b\r\n", "", 400),
        ("GET / HTTP/1.1", "host: a\r\nx: a\rb\r\n", "", 400),
        // Where it ends.
        (
            "POST / HTTP/1.1",
            "host: a\r\ncontent-length: 2\r\n",
            "ab",
            200,
        ),
        (
            "POST / HTTP/1.1",
            "host: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n",
            "ab",
            200,
        ),
        (
            "POST / HTTP/1.1",
            "host: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n",
            "abc",
            400,
        ),
        (
            "POST / HTTP/1.1",
            "host: a\r\ncontent-length: 2, 3\r\n",
            "abc",
            400,
        ),
        (
            "POST / HTTP/1.1",
            "host: a\r\ncontent-length: +2\r\n",
            "ab",
            400,
        ),
        (
            "POST / HTTP/1.1",
            "host: a\r\ncontent-length: -2\r\n",
            "ab",
            400,
        ),
        ("POST / HTTP/1.1", "host: a\r\ncontent-length:\r\n", "", 400),
        (
            "POST / HTTP/1.1",
            "host: a\r\ntransfer-encoding: gzip\r\n",
            "",
            400,
        ),
        (
            "POST / HTTP/1.1",
            "host: a\r\ntransfer-encoding: chunked, gzip\r\n",
            "",
            400,
        ),
        (
            "POST / HTTP/1.0",
            "host: a\r\ntransfer-encoding: chunked\r\n",
            "0\r\n\r\n",
            400,
        ),
    ];
    for (line, fields, body, status) in cases {
        let request = format!("{line}\r\n{fields}{close}\r\n{body}");
        assert_eq!(raw(address, &request).await.status, status, "{request:?}");
    }
}

/// Two links, of which one is for `/admin`, and each says where it was.
async fn admin_and_all(own: &[(&str, &str)]) -> (HttpServer, SocketAddr) {
    let says_path = |name: &'static str| {
        component(move |request, _| async move {
            Ok(Response::new(text_body(format!(
                "{name} {}",
                request.uri()
            ))))
        })
    };
    let server = HttpServer::new(support::config(own));
    server.start().await.unwrap();
    let all = link(1, says_path("all"), &[("address", "127.0.0.1:0")]);
    server.link_put(all).await.unwrap();
    let address = address(&server, 1);
    let text = address.to_string();
    let admin = [("address", text.as_str()), ("path", "/admin")];
    let admin = link(2, says_path("admin"), &admin);
    server.link_put(admin).await.unwrap();
    (server, address)
}

#[tokio::test]
async fn a_path_is_read_in_one_way() {
    // The path that is asked for, and the one that is seen where paths are normalised, and where they are kept.
    let cases = [
        (
            "/x/../admin",
            "admin http://a/admin",
            "all http://a/x/../admin",
        ),
        ("/admin/../x", "all http://a/x", "admin http://a/admin/../x"),
        (
            "//admin?q=a//b",
            "admin http://a/admin?q=a//b",
            "all http://a//admin?q=a//b",
        ),
        (
            "/x%2F..%2Fadmin",
            "admin http://a/admin",
            "all http://a/x%2F..%2Fadmin",
        ),
        (
            "/x%5c%2e%2E%5Cadmin/",
            "admin http://a/admin/",
            "all http://a/x%5c%2e%2E%5Cadmin/",
        ),
        ("/./admin", "admin http://a/admin", "all http://a/./admin"),
        ("\\admin", "", ""),
        ("/\\admin", "admin http://a/admin", "all http://a/\\admin"),
        (
            "http://a/x/../admin",
            "admin http://a/admin",
            "all http://a/x/../admin",
        ),
    ];
    for own in [
        &[][..],
        &[("ambiguous_paths", "refuse")],
        &[("ambiguous_paths", "normalise")],
        &[("ambiguous_paths", "keep")],
    ] {
        let (_server, address) = admin_and_all(own).await;
        for (path, normal, kept) in cases {
            let reply = get(address, "a", path).await;
            let expected = match own {
                [(_, "normalise")] => normal,
                [(_, "keep")] => kept,
                _ => "",
            };
            match expected {
                "" => assert_eq!(reply.status, 400, "{path}: {reply:?}"),
                expected => assert_eq!(reply.body(), expected, "{path}"),
            }
        }
        let plain = get(address, "a", "/admin/x%20y?q=../%2F").await;
        assert_eq!(plain.body(), "admin http://a/admin/x%20y?q=../%2F");
    }
}

#[tokio::test]
async fn two_lengths_end_the_connection() {
    let (_server, address) = serve(echo(), &[]).await;
    // A program in front that goes by the length would take the rest for a part of the body; it is no request
    // here.
    let fields = "host: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n";
    let next = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let both = format!("POST / HTTP/1.1\r\n{fields}\r\n0\r\n\r\n{next}");
    let reply = raw(address, &both).await;
    assert_eq!(reply.status, 200);
    assert!(!reply.text.contains("smuggled"), "{reply:?}");
    assert!(!reply.text.contains("content-length: 4"), "{reply:?}");
}

#[tokio::test]
async fn a_request_line_goes_before_a_host() {
    let (server, address) = serve(echo(), &[("host", "a.example")]).await;
    let shared = address.to_string();
    let other = [("address", shared.as_str()), ("host", "b.example")];
    server.link_put(link(2, says("b"), &other)).await.unwrap();
    let absolute = |to: &str, host: &str| {
        format!("GET http://{to}/ HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
    };
    let reply = raw(address, &absolute("b.example", "a.example")).await;
    assert_eq!(reply.body(), "b");
    // The component sees one host, not two.
    let reply = raw(address, &absolute("a.example", "b.example")).await;
    assert_eq!(reply.body(), "GET http://a.example/\nhost: a.example\n",);
}

#[tokio::test]
async fn the_field_that_names_the_host_is_there_once() {
    let own = support::config(&[("header", "x-tenant"), ("default_address", "127.0.0.1:0")]);
    let server = withe_provider_http_server::HttpServer::new(own);
    server.link_put(link(1, says("x"), &[])).await.unwrap();
    let twice =
        "GET / HTTP/1.1\r\nhost: a\r\nx-tenant: a\r\nx-tenant: b\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(address(&server, 1), twice).await.status, 400);
}

#[tokio::test]
async fn fields_of_the_connection_do_not_go_on() {
    let (_server, address) = serve(echo(), &[]).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, X-Hop, te\r\nx-hop: 1\r\nte: trailers\r\n\
                   keep-alive: timeout=5\r\nproxy-connection: x\r\nx-end: 2\r\n\r\n";
    let reply = raw(address, request).await;
    // In a chunk, since there could be trailers behind it.
    let seen = "\r\nGET http://a/\nhost: a\nx-end: 2\n\r\n";
    assert!(reply.text.contains(seen), "{reply:?}");

    let answers = component(|_, _| async {
        let response = Response::builder()
            .header("connection", "close, x-hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("transfer-encoding", "gzip")
            .header("upgrade", "h2c")
            .header("x-end", "2");
        Ok(response.body(text_body("x")).unwrap())
    });
    let (_server, address) = serve(answers, &[]).await;
    let mut client = Client::connect(address).await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let text = client.until("\r\n\r\nx").await;
        assert!(text.contains("x-end: 2"), "{text}");
        for gone in [
            "connection",
            "x-hop",
            "keep-alive",
            "transfer-encoding",
            "upgrade",
        ] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
    }
}

#[tokio::test]
async fn old_clients_may_keep_their_connection() {
    let (_server, address) = serve(says("hello"), &[]).await;
    let mut client = Client::connect(address).await;
    for _ in 0..2 {
        client
            .send("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            .await;
        let text = client.until("\r\n\r\nhello").await;
        assert!(text.contains("connection: keep-alive"), "{text}");
    }
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let text = client.rest().await;
    assert!(text.ends_with("\r\n\r\nhello"), "{text}");
    assert!(!text.contains("chunked"), "{text}");
}

#[tokio::test]
async fn a_body_is_asked_for_when_it_is_wanted() {
    let expects = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-Continue\r\n\
                   connection: close\r\n\r\n";
    let (_server, address) = serve(echo(), &[]).await;
    let mut client = Client::connect(address).await;
    client.send(expects).await;
    assert_eq!(
        client.until("\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.send("body").await;
    let text = client.rest().await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\nbody"), "{text}");

    // A client of HTTP/1.0 waits for nothing.
    let old = expects.replace("HTTP/1.1", "HTTP/1.0") + "body";
    assert!(raw(address, &old).await.text.starts_with("HTTP/1.0 200 OK"));

    let (_server, address) = serve(says("no, thanks"), &[]).await;
    let mut client = Client::connect(address).await;
    client.send(expects).await;
    let text = client.rest().await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
}

#[tokio::test]
async fn statuses_without_content_have_none() {
    let answers = component(|request, _| async move {
        let status = request
            .uri()
            .path()
            .trim_start_matches('/')
            .parse()
            .unwrap();
        let (sender, body) = frames();
        sender
            .send(Ok(Frame::data("content".into())))
            .await
            .unwrap();
        let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
        let response = match status {
            304 => response
                .header("content-length", "7")
                .header("etag", "\"x\""),
            _ => response,
        };
        Ok(response.body(body).unwrap())
    });
    let (_server, address) = serve(answers, &[]).await;
    let mut client = Client::connect(address).await;
    for (method, status) in [("GET", 204), ("GET", 205), ("GET", 304), ("HEAD", 200)] {
        // A body that must not be there would come before the second response.
        let request = format!("{method} /{status} HTTP/1.1\r\nhost: a\r\n\r\n");
        client.send(&request).await;
        let first = client.until("\r\n\r\n").await;
        assert!(first.starts_with(&format!("HTTP/1.1 {status}")), "{first}");
        assert!(!first.contains("transfer-encoding"), "{first}");
        assert_eq!(
            first.contains("content-length: 0"),
            status == 205,
            "{first}"
        );
        client.send(&request).await;
        let second = client.until("\r\n\r\n").await;
        assert!(
            second.starts_with(&format!("HTTP/1.1 {status}")),
            "{second}"
        );
    }

    let (_server, address) = serve(
        component(|_, _| async {
            let continues = Response::builder().status(103);
            Ok(continues.body(text_body("")).unwrap())
        }),
        &[],
    )
    .await;
    assert_eq!(get(address, "a", "/").await.status, 500);
}

#[tokio::test]
async fn a_length_that_is_not_kept_is_never_taken_for_one() {
    let cases: [(&'static str, &'static [&'static str], bool); 5] = [
        ("9", &["12345", "6789"], true),
        ("9", &["1234"], false),
        ("4", &["12345"], false),
        ("4", &["123", "45"], false),
        ("0", &["1"], false),
    ];
    for (length, chunks, is_kept) in cases {
        for streamed in [true, false] {
            if streamed && length == "0" {
                // The client has all of it, and hyper asks for no more.
                continue;
            }
            let answers = component(move |_, _| async move {
                let body = match streamed {
                    true => parts(chunks.iter().map(|c| Ok(Frame::data((*c).into())))),
                    false => text_body(chunks.concat()),
                };
                let response = Response::builder().header("content-length", length);
                Ok(response.body(body).unwrap())
            });
            let (_server, address) = serve(answers, &[]).await;
            let twice = "GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(2);
            let mut client = Client::connect(address).await;
            client.send(&twice).await;
            let what = format!("{length} {chunks:?} {streamed}");
            match is_kept {
                true => {
                    let text = client.until("123456789").await;
                    assert!(text.contains("content-length: 9"), "{what}: {text}");
                    client.until("123456789").await;
                }
                // Nothing was sent: it is the component's fault, and that can be said.
                false if !streamed => {
                    let text = client.until("\r\n\r\n").await;
                    assert!(text.starts_with("HTTP/1.1 500"), "{what}: {text}");
                }
                // Part of it may have been sent. The bytes behind it must not look like a response.
                false => {
                    let text = client.rest().await;
                    assert!(text.matches("HTTP/1.1").count() <= 1, "{what}: {text}");
                    let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
                    let length: usize = length.parse().unwrap();
                    assert!(length == 0 || body.len() < length, "{what}: {text}");
                }
            }
        }
    }
    for bad in [["+4"].as_slice(), &["4", "5"], &["four"], &["4, 4"]] {
        let answers = component(move |_, _| async move {
            let mut response = Response::new(text_body("1234"));
            for value in bad {
                let value = HeaderValue::from_static(value);
                response.headers_mut().append("content-length", value);
            }
            Ok(response)
        });
        let (_server, address) = serve(answers, &[]).await;
        assert_eq!(get(address, "a", "/").await.status, 500, "{bad:?}");
    }
}

#[tokio::test]
async fn what_a_component_does_behind_its_length_is_done() {
    let (done, mut is_done) = mpsc::unbounded_channel();
    let answers = component(move |_, _| {
        let done = done.clone();
        async move {
            let chunks = futures::stream::unfold((0, done), async |(n, done)| {
                if n == 0 {
                    return Some((Ok(Frame::data(Bytes::from("all"))), (1, done)));
                }
                tokio::task::yield_now().await;
                done.send(()).unwrap();
                None
            });
            let response = Response::builder().header("content-length", "3");
            Ok(response
                .body(StreamBody::new(chunks).boxed_unsync())
                .unwrap())
        }
    });
    let (server, address) = serve(answers, &[]).await;
    assert_eq!(get(address, "a", "/").await.body(), "all");
    assert_eq!(timeout(PATIENCE, is_done.recv()).await.unwrap(), Some(()));
    timeout(PATIENCE, server.shutdown(PATIENCE)).await.unwrap();
}

/// Trailers of one field each.
fn trailers(pairs: &[(&'static str, &'static str)]) -> Result<Frame<Bytes>, HttpError> {
    let pairs = pairs.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    Ok(Frame::trailers(HeaderMap::from_iter(pairs)))
}

#[tokio::test]
async fn trailers_go_to_those_who_want_them() {
    // Announced or not, with content or without.
    let answers = component(|request, _| async move {
        let path = request.uri().path().to_owned();
        let data = || Ok(Frame::data(Bytes::from("body")));
        let sum = || trailers(&[("x-sum", "42"), ("host", "evil"), ("content-length", "1")]);
        let response = Response::builder();
        Ok(match path.as_str() {
            "/announced" => response
                .header("trailer", "X-Sum")
                .body(parts([data(), sum()])),
            "/half" => response.header("trailer", "x-other").body(parts([
                data(),
                trailers(&[("x-sum", "42"), ("x-other", "1")]),
            ])),
            "/length" => response
                .header("trailer", "x-sum")
                .header("content-length", "4")
                .body(parts([data(), sum()])),
            "/known" => {
                let frames = text_body("body");
                let sum = HeaderMap::from_iter([(
                    HeaderName::from_static("x-sum"),
                    HeaderValue::from_static("42"),
                )]);
                let body = frames.with_trailers(std::future::ready(Some(Ok(sum))));
                response.body(body.boxed_unsync())
            }
            "/only" => response.body(parts([sum()])),
            "/empty" => response.body(parts([data(), trailers(&[])])),
            "/none" => response.body(parts([data()])),
            _ => response.body(parts([data(), sum()])),
        }
        .unwrap())
    });
    let (_server, address) = serve(answers, &[]).await;
    let cases = [
        ("/", "4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n", ""),
        (
            "/announced",
            "4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n",
            "trailer: X-Sum\r\n",
        ),
        (
            "/half",
            "4\r\nbody\r\n0\r\nx-sum: 42\r\nx-other: 1\r\n\r\n",
            "trailer: x-other\r\n",
        ),
        (
            "/length",
            "4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n",
            "trailer: x-sum\r\n",
        ),
        ("/known", "4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n", ""),
        ("/only", "0\r\nx-sum: 42\r\n\r\n", ""),
        ("/empty", "4\r\nbody\r\n0\r\n\r\n", ""),
        ("/none", "4\r\nbody\r\n0\r\n\r\n", ""),
    ];
    let mut client = Client::connect(address).await;
    for te in ["trailers", "gzip;q=0.5, Trailers"] {
        for (path, want, announced) in cases {
            client
                .send(&format!(
                    "GET {path} HTTP/1.1\r\nhost: a\r\nte: {te}\r\n\r\n"
                ))
                .await;
            let mut text = client.until("0\r\n").await;
            while !text.ends_with("\r\n\r\n") {
                text += &client.until("\r\n").await;
            }
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, want, "{path}");
            assert!(!text.contains("withe-"), "{text}");
            let line = format!("{head}\r\n");
            match announced {
                "" => assert!(!line.contains("trailer:"), "{line}"),
                announced => assert!(line.contains(announced), "{line}"),
            }
        }
    }
    // A client that did not ask gets none, and no trace of any.
    for fields in ["", "te: gzip\r\n"] {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}connection: close\r\n\r\n");
        let reply = raw(address, &request).await;
        assert!(reply.text.ends_with("4\r\nbody\r\n0\r\n\r\n"), "{reply:?}");
        assert!(!reply.text.contains("withe-"), "{reply:?}");
    }
    let old = "GET / HTTP/1.0\r\nte: trailers\r\n\r\n";
    assert_eq!(raw(address, old).await.body(), "body");
}

#[tokio::test]
async fn trailers_of_requests_in_a_row_are_not_mixed_up() {
    let answers = component(|request, _| async move {
        let (sender, body) = frames();
        let path = request.uri().path().to_owned();
        tokio::spawn(async move {
            for _ in 0..50 {
                let chunk = Bytes::from(vec![b'x'; 10_000]);
                sender.send(Ok(Frame::data(chunk))).await.unwrap();
            }
            let value = HeaderValue::try_from(path).unwrap();
            let name = HeaderName::from_static("x-path");
            let trailers = Frame::trailers(HeaderMap::from_iter([(name, value)]));
            sender.send(Ok(trailers)).await.unwrap();
        });
        Ok(Response::new(body))
    });
    let (_server, address) = serve(answers, &[]).await;
    let mut client = Client::connect(address).await;
    let request = |n: usize| {
        let close = if n == 9 { "connection: close\r\n" } else { "" };
        format!("GET /{n} HTTP/1.1\r\nhost: a\r\nte: trailers\r\n{close}\r\n")
    };
    let all: String = (0..10).map(request).collect();
    client.send(&all).await;
    let text = client.rest().await;
    assert!(!text.contains("withe-"));
    let ends: Vec<_> = text
        .match_indices("0\r\nx-path: /")
        .map(|(at, found)| text[at + found.len()..].split("\r\n").next().unwrap())
        .collect();
    assert_eq!(ends, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn trailers_of_a_request_reach_the_component() {
    let (_server, address) = serve(echo(), &[]).await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                   4\r\nbody\r\n0\r\nx-sum: 42\r\ncontent-length: 9\r\nhost: evil\r\n\r\n";
    let reply = raw(address, request).await;
    assert_eq!(reply.body(), "POST http://a/\nhost: a\nbody\nx-sum= 42");
}

#[tokio::test]
async fn an_answer_may_pause_for_longer_than_it_may_take() {
    let pauses = component(|_, _| async {
        let chunks = futures::stream::unfold(0, async |n| {
            if n > 0 {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            (n < 3).then(|| (Ok(Frame::data(Bytes::from(format!("part {n}\n")))), n + 1))
        });
        Ok(Response::new(StreamBody::new(chunks).boxed_unsync()))
    });
    // An answer that is there at once is in time, however little that is.
    let (_server, address) = serve(pauses, &[("timeout_ms", "50")]).await;
    let reply = raw(address, "GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(reply.body(), "part 0\npart 1\npart 2\n");
}

#[tokio::test]
async fn what_stands_still_or_never_ends_is_broken_off() {
    // Whether there is something every now and then.
    for (key, ticks) in [("idle_timeout_ms", false), ("request_timeout_ms", true)] {
        let endless = component(move |_, _| async move {
            let chunks = futures::stream::unfold(0, move |n| async move {
                match n {
                    0 => {}
                    _ if ticks => tokio::time::sleep(Duration::from_millis(5)).await,
                    _ => std::future::pending().await,
                }
                Some((Ok(Frame::data(Bytes::from("tick "))), 1))
            });
            let body = StreamBody::new(chunks).boxed_unsync();
            Ok(Response::new(body))
        });
        let (_server, address) = serve(endless, &[(key, "200")]).await;
        let mut client = Client::connect(address).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let text = client.rest().await;
        assert!(text.contains("tick "), "{key}: {text}");
        assert!(!text.contains("\r\n0\r\n"), "{key}: {text}");
    }
}

#[tokio::test]
async fn a_client_that_stops_in_its_body_is_given_up() {
    let (failed, mut failure) = mpsc::unbounded_channel();
    let reads = component(move |request, _| {
        let failed = failed.clone();
        async move {
            let error = request.into_body().collect().await.unwrap_err();
            failed.send(error.clone()).unwrap();
            Err(error)
        }
    });
    let (_server, address) = serve(reads, &[("idle_timeout_ms", "50")]).await;
    let mut client = Client::connect(address).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
        .await;
    let error = timeout(PATIENCE, failure.recv()).await.unwrap().unwrap();
    assert_eq!(error.kind, HttpErrorKind::ConnectionTerminated);
    assert!(error.message.contains("50 ms"), "{error}");
    client.until("HTTP/1.1 502").await;
}

#[tokio::test]
async fn a_client_that_does_not_ask_is_given_up() {
    let own = support::config(&[
        ("head_timeout_ms", "50"),
        ("default_address", "127.0.0.1:0"),
    ]);
    let server = withe_provider_http_server::HttpServer::new(own);
    server.link_put(link(1, says("x"), &[])).await.unwrap();
    let mut client = Client::connect(address(&server, 1)).await;
    client.send("GET / HTTP/1.1\r\nho").await;
    client.rest().await;
}
