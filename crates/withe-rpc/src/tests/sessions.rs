//! Sessions: the order of what happens in one, the handles that it holds, and its end.

use super::target::{FORGE, GATED, HANG, MAKE, MAKE_GATED, NOTE, USE};
use super::{Pair, Raw, call_body, context, over_each_transport, payload, until};
use crate::frame::{Failure, Kind, flag};
use crate::{CallError, HandleRef, Limits, Payload, Session};

over_each_transport! {
    handles_are_given_lent_moved_and_dropped,
    only_handles_that_are_held_reach_the_target,
    a_handle_is_not_given_out_twice,
    the_end_of_a_session_cancels_its_calls_and_then_releases_it,
    what_a_cancelled_call_returns_is_dropped,
    the_end_of_the_connection_releases_what_was_held,
}

fn own(id: u32) -> HandleRef {
    HandleRef { id, own: true }
}

fn borrow(id: u32) -> HandleRef {
    HandleRef { id, own: false }
}

fn with(handles: &[HandleRef]) -> Payload {
    Payload {
        handles: handles.to_vec(),
        ..Payload::default()
    }
}

async fn make(session: &Session, n: u8) -> Vec<u32> {
    let made = session.call(MAKE, payload([n]), context()).await.unwrap();
    made.handles.iter().map(|h| h.id).collect()
}

async fn use_handles(session: &Session, handles: &[HandleRef]) -> Result<(), CallError> {
    session.call(USE, with(handles), context()).await.map(drop)
}

async fn handles_are_given_lent_moved_and_dropped(pair: Pair) {
    let session = pair.link().session();
    assert_eq!(make(&session, 3).await, [1, 2, 3]);
    use_handles(&session, &[borrow(1), own(2)]).await.unwrap();
    session.drop_handle(1);
    until("the handle is dropped without a later call", || {
        pair.target.has_noted("drop 1")
    })
    .await;
    // 2 was moved, 3 is left.
    drop(session);
    until("the session ends", || pair.target.sessions() == 0).await;
    let noted = pair.target.noted();
    let expected = ["borrow 1", "own 2", "drop 1", "drop 3", "session over"];
    assert_eq!(noted[noted.len() - 5..], expected);
}

async fn only_handles_that_are_held_reach_the_target(pair: Pair) {
    let link = pair.link();
    let (session, other) = (link.session(), link.session());
    assert_eq!(make(&session, 2).await, [1, 2]);
    // Forged, of another session, moved twice, lent after it was dropped.
    for (session, handles) in [
        (&session, vec![borrow(9)]),
        (&session, vec![own(u32::MAX)]),
        (&other, vec![borrow(1)]),
        (&session, vec![own(1), own(1)]),
        (&session, vec![own(1), borrow(1)]),
    ] {
        let e = use_handles(session, &handles).await;
        assert!(matches!(e, Err(CallError::TypeMismatch(_))), "{e:?}");
    }
    session.drop_handle(2);
    session.drop_handle(2);
    let e = use_handles(&session, &[borrow(2)]).await;
    assert!(matches!(e, Err(CallError::TypeMismatch(_))), "{e:?}");
    use_handles(&session, &[own(1)]).await.unwrap();
    let drops = pair.target.noted();
    let drops = drops.iter().filter(|entry| *entry == "drop 2").count();
    assert_eq!(drops, 1);
}

async fn a_handle_is_not_given_out_twice(pair: Pair) {
    let session = pair.link().session();
    session
        .call(FORGE, Payload::default(), context())
        .await
        .unwrap();
    let e = session.call(FORGE, Payload::default(), context()).await;
    assert!(matches!(e, Err(CallError::TypeMismatch(_))), "{e:?}");
}

#[tokio::test]
async fn a_session_holds_so_many_handles_and_no_more() {
    let few = Limits {
        handles: 2,
        ..Limits::default()
    };
    let pair = Pair::with(Limits::default(), few);
    let session = pair.link().session();
    let e = session.call(MAKE, payload([3]), context()).await;
    assert!(matches!(e, Err(CallError::Exhausted(_))), "{e:?}");
    // Nobody could take them, so they were dropped.
    until("the handles are dropped", || {
        pair.target.has_noted("drop 3")
    })
    .await;
    assert_eq!(make(&session, 2).await.len(), 2);
}

