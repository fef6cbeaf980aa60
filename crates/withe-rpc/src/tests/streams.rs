//! Streams and futures, in both directions.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::target::{ECHO, HANG, MAKE, NOTE, TRAP, USE};
use super::{
    AGES, Pair, Raw, call_body, context, over_each_transport, payload, until, within_ages,
};
use crate::frame::{Kind, Parting, flag};
use crate::{
    CallError, Chunk, HandleRef, Payload, PipeReader, PipeWriter, Session, StreamKind, pipe,
};

over_each_transport! {
    bytes_go_there_and_back_in_order,
    every_kind_crosses_with_all_its_elements,
    nothing_is_asked_of_a_writer_beyond_what_is_read,
    ends_reach_the_other_side,
    a_reader_that_is_dropped_is_closed_before_the_next_call_and_answer,
    streams_in_streams,
    resources_go_through_streams,
    resources_that_nobody_reads_are_dropped,
    streams_end_with_their_session,
}

fn with(streams: Vec<PipeReader>) -> Payload {
    Payload {
        streams,
        ..Payload::default()
    }
}

async fn demand(writer: &mut PipeWriter) -> Option<usize> {
    let demand = poll_fn(|cx| writer.poll_demand(cx));
    within_ages("a stream's demand", demand).await.ok()
}

async fn next(reader: &mut PipeReader) -> Option<Result<Chunk, CallError>> {
    let chunk = poll_fn(|cx| reader.poll_chunk(cx, 1));
    within_ages("a stream's next chunk, or its end", chunk).await
}

/// Has the target give a stream back.
async fn echoed(session: &Session, reader: PipeReader) -> PipeReader {
    let call = session.call(ECHO, with(vec![reader]), context());
    call.await.unwrap().streams.pop().unwrap()
}

/// Writes `total` bytes, as many at a time as are wanted but not more than `most`.
async fn write_bytes(mut writer: PipeWriter, total: usize, most: usize) {
    let mut written = 0;
    while written < total {
        let Some(n) = demand(&mut writer).await else {
            return;
        };
        let n = n.min(most).min(total - written);
        let bytes = (written..written + n)
            .map(|i| (i % 251) as u8)
            .collect::<Vec<_>>();
        if writer
            .send(Chunk {
                count: n,
                payload: payload(bytes),
            })
            .is_err()
        {
            return;
        }
        written += n;
    }
    writer.finish();
}

fn items(n: usize, each: usize) -> Chunk {
    Chunk {
        count: n,
        payload: payload(vec![9; n * each]),
    }
}

async fn bytes_go_there_and_back_in_order(pair: Pair) {
    let session = pair.link().session();
    for (total, most) in [(0, 1), (1, 1), (1_000, 10), (3_000_000, usize::MAX)] {
        let (writer, reader) = pipe(StreamKind::Bytes, 0);
        let writing = tokio::spawn(write_bytes(writer, total, most));
        let mut back = echoed(&session, reader).await;
        let mut read = 0;
        while let Some(chunk) = next(&mut back).await {
            let chunk = chunk.unwrap();
            assert_eq!(chunk.count, chunk.payload.bytes.len());
            for byte in chunk.payload.bytes {
                assert_eq!(byte, (read % 251) as u8);
                read += 1;
            }
        }
        assert_eq!(read, total);
        writing.await.unwrap();
    }
    until("no stream is left", || {
        pair.client.counts() == Some([1, 1, 0, 0])
    })
    .await;
    until("no stream is left", || {
        pair.connection().counts() == [1, 1, 0, 0, 0]
    })
    .await;
}

async fn every_kind_crosses_with_all_its_elements(pair: Pair) {
    let session = pair.link().session();
    for (kind, chunks) in [
        // The second has more elements than were asked for; the third goes in several frames.
        (
            StreamKind::Items,
            vec![items(3, 5), items(1_000, 3), items(1, 300_000), items(2, 0)],
        ),
        (StreamKind::Units, vec![items(5_000, 0)]),
        (StreamKind::Future, vec![items(1, 200_000)]),
        (StreamKind::Signal, vec![items(1, 0)]),
    ] {
        let (mut writer, reader) = pipe(kind, 10_000);
        let expected: (usize, usize) = chunks
            .iter()
            .map(|c| (c.count, c.payload.bytes.len()))
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        for chunk in chunks {
            writer.send(chunk).unwrap();
        }
        writer.finish();
        let mut back = echoed(&session, reader).await;
        assert_eq!(back.kind(), kind);
        let mut seen = (0, 0);
        while let Some(chunk) = next(&mut back).await {
            let chunk = chunk.unwrap();
            seen = (seen.0 + chunk.count, seen.1 + chunk.payload.bytes.len());
        }
        assert_eq!(seen, expected, "{kind:?}");
    }
    until("no stream is left", || {
        pair.client.counts() == Some([1, 1, 0, 0])
    })
    .await;
}

