//! Peers that are broken or mean harm: they get an error, and the server goes on.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use super::target::{ECHO, HANG, MAKE, NOTE, USE};
use super::{AGES, Raw, call_body, request, until, within};
use crate::budget::Pool;
use crate::frame::{self, Failure, Frame, HEADER, Header, Kind, Parting, flag};
use crate::{
    BoxFuture, CallError, Client, Connect, Duplex, HandleRef, Limits, Payload, StreamKind, hello,
};

#[tokio::test]
async fn frames_of_later_versions_are_skipped() {
    let mut raw = Raw::linked().await;
    let mut out = Vec::new();
    frame::write(&mut out, Kind::Ping, 0, 5, |b| {
        b.extend_from_slice(b"unknown")
    });
    out[4] = 200;
    raw.send(&out).await;
    raw.write(Kind::Ping, 0xff, 7, b"more than there was").await;
    let (header, _) = raw.frame().await.unwrap();
    assert_eq!((header.kind, header.id), (Kind::Pong as u8, 7));
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_connection() {
    let call = call_body(HANG, 0, &[], &[]);
    for (what, frames) in [
        (
            "a call's number is in use",
            vec![(Kind::Call, 0, 0, call.clone()); 2],
        ),
        (
            "only a server answers",
            vec![(Kind::Return, 0, 0, vec![0, 0])],
        ),
        ("cut short", vec![(Kind::Call, 0, 0, call[..2].to_vec())]),
        (
            "more handles than bytes",
            vec![(Kind::Payload, 0, 0, vec![0xff, 0xff, 3])],
        ),
        (
            "a link's number is in use",
            vec![(Kind::Link, 0, 0, vec![0; 6])],
        ),
        ("no request", vec![(Kind::Link, 0, 1, vec![1])]),
        (
            "mixed requests",
            vec![
                (Kind::Link, flag::MORE, 1, vec![0]),
                (Kind::Link, 0, 2, vec![0]),
            ],
        ),
    ] {
        let mut raw = Raw::linked().await;
        for (kind, flags, id, body) in frames {
            raw.write(kind, flags, id, &body).await;
        }
        let (parting, text) = raw.goodbye().await;
        assert_eq!(parting, Parting::Protocol, "{what}: {text}");
        until("the calls end", || raw.target.running() == 0).await;
        until("the sessions end", || raw.target.sessions() == 0).await;
    }
}

#[tokio::test]
async fn limits_fail_what_exceeds_them_and_nothing_else() {
    let limits = Limits {
        payload: 100,
        calls: 2,
        sessions: 1,
        links: 1,
        ..Limits::default()
    };
    let mut raw = Raw::linked_with(limits).await;
    let is_exhausted = |why| matches!(why, Failure::Error(CallError::Exhausted(_)));
    raw.call(0, HANG, &[]).await;
    raw.call(2, NOTE, &[]).await;
    assert!(is_exhausted(raw.failure(2).await));
    let body = call_body(NOTE, 1, &[], &[]);
    raw.write(Kind::Call, 0, 1, &body).await;
    assert!(is_exhausted(raw.failure(1).await));
    let body = call_body(NOTE, 0, &[], &[1; 60]);
    raw.write(Kind::Call, flag::MORE, 1, &body).await;
    raw.write(Kind::Payload, 0, 1, &[&[0, 0][..], &[1; 60]].concat())
        .await;
    assert!(is_exhausted(raw.failure(1).await));
    let mut out = Vec::new();
    request().put(&mut out, 1).unwrap();
    raw.send(&out).await;
    let (header, _) = raw.frame().await.unwrap();
    assert_eq!((header.kind, header.id), (Kind::Refused as u8, 1));
    raw.call(1, ECHO, &[1; 100]).await;
    let (header, _) = raw.frame().await.unwrap();
    assert_eq!((header.kind, header.id), (Kind::Return as u8, 1));
}

#[tokio::test]
async fn drops_that_wait_are_bounded() {
    let limits = Limits {
        handles: 100,
        ..Limits::default()
    };
    let mut raw = Raw::linked_with(limits).await;
    let body = call_body(NOTE, 0, &[], &[]);
    raw.write(Kind::Call, flag::MORE, 0, &body).await;
    for _ in 0..101 {
        raw.write(Kind::Drop, 0, 0, &[1, 1]).await;
    }
    assert_eq!(raw.goodbye().await.0, Parting::Exhausted);
}

#[tokio::test]
async fn unfinished_payloads_are_bounded_together() {
    let limits = Limits {
        unfinished: 100_000,
        ..Limits::default()
    };
    let mut raw = Raw::linked_with(limits).await;
    let body = call_body(NOTE, 0, &[], &[1; 60_000]);
    raw.write(Kind::Call, flag::MORE, 0, &body).await;
    raw.write(Kind::Call, flag::MORE, 1, &body).await;
    let why = raw.failure(1).await;
    assert!(matches!(why, Failure::Error(CallError::Exhausted(_))));
    raw.write(Kind::Cancel, 0, 0, &[]).await;
    assert_eq!(raw.failure(0).await, Failure::Cancelled);
    raw.write(Kind::Call, flag::MORE, 1, &body).await;
    raw.write(Kind::Payload, 0, 1, &[0, 0]).await;
    let (header, _) = raw.frame().await.unwrap();
    assert_eq!((header.kind, header.id), (Kind::Return as u8, 1));
}

#[tokio::test]
async fn many_connections_hold_no_more_than_their_server_has() {
    const ALL: usize = 1 << 20;
    let pool = Pool::new(ALL);
    let mut connections = Vec::new();
    let is_exhausted = |why: &Failure| match why {
        Failure::Error(CallError::Exhausted(text)) => text.contains("all connections"),
        _ => false,
    };
    // Each sends unfinished calls until it gets no more.
    for _ in 0..20 {
        let mut raw = Raw::of(Limits::default(), Some(pool.clone())).link().await;
        let body = call_body(NOTE, 0, &[], &[1; 60_000]);
        for id in 0.. {
            raw.write(Kind::Call, flag::MORE, id, &body).await;
            // Behind the call, so that it is answered when the call was taken.
            raw.write(Kind::Ping, 0, id, &[]).await;
            let (header, body) = raw.frame().await.unwrap();
            if header.kind != Kind::Pong as u8 {
                let Ok(Frame::Fail(why)) = Frame::read(&header, &body) else {
                    panic!("{header:?}");
                };
                assert!(is_exhausted(&why), "{why:?}");
                break;
            }
        }
        connections.push(raw);
        assert!(pool.held() <= ALL);
    }
    // The first did not get more than half of it.
    assert!(pool.held() > ALL / 2);
    // Small calls and those of others go on; and when the bad have gone, all is there again.
    let mut last = Raw::of(Limits::default(), Some(pool.clone())).link().await;
    last.call(0, ECHO, &[1; 1_000]).await;
    let (header, _) = last.frame().await.unwrap();
    assert_eq!(header.kind, Kind::Return as u8);
    drop(connections);
    until("what they held is given back", || pool.held() == 0).await;
    let body = call_body(NOTE, 0, &[], &[1; 60_000]);
    last.write(Kind::Call, flag::MORE, 1, &body).await;
    until("it has what it asked for", || pool.held() >= 60_000).await;
}

#[tokio::test]
async fn answers_that_many_do_not_take_are_no_more_than_their_server_has() {
    const ALL: usize = 8 << 20;
    const EACH: usize = 60_000;
    let pool = Pool::new(ALL);
    let mut connections = Vec::new();
    for _ in 0..10 {
        let mut raw = Raw::of(Limits::default(), Some(pool.clone())).link().await;
        let body = call_body(ECHO, 0, &[], &[1; EACH]);
        for id in 0..100 {
            let mut out = Vec::new();
            frame::write(&mut out, Kind::Call, 0, id, |b| b.extend_from_slice(&body));
            // A server that takes no more from one who takes nothing stops reading.
            let sent = timeout(Duration::from_millis(50), raw.stream.write_all(&out)).await;
            if sent.is_err() {
                break;
            }
        }
        connections.push(raw);
        assert!(pool.held() <= ALL);
    }
    assert!(pool.held() > EACH);
    drop(connections);
    until("what they held is given back", || pool.held() == 0).await;
}

/// Each is a frame that a caller could think of who wants what is not its own.
#[tokio::test]
async fn forged_handles_and_credits_get_nothing() {
    let own = |id| HandleRef { id, own: true };
    let lent = |id| HandleRef { id, own: false };
    let mut raw = Raw::linked().await;
    // Session 0 is given handles 1 and 2, session 1 none.
    raw.call(0, MAKE, &[2]).await;
    raw.frame().await.unwrap();
    let body = call_body(NOTE, 1, &[], &[1]);
    raw.write(Kind::Call, 0, 1, &body).await;
    raw.frame().await.unwrap();
    let is_refused = |why: &Failure| matches!(why, Failure::Error(CallError::TypeMismatch(_)));
    for (what, session, handles) in [
        ("another session's, lent", 1, vec![lent(1)]),
        ("another session's, moved", 1, vec![own(2)]),
        ("nobody's", 0, vec![lent(0)]),
        ("the last there could be", 0, vec![own(u32::MAX)]),
        ("moved twice", 0, vec![own(1), own(1)]),
        ("moved and lent", 0, vec![own(1), lent(1)]),
        ("lent and moved", 0, vec![lent(1), own(1)]),
        ("one good, one not", 0, vec![own(1), own(9)]),
        ("a new session's", 7, vec![lent(1)]),
    ] {
        let body = call_body(USE, session, &handles, &[]);
        raw.write(Kind::Call, 0, 2, &body).await;
        let why = raw.failure(2).await;
        assert!(is_refused(&why), "{what}: {why:?}");
    }
    // Dropped by others, more than once, and in a session that is not there: nothing is.
    for (session, ids) in [
        (1, vec![2, 1, 2]),
        (0, vec![1, 3]),
        (9, vec![1, 1]),
        (0, vec![1, 0]),
    ] {
        raw.write(Kind::Drop, 0, session, &ids).await;
    }
    raw.write(Kind::Ping, 0, 1, &[]).await;
    assert_eq!(raw.frame().await.unwrap().0.kind, Kind::Pong as u8);
    let noted = raw.target.noted();
    let noted = noted.iter().filter(|entry| entry.starts_with("drop "));
    assert_eq!(noted.count(), 0, "{:?}", raw.target.noted());
    // The handle that is held is still there, and goes once.
    let body = call_body(USE, 0, &[own(1), lent(2)], &[]);
    raw.write(Kind::Call, 0, 2, &body).await;
    assert_eq!(raw.frame().await.unwrap().0.kind, Kind::Return as u8);
    raw.write(Kind::Call, 0, 2, &body).await;
    assert!(is_refused(&raw.failure(2).await));
    raw.write(Kind::Drop, 0, 0, &[2, 2, 2]).await;
    raw.write(Kind::Ping, 0, 2, &[]).await;
    assert_eq!(raw.frame().await.unwrap().0.kind, Kind::Pong as u8);
    let noted = raw.target.noted();
    assert_eq!(noted.iter().filter(|entry| *entry == "drop 2").count(), 1);

    // Of streams: those that nobody has, those that the caller itself writes, and more than can be counted.
    for (what, kind, id, body) in [
        ("credit for nothing", Kind::Credit, 0, vec![1]),
        ("credit for one's own", Kind::Credit, 1, vec![1]),
        ("data for nothing", Kind::Data, 1, b"\x01\0\0x".to_vec()),
        (
            "data for what the server writes",
            Kind::Data,
            0,
            b"\x01\0\0x".to_vec(),
        ),
        ("an end of nothing", Kind::Close, 2, Vec::new()),
    ] {
        let mut raw = Raw::linked().await;
        raw.write(kind, 0, id, &body).await;
        raw.write(Kind::Ping, 0, 3, &[]).await;
        let (header, body) = raw.frame().await.unwrap();
        let is_ended = match Frame::read(&header, &body) {
            Ok(Frame::Goodbye(parting, _)) => parting == Parting::Protocol,
            // Streams that have ended may still be spoken of by those who do not know yet.
            Ok(Frame::Pong) => true,
            _ => false,
        };
        assert!(is_ended, "{what}: {header:?}");
        raw.target
            .noted()
            .iter()
            .for_each(|entry| assert!(!entry.starts_with("call"), "{what}"));
    }
    let mut raw = Raw::linked().await;
    let mut body = call_body(ECHO, 0, &[], &[]);
    body.truncate(body.len() - 1);
    body.extend([1, StreamKind::Bytes.code(), 1]);
    raw.write(Kind::Call, 0, 0, &body).await;
    let mut credits = Vec::new();
    for _ in 0..1_000 {
        frame::write(&mut credits, Kind::Credit, 0, 0, |b| {
            b.extend_from_slice(b"\xff\xff\xff\xff\x0f");
        });
    }
    raw.send(&credits).await;
    raw.write(Kind::Ping, 0, 4, &[]).await;
    // Whatever comes of the stream, the server lives: it says so, or says what was wrong.
    loop {
        let (header, _) = raw.frame().await.unwrap();
        if header.kind == Kind::Pong as u8 || header.kind == Kind::Goodbye as u8 {
            break;
        }
    }
}

#[tokio::test]
async fn who_takes_no_answers_is_not_asked_for_more_memory() {
    let limits = Limits {
        queue: 10_000,
        ..Limits::default()
    };
    let mut raw = Raw::linked_with(limits).await;
    // Pings without end, whose answers nobody reads: the server stops reading.
    let mut pings = Vec::new();
    for id in 0..10_000 {
        frame::write(&mut pings, Kind::Ping, 0, id, |_| {});
    }
    let flood = async {
        for _ in 0..100 {
            if raw.stream.write_all(&pings).await.is_err() {
                return;
            }
        }
    };
    let flooded = tokio::time::timeout(std::time::Duration::from_millis(300), flood).await;
    // The server stopped the flood: it stopped reading, or it hung up.
    assert!(flooded.is_err() || raw.goodbye().await.0 == Parting::Exhausted);
}

/// Frames of a conversation that makes sense.
fn conversation() -> Vec<u8> {
    let mut out = Vec::new();
    hello::put(&mut out, &Limits::default());
    request().put(&mut out, 0).unwrap();
    let mut write = |kind, flags, id, body: &[u8]| {
        frame::write(&mut out, kind, flags, id, |b| b.extend_from_slice(body));
    };
    write(Kind::Call, 0, 0, &call_body(MAKE, 0, &[], &[3]));
    write(
        Kind::Call,
        flag::MORE,
        1,
        &call_body(ECHO, 0, &[], b"first"),
    );
    write(Kind::Payload, flag::MORE, 1, b"\0\0second");
    write(Kind::Payload, 0, 1, b"\0\0third");
    write(Kind::Call, 0, 2, &call_body(HANG, 1, &[], b""));
    let lent = [
        HandleRef { id: 1, own: false },
        HandleRef { id: 2, own: true },
    ];
    write(Kind::Call, 0, 3, &call_body(NOTE, 0, &lent, b"x"));
    write(Kind::Drop, 0, 0, &[2, 1, 3]);
    let mut streams = call_body(ECHO, 0, &[], &[]);
    streams.truncate(streams.len() - 1);
    streams.push(3);
    for (kind, id) in [
        (StreamKind::Bytes, 1),
        (StreamKind::Items, 3),
        (StreamKind::Signal, 5),
    ] {
        streams.extend_from_slice(&[kind.code(), id]);
    }
    write(Kind::Call, 0, 4, &streams);
    write(Kind::Data, 0, 1, b"\x05\0\0bytes");
    write(Kind::Data, flag::MORE, 3, b"\x02\0\0ite");
    write(Kind::Data, flag::END, 3, b"\x00\0\0ms");
    write(Kind::Credit, 0, 0, &[100]);
    write(Kind::Close, 0, 2, &[]);
    write(Kind::Failed, 0, 1, &[1, 0]);
    write(Kind::Cancel, 0, 2, &[]);
    write(Kind::SessionEnd, 0, 0, &[]);
    write(Kind::Ping, 0, 0, &[]);
    write(Kind::Unlink, 0, 0, &[]);
    write(Kind::Goodbye, 0, 0, &[0, 0]);
    out
}

/// Lets a server read all that, and waits until it has ended the connection.
fn survives(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut raw = Raw::new(Limits::default());
        raw.send(bytes).await;
        _ = raw.stream.shutdown().await;
        while raw.frame().await.is_some() {}
        until("the calls end", || raw.target.running() == 0).await;
        until("the sessions end", || raw.target.sessions() == 0).await;
    });
}