#[tokio::test]
async fn many_handles_go_in_several_frames() {
    let limits = Limits::default();
    let mut raw = Raw::linked_with(limits).await;
    let pair = Pair::new();
    let session = pair.link().session();
    for _ in 0..100 {
        make(&session, 100).await;
    }
    let all: Vec<_> = (1..=10_000).map(own).collect();
    let params = Payload {
        handles: all,
        ..payload(vec![1; 100_000])
    };
    session.call(USE, params, context()).await.unwrap();
    assert!(pair.target.has_noted("own 10000"));
    raw.call(0, NOTE, &[1]).await;
}

#[tokio::test]
async fn calls_and_drops_begin_in_the_order_in_which_they_came() {
    let mut raw = Raw::linked().await;
    raw.call(0, MAKE, &[2]).await;
    raw.frame().await.unwrap();
    // The first call does not come in full before the others have.
    let body = call_body(NOTE, 0, &[], &[1]);
    raw.write(Kind::Call, flag::MORE, 1, &body).await;
    raw.call(2, NOTE, &[2]).await;
    raw.write(Kind::Drop, 0, 0, &[1, 1]).await;
    raw.call(3, GATED, &[3]).await;
    // Another session does not wait for it.
    let body = call_body(NOTE, 1, &[], &[4]);
    raw.write(Kind::Call, 0, 4, &body).await;
    raw.frame().await.unwrap();
    assert_eq!(raw.target.noted()[1..], ["call 4"]);
    raw.write(Kind::Payload, 0, 1, &[0, 0]).await;
    until("the calls come", || raw.target.noted().len() == 6).await;
    let expected = ["call 4", "call 1", "call 2", "drop 1", "call 3"];
    assert_eq!(raw.target.noted()[1..], expected);
}

#[tokio::test]
async fn a_call_that_is_cancelled_before_it_came_in_full_lets_the_next_begin() {
    let mut raw = Raw::linked().await;
    raw.call(0, MAKE, &[1]).await;
    raw.frame().await.unwrap();
    let body = call_body(USE, 0, &[own(1)], &[]);
    raw.write(Kind::Call, flag::MORE, 1, &body).await;
    raw.call(2, NOTE, &[2]).await;
    raw.write(Kind::Cancel, 0, 1, &[]).await;
    assert_eq!(raw.failure(1).await, Failure::Cancelled);
    raw.frame().await.unwrap();
    // The resource that the call would have moved is dropped.
    assert_eq!(raw.target.noted()[1..], ["drop 1", "call 2"]);
}

async fn the_end_of_a_session_cancels_its_calls_and_then_releases_it(pair: Pair) {
    let link = pair.link();
    let session = link.session();
    let other = link.session();
    make(&session, 2).await;
    make(&other, 1).await;
    {
        let call = session.call(HANG, with(&[borrow(2)]), context());
        tokio::pin!(call);
        tokio::select! {
            _ = &mut call => panic!("it hangs"),
            () = until("the call runs", || pair.target.running() == 1) => {}
        }
    }
    drop(session);
    until("what was held is released", || pair.target.sessions() == 1).await;
    assert_eq!(pair.target.running(), 0);
    let noted = pair.target.noted();
    assert_eq!(
        noted[noted.len() - 3..],
        ["drop 1", "drop 2", "session over"]
    );
    use_handles(&other, &[borrow(1)]).await.unwrap();
}

async fn what_a_cancelled_call_returns_is_dropped(pair: Pair) {
    let session = pair.link().session();
    make(&session, 1).await;
    {
        let call = session.call(MAKE_GATED, payload([1]), context());
        tokio::pin!(call);
        tokio::select! {
            biased;
            _ = &mut call => panic!("it waits"),
            () = until("the call runs", || pair.target.running() == 1) => {}
        }
        // The call returns at the same time as it is cancelled.
        pair.target.gate.add_permits(1);
    }
    until("the call has gone", || {
        pair.client.counts() == Some([1, 1, 0, 0])
    })
    .await;
    drop(session);
    until("the session ends", || pair.target.sessions() == 0).await;
    let noted = pair.target.noted();
    let made = noted.iter().filter(|e| *e == "drop 2").count();
    assert!(made <= 1, "{noted:?}");
    assert_eq!(pair.connection().counts()[1..], [0, 0, 0, 0]);
}

async fn the_end_of_the_connection_releases_what_was_held(pair: Pair) {
    let session = pair.link().session();
    make(&session, 3).await;
    pair.client.close().await;
    until("what was held is released", || pair.target.sessions() == 0).await;
    let noted = pair.target.noted();
    let expected = ["drop 1", "drop 2", "drop 3", "session over"];
    assert_eq!(noted[noted.len() - 4..], expected);
}