async fn nothing_is_asked_of_a_writer_beyond_what_is_read(pair: Pair) {
    let session = pair.link().session();
    let (mut writer, reader) = pipe(StreamKind::Bytes, 0);
    let mut back = echoed(&session, reader).await;
    let mut written = 0;
    // Both ways have their windows; behind them it stops.
    let blocked = loop {
        tokio::select! {
            biased;
            wanted = demand(&mut writer) => {
                let n = wanted.unwrap().min(10_000);
                writer.send(Chunk { count: n, payload: payload(vec![0; n]) }).unwrap();
                written += n;
            }
            () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {
                if written >= 256 << 10 {
                    break written;
                }
            }
        }
    };
    assert!(blocked <= 1 << 20, "{blocked}");
    // A future is not even begun before somebody wants it.
    let (mut writer, reader) = pipe(StreamKind::Future, 0);
    let mut future = echoed(&session, reader).await;
    let wanted = poll_fn(|cx| Poll::Ready(writer.poll_demand(cx).is_ready())).await;
    assert!(!wanted);
    let (read, ()) = tokio::join!(next(&mut future), async {
        demand(&mut writer).await.unwrap();
        writer.send(items(1, 1)).unwrap();
    });
    read.unwrap().unwrap();
    assert!(next(&mut back).await.unwrap().unwrap().count > 0);
}

async fn ends_reach_the_other_side(pair: Pair) {
    let session = pair.link().session();
    // The reader has enough.
    let (mut writer, reader) = pipe(StreamKind::Bytes, 0);
    drop(echoed(&session, reader).await);
    while let Some(n) = demand(&mut writer).await {
        if writer.send(items(n, 1)).is_err() {
            break;
        }
    }
    // The writer fails.
    let (mut writer, reader) = pipe(StreamKind::Items, 1);
    writer.send(items(1, 1)).unwrap();
    writer.fail(CallError::Trap("half way".into()));
    let mut back = echoed(&session, reader).await;
    assert_eq!(next(&mut back).await.unwrap().unwrap().count, 1);
    let e = next(&mut back).await.unwrap();
    assert_eq!(e.unwrap_err(), CallError::Trap("half way".into()));
    // The call that carries it fails.
    let (mut writer, reader) = pipe(StreamKind::Bytes, 0);
    let e = session.call(TRAP, with(vec![reader]), context()).await;
    assert!(e.is_err());
    assert_eq!(demand(&mut writer).await, None);
    until("no stream is left", || {
        pair.client.counts() == Some([1, 1, 0, 0])
    })
    .await;
    until("no stream is left", || {
        pair.connection().counts() == [1, 1, 0, 0, 0]
    })
    .await;
}

async fn a_reader_that_is_dropped_is_closed_before_the_next_call_and_answer(pair: Pair) {
    let session = pair.link().session();
    for kind in [StreamKind::Future, StreamKind::Bytes] {
        let (writer, reader) = pipe(kind, 0);
        drop(echoed(&session, reader).await);
        assert!(!writer.is_closed());
        // The target hears of it before the call, drops the stream that it reads, and says so before it answers.
        session.call(NOTE, payload([1]), context()).await.unwrap();
        assert!(writer.is_closed());
    }
}

async fn streams_in_streams(pair: Pair) {
    let session = pair.link().session();
    let (mut inner_writer, inner) = pipe(StreamKind::Bytes, 10);
    inner_writer.send(items(3, 1)).unwrap();
    inner_writer.finish();
    let (mut writer, reader) = pipe(StreamKind::Items, 1);
    let chunk = Chunk {
        count: 1,
        payload: Payload {
            streams: vec![inner],
            ..payload([0])
        },
    };
    writer.send(chunk).unwrap();
    writer.finish();
    let mut back = echoed(&session, reader).await;
    let mut chunk = next(&mut back).await.unwrap().unwrap();
    let mut inner = chunk.payload.streams.pop().unwrap();
    assert_eq!(next(&mut inner).await.unwrap().unwrap().count, 3);
    assert!(next(&mut inner).await.is_none());
    assert!(next(&mut back).await.is_none());
    until("no stream is left", || {
        pair.client.counts() == Some([1, 1, 0, 0])
    })
    .await;
}

