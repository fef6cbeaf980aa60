//! The example of `docs/protocol.md`, held to what is on the wire.

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

use crate::frame::{CallHead, Kind};
use crate::outbox::{Envelope, Outbox, Signal};
use crate::{Limits, LinkFunction, LinkRequest, Payload, hello};

/// The bytes of the block of the specification with this heading.
fn documented(heading: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    let text = std::fs::read_to_string(path).unwrap();
    let block = text.split_once(heading).expect("the heading").1;
    let block = block.split("```").nth(1).expect("a block");
    block
        .lines()
        .skip(1)
        .flat_map(|line| {
            line.split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
        })
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

/// The bytes written for the frames that `push` appends.
async fn written(push: impl FnOnce(&Outbox)) -> Vec<u8> {
    let (ours, mut theirs) = tokio::io::duplex(10_000);
    let out = Outbox::new(Box::new(ours), Arc::new(Signal::default()), 10_000);
    push(&out);
    out.shut_down().await;
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut theirs, &mut bytes)
        .await
        .unwrap();
    bytes
}

#[tokio::test]
async fn the_example_is_what_is_on_the_wire() {
    let request = LinkRequest {
        lattice: "default".into(),
        application: "shop".into(),
        importer: "cart".into(),
        name: "default".into(),
        target: "sums".into(),
        functions: vec![LinkFunction {
            interface: "acme:math/sums@1.0.0".into(),
            function: "add".into(),
            digest: 0x0123_4567_89ab_cdef,
        }],
    };
    let head = CallHead {
        link: 0,
        function: 0,
        session: 0,
        remaining: Duration::from_secs(30),
        trace: None,
    };
    let envelope = |kind| Envelope {
        kind,
        flags: 0,
        id: 0,
    };
    let client = written(|out| {
        out.push(|bytes| hello::put(bytes, &Limits::default()));
        out.push(|bytes| request.put(bytes, 0).unwrap());
        let params = Bytes::from(Payload::of(&(2u32, 300u32)).bytes);
        out.push_payload(&envelope(Kind::Call), |b| head.put(b), &[], &[], params);
        out.push_empty(Kind::SessionEnd, 0);
    });
    assert_eq!(documented("### From the client"), client.await);
    let server = written(|out| {
        out.push(|bytes| hello::put(bytes, &Limits::default()));
        out.push_empty(Kind::Linked, 0);
        let results = Bytes::from(Payload::of(&(302u32,)).bytes);
        out.push_payload(&envelope(Kind::Return), |_| {}, &[], &[], results);
    });
    assert_eq!(documented("### From the server"), server.await);
}