#[test]
fn a_conversation_that_makes_sense_is_understood() {
    survives(&conversation());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let mut out = Vec::new();
        hello::put(&mut out, &Limits::default());
        out.extend(bytes.iter());
        survives(&bytes);
        survives(&out);
    }

    #[test]
    fn damaged_conversations_are_survived(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
        twice in any::<bool>(),
    ) {
        let mut bytes = conversation();
        for (at, with) in damage {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        if twice {
            let from = cut.index(bytes.len());
            let tail = bytes[from..].to_vec();
            bytes.extend(tail);
        } else {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(&bytes);
    }
}

/// A client whose server is fed by hand: what comes of a call, and of one after it.
async fn answered_with(frames: &[(Kind, u8, u32, Vec<u8>)], limits: Limits) -> Vec<CallError> {
    let mut out = Vec::new();
    hello::put(&mut out, &Limits::default());
    for (kind, flags, id, body) in frames {
        frame::write(&mut out, *kind, *flags, *id, |b| b.extend_from_slice(body));
    }
    let client = Client::new(Arc::new(Fed(out)), limits);
    let session = client.link(request()).session();
    let mut errors = Vec::new();
    // Nobody may answer the second.
    for limit in [AGES, Duration::from_millis(200)] {
        let context = within(limit);
        errors.extend(session.call(NOTE, Payload::default(), context).await.err());
    }
    errors
}

/// Connects to a server that says this, once it was spoken to, and nothing else.
struct Fed(Vec<u8>);

impl std::fmt::Display for Fed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("`fed`")
    }
}