async fn resources_go_through_streams(pair: Pair) {
    let session = pair.link().session();
    session.call(MAKE, payload([1]), context()).await.unwrap();
    let chunk_with = |handle| Chunk {
        count: 1,
        payload: Payload {
            handles: vec![handle],
            ..payload([0])
        },
    };
    let ours = HandleRef { id: 1, own: true };
    let (mut writer, reader) = pipe(StreamKind::Items, 1);
    writer.send(chunk_with(ours)).unwrap();
    writer.finish();
    let mut back = echoed(&session, reader).await;
    let chunk = next(&mut back).await.unwrap().unwrap();
    assert_eq!(chunk.payload.handles, [ours]);
    assert!(next(&mut back).await.is_none());
    // The caller holds the resource again.
    let params = Payload {
        handles: chunk.payload.handles,
        ..Payload::default()
    };
    session.call(USE, params, context()).await.unwrap();
    assert!(pair.target.has_noted("own 1"));
    // Handles that are lent or not held are not passed on.
    for wrong in [
        ours,
        HandleRef { id: 7, own: true },
        HandleRef { id: 1, own: false },
    ] {
        let (mut writer, reader) = pipe(StreamKind::Items, 1);
        writer.send(chunk_with(wrong)).unwrap();
        let mut back = echoed(&session, reader).await;
        let e = next(&mut back).await.unwrap();
        assert!(matches!(e, Err(CallError::TypeMismatch(_))), "{e:?}");
    }
    until("no stream is left", || {
        pair.client.counts() == Some([1, 1, 0, 0])
    })
    .await;
}

/// Elements that came, elements that wait at the other side, and elements of a stream that ended before its reader went.
async fn resources_that_nobody_reads_are_dropped(pair: Pair) {
    let session = pair.link().session();
    let mut first = 1;
    // Streams that are left: of 3 elements all come, of 30 some wait for the reader.
    for (count, streams) in [(3_u8, 0), (30, 1)] {
        session
            .call(MAKE, payload([count]), context())
            .await
            .unwrap();
        let ids = first..first + u32::from(count);
        first = ids.end;
        let (mut writer, reader) = pipe(StreamKind::Items, 1);
        for id in ids.clone() {
            let handles = vec![HandleRef { id, own: true }];
            let payload = Payload {
                handles,
                ..payload([0])
            };
            writer.send(Chunk { count: 1, payload }).unwrap();
        }
        writer.finish();
        let mut back = echoed(&session, reader).await;
        next(&mut back).await.unwrap().unwrap();
        let left = || pair.client.counts().unwrap()[3] == streams;
        until("all are on their way", left).await;
        drop(back);
        for id in ids.skip(1) {
            let dropped = format!("drop {id}");
            until(&dropped, || pair.target.has_noted(&dropped)).await;
        }
        until("no stream is left", || {
            pair.client.counts() == Some([1, 1, 0, 0])
        })
        .await;
    }
}

async fn streams_end_with_their_session(pair: Pair) {
    let session = pair.link().session();
    let (mut writer, reader) = pipe(StreamKind::Bytes, 0);
    let mut back = echoed(&session, reader).await;
    drop(session);
    let e = next(&mut back).await.unwrap();
    assert!(matches!(e, Err(CallError::Unreachable(_))), "{e:?}");
    assert_eq!(demand(&mut writer).await, None);
    until("no stream is left", || {
        pair.client.counts().unwrap()[3] == 0
    })
    .await;
    until("no stream is left", || pair.connection().counts()[3] == 0).await;
}

/// A future of a stream that keeps a session, as what a provider got from a component does.
async fn future_of_kept(pair: &Pair, handles: Vec<HandleRef>) -> PipeReader {
    let session = pair.link().session();
    let (_writer, reader) = pipe(StreamKind::Bytes, 0);
    let mut inner = echoed(&session, reader).await;
    inner.keep(Arc::new(session));
    let (mut writer, reader) = pipe(StreamKind::Future, 0);
    let payload = Payload {
        handles,
        streams: vec![inner],
        ..payload([0])
    };
    writer.send(Chunk { count: 1, payload }).unwrap();
    writer.finish();
    reader
}

