//! Whatever head a client sends, it names one target that is a URI, in one way, or is refused. The input is a request
//! line and a `Host` on each line after it. The same bytes are read as frames of HTTP/2, in parts of different sizes.
//!
//! The files are those of `http-server`, taken by their paths, for they are no part of what the crate shows.

#![no_main]

#[path = "../../providers/http-server/src/frames.rs"]
#[allow(dead_code, reason = "only one side's frames are read")]
mod frames;
#[path = "../../providers/http-server/src/paths.rs"]
#[allow(dead_code, reason = "the choice is made here")]
mod paths;
#[path = "../../providers/http-server/src/target.rs"]
#[allow(dead_code, reason = "routes are found elsewhere")]
mod target;

use frames::{FrameHeads, FrameKind};
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use libfuzzer_sys::fuzz_target;
use paths::AmbiguousPaths;
use target::{Inbound, LastHost, RequestTarget};

/// A request that hyper would hand on: its line's parts are what they must be, and so are its fields' values.
fn head(bytes: &[u8]) -> Option<(Method, Uri, Version, HeaderMap)> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut line = lines.next()?.split(|byte| *byte == b' ');
    let method = Method::from_bytes(line.next()?).ok()?;
    let uri = Uri::try_from(line.next()?).ok()?;
    let version = match line.next()? {
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/2" => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let mut fields = HeaderMap::new();
    for host in lines {
        fields.append(HOST, HeaderValue::from_bytes(host).ok()?);
    }
    Some((method, uri, version, fields))
}

fn check(bytes: &[u8], scheme: &Scheme) {
    let Some((method, uri, version, mut fields)) = head(bytes) else {
        return;
    };
    let inbound = Inbound {
        scheme,
        authority: &Authority::from_static("127.0.0.1:8000"),
    };
    let mut last = LastHost::default();
    let read = RequestTarget::read(&method, version, uri, &mut fields, &inbound, &mut last);
    let Ok(target) = read else {
        return;
    };
    assert!(fields.get_all(HOST).iter().count() <= 1);
    let sent = target.path.clone();
    let kept = AmbiguousPaths::Keep.settle(sent.clone());
    assert!(kept.is_ok_and(|kept| kept == sent));
    let refused = AmbiguousPaths::Refuse.settle(sent.clone()).is_err();
    let Ok(normal) = AmbiguousPaths::Normalise.settle(sent.clone()) else {
        panic!("{sent} cannot be normalised");
    };
    assert_eq!(normal == sent, !refused, "{sent}");
    assert_eq!(normal.query(), sent.query());
    // A normal head can be read in one way only.
    assert!(
        AmbiguousPaths::Refuse.settle(normal.clone()).is_ok(),
        "{sent} became {normal}"
    );
    let target = RequestTarget {
        path: normal,
        ..target
    };
    assert!(target.into_uri().is_ok());
}

fn frames_of(bytes: &[u8], size: usize) -> Vec<FrameKind> {
    let mut heads = FrameHeads::of_client();
    let mut found = Vec::new();
    for mut part in bytes.chunks(size) {
        while let Some(kind) = heads.next(&mut part) {
            found.push(kind);
        }
    }
    found
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes, &Scheme::HTTP);
    check(bytes, &Scheme::HTTPS);
    let whole = frames_of(bytes, bytes.len().max(1));
    for size in [1, 7] {
        assert_eq!(frames_of(bytes, size), whole);
    }
});