impl Connect for Fed {
    fn connect(&self) -> BoxFuture<'_, std::io::Result<Duplex>> {
        Box::pin(async {
            let (ours, mut theirs) = tokio::io::duplex(1 << 20);
            let says = self.0.clone();
            tokio::spawn(async move {
                // The greeting; and the rest when a LINK and a CALL have come.
                let (greeting, rest) = says.split_at(HEADER + 36);
                _ = theirs.write_all(greeting).await;
                while hear(&mut theirs)
                    .await
                    .is_some_and(|kind| kind != Kind::Call as u8)
                {}
                _ = theirs.write_all(rest).await;
                _ = theirs.read_to_end(&mut Vec::new()).await;
            });
            Ok(Duplex::of(ours))
        })
    }
}

/// The kind of the next frame, once that has come in full.
async fn hear(stream: &mut DuplexStream) -> Option<u8> {
    let mut head = [0; HEADER];
    stream.read_exact(&mut head).await.ok()?;
    let header = Header::read(&head);
    let mut body = vec![0; header.len as usize];
    stream.read_exact(&mut body).await.ok()?;
    Some(header.kind)
}

#[tokio::test]
async fn a_client_is_not_confused_by_its_server() {
    for wrong in [
        vec![(Kind::Return, 0, 7, vec![0, 0])],
        vec![(Kind::Fail, 0, 7, vec![0, 0])],
        vec![(Kind::Payload, 0, 0, vec![0, 0])],
        vec![(Kind::Return, flag::MORE, 0, vec![0, 0]); 2],
        vec![
            (Kind::Return, flag::MORE, 0, vec![0, 0]),
            (Kind::Fail, 0, 0, vec![0, 0]),
        ],
        vec![(Kind::Call, 0, 0, vec![0, 0, 0, 0, 0, 0])],
        vec![(Kind::Return, 0, 0, vec![0, 1, 0, 1])],
        vec![(Kind::Data, 0, 0, vec![0, 0, 0])],
    ] {
        let errors = answered_with(&wrong, Limits::default()).await;
        assert!(
            matches!(errors.first(), Some(CallError::Unreachable(_))),
            "{wrong:?}: {errors:?}"
        );
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_its_call_and_no_other() {
    let limits = Limits {
        payload: 5,
        ..Limits::default()
    };
    let frames = [
        (Kind::Return, flag::MORE, 0, b"\0\0long".to_vec()),
        (Kind::Payload, flag::MORE, 0, b"\0\0long".to_vec()),
        (Kind::Payload, flag::MORE, 0, b"\0\0long".to_vec()),
        (Kind::Payload, 0, 0, b"\0\0long".to_vec()),
    ];
    let errors = answered_with(&frames, limits).await;
    assert!(matches!(errors[0], CallError::Exhausted(_)), "{errors:?}");
    // The connection lives: nobody answers the second.
    assert_eq!(errors[1], CallError::Deadline);
}