/// The stream's session ends with it, on the connection whose streams are locked where the stream is let go.
#[test]
fn a_stream_that_keeps_a_session_goes_unsent_over_its_own_connection() {
    // A thread that waits for a lock which it has waits for ever: the deadline is that of another one.
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(streams_go_unsent());
        done.send(()).unwrap();
    });
    let came = is_done.recv_timeout(2 * AGES);
    assert_eq!(came, Ok(()), "the conversation hangs, or has failed");
}

async fn streams_go_unsent() {
    let pair = Pair::new();
    // The other side drops it unread.
    let session = pair.link().session();
    let reader = future_of_kept(&pair, Vec::new()).await;
    drop(echoed(&session, reader).await);
    let sessions = || pair.target.sessions();
    until("the kept session is over", || sessions() == 1).await;
    // Its own session ends first.
    let reader = future_of_kept(&pair, Vec::new()).await;
    let back = echoed(&session, reader).await;
    drop(session);
    until("the kept session is over", || sessions() == 0).await;
    drop(back);
    // A handle beside it is not one that the session holds.
    let session = pair.link().session();
    let reader = future_of_kept(&pair, vec![HandleRef { id: 7, own: true }]).await;
    let mut back = echoed(&session, reader).await;
    let e = next(&mut back).await.unwrap();
    assert!(matches!(e, Err(CallError::TypeMismatch(_))), "{e:?}");
    until("the kept session is over", || sessions() == 1).await;
    // The connection ends.
    let reader = future_of_kept(&pair, Vec::new()).await;
    let mut back = echoed(&session, reader).await;
    pair.drop_connections().await;
    let e = next(&mut back).await.unwrap();
    assert!(matches!(e, Err(CallError::Unreachable(_))), "{e:?}");
}

#[tokio::test]
async fn a_server_that_dies_fails_streams_and_calls() {
    let mut pair = Pair::new();
    let session = pair.link().session();
    let (mut writer, reader) = pipe(StreamKind::Bytes, 0);
    let mut back = echoed(&session, reader).await;
    demand(&mut writer).await.unwrap();
    let call = session.call(HANG, Payload::default(), context());
    let (e, ()) = tokio::join!(call, async {
        until("the call runs", || pair.target.running() == 1).await;
        pair.kill().await;
    });
    let Err(CallError::Unreachable(text)) = e else {
        panic!("{e:?}")
    };
    assert!(
        text.contains("whether the call took place is not known"),
        "{text}"
    );
    let e = next(&mut back).await.unwrap();
    assert!(matches!(e, Err(CallError::Unreachable(_))), "{e:?}");
    while let Some(n) = demand(&mut writer).await {
        _ = writer.send(items(n, 1));
    }
}

#[tokio::test]
async fn more_than_was_asked_for_ends_the_connection() {
    // Streams written by the client have odd numbers.
    for (what, frames) in [
        ("no credit", vec![(Kind::Data, 0, 1u32, vec![1, 0, 0, 7])]),
        ("no such stream", vec![(Kind::Data, 0, 3, vec![0, 0, 0])]),
        ("of the other side", vec![(Kind::Data, 0, 2, vec![0, 0, 0])]),
        ("no such stream", vec![(Kind::Credit, 0, 0, vec![1])]),
        ("no such stream", vec![(Kind::Close, 0, 0, vec![])]),
        (
            "ended twice",
            vec![
                (Kind::Failed, 0, 1, vec![1, 0]),
                (Kind::Data, flag::END, 1, vec![0, 0, 0]),
            ],
        ),
    ] {
        let mut raw = Raw::linked().await;
        // A future, which nothing is asked of before it is wanted.
        let mut body = call_body(HANG, 0, &[], &[]);
        body.truncate(body.len() - 1);
        body.extend_from_slice(&[1, StreamKind::Future.code(), 1]);
        raw.write(Kind::Call, 0, 0, &body).await;
        for (kind, flags, id, body) in frames {
            raw.write(kind, flags, id, &body).await;
        }
        let (parting, text) = raw.goodbye().await;
        assert_eq!(parting, Parting::Protocol, "{what}: {text}");
    }
}
