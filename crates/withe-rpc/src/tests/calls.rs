//! Calls: that they are made, answered, cancelled, and fail as they should.

use std::sync::Arc;
use std::time::Duration;

use super::target::{ECHO, GATED, HANG, NOTE, PANIC, TRAP};
use super::{Pair, context, over_each_transport, payload, until, within};
use crate::{CallError, Limits, Payload};

over_each_transport! {
    a_call_returns_what_was_called,
    failures_are_told_apart,
    a_call_that_is_dropped_is_cancelled_at_the_target,
    a_deadline_ends_a_call_on_both_sides,
}

async fn a_call_returns_what_was_called(pair: Pair) {
    let session = pair.link().session();
    for n in [
        0,
        1,
        100,
        4_096,
        4_097,
        65_000,
        65_536,
        70_000,
        1 << 20,
        9_999_999,
    ] {
        let bytes: Vec<u8> = (0..n).map(|i| (i % 251) as u8).collect();
        let result = session
            .call(ECHO, payload(bytes.clone()), context())
            .await
            .unwrap();
        assert!(result.bytes == bytes, "{n} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_a_time_do_not_block_each_other() {
    let pair = Pair::new();
    let session = Arc::new(pair.link().session());
    let held = session.call(GATED, payload([0]), context());
    let many = async {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..500usize {
            let session = session.clone();
            tasks.spawn(async move {
                let bytes = vec![n as u8; if n % 50 == 0 { 300_000 } else { n }];
                let result = session.call(ECHO, payload(bytes.clone()), context());
                assert!(result.await.unwrap().bytes == bytes);
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        pair.target.gate.add_permits(1);
    };
    let (held, ()) = tokio::join!(held, many);
    held.unwrap();
    assert_eq!(pair.client.counts(), Some([1, 1, 0, 0]));
}

async fn failures_are_told_apart(pair: Pair) {
    let session = pair.link().session();
    let e = session.call(TRAP, payload("oh no"), context()).await;
    assert_eq!(e.unwrap_err(), CallError::Trap("oh no".into()));
    let e = session.call(PANIC, payload(""), context()).await;
    assert_eq!(
        e.unwrap_err(),
        CallError::Trap("the target panicked: as asked".into())
    );
    let e = session.call(999, payload(""), context()).await;
    assert!(matches!(e, Err(CallError::TypeMismatch(_))), "{e:?}");
    // None of them has hurt the connection.
    session.call(NOTE, payload([1]), context()).await.unwrap();
}

async fn a_call_that_is_dropped_is_cancelled_at_the_target(pair: Pair) {
    let session = pair.link().session();
    {
        let call = session.call(HANG, Payload::default(), context());
        tokio::pin!(call);
        tokio::select! {
            _ = &mut call => panic!("it hangs"),
            () = until("the call runs", || pair.target.running() == 1) => {}
        }
    }
    until("the call is cancelled", || pair.target.running() == 0).await;
    until("the cancelled call is answered", || {
        pair.client.counts() == Some([1, 1, 0, 0])
    })
    .await;
    assert_eq!(pair.connection().counts(), [1, 1, 0, 0, 0]);
}

async fn a_deadline_ends_a_call_on_both_sides(pair: Pair) {
    let session = pair.link().session();
    // Connecting is not to be what takes so long.
    session.call(NOTE, payload([1]), context()).await.unwrap();
    let e = session
        .call(HANG, Payload::default(), within(Duration::from_millis(20)))
        .await;
    assert_eq!(e.unwrap_err(), CallError::Deadline);
    until("the call is cancelled", || pair.target.running() == 0).await;
    let e = session
        .call(NOTE, Payload::default(), within(Duration::ZERO))
        .await;
    assert_eq!(e.unwrap_err(), CallError::Deadline);
    assert!(!pair.target.has_noted("call 0"));
}

#[tokio::test]
async fn payloads_are_bounded_by_what_the_other_side_takes() {
    let small = Limits {
        payload: 1_000,
        ..Limits::default()
    };
    for (client, server) in [
        (Limits::default(), small.clone()),
        (small, Limits::default()),
    ] {
        let pair = Pair::with(client, server);
        let session = pair.link().session();
        let e = session.call(ECHO, payload([1; 1_001]), context()).await;
        assert!(matches!(e, Err(CallError::Exhausted(_))), "{e:?}");
        session
            .call(ECHO, payload([1; 1_000]), context())
            .await
            .unwrap();
    }
}
