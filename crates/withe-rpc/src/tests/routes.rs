//! Routes: which replica gets a call, and what becomes of it when replicas fail, come and go.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::target::{ECHO, GATED, HANG, MAKE, NOTE};
use super::{Memory, MemoryListener, Pair, context, payload, request, until, within, within_ages};
use crate::{
    BoxFuture, CallError, Client, Connect, Distance, Duplex, Limits, Payload, Proximity, Replica,
    Route, RouteRules, RouteSession, StreamKind, pipe,
};

fn replica(id: &str, client: &Arc<Client>) -> Replica {
    Replica {
        id: id.into(),
        name: format!("host {id}"),
        client: client.clone(),
        distance: FAR,
    }
}

const FAR: Distance = Distance {
    brokered: false,
    place: Proximity::Elsewhere,
};

fn near(id: &str, client: &Arc<Client>) -> Replica {
    at(id, client, false, Proximity::Machine)
}

fn at(id: &str, client: &Arc<Client>, brokered: bool, place: Proximity) -> Replica {
    Replica {
        distance: Distance { brokered, place },
        ..replica(id, client)
    }
}

fn route() -> Arc<Route> {
    Route::new(request(), RouteRules::default())
}

/// A route to all of these.
fn route_to(pairs: &[Pair]) -> Arc<Route> {
    let route = route();
    route.set(all(pairs));
    route
}

fn all(pairs: &[Pair]) -> Vec<Replica> {
    let ids = "abcdefghij".split_terminator("").skip(1);
    let replicas = ids.zip(pairs).map(|(id, pair)| replica(id, &pair.client));
    replicas.collect()
}

fn pairs(n: usize) -> Vec<Pair> {
    (0..n).map(|_| Pair::new()).collect()
}

async fn note(session: &RouteSession, n: u8) -> Result<(), CallError> {
    session.call(NOTE, payload([n]), context()).await.map(drop)
}

fn noted(pair: &Pair) -> usize {
    let noted = pair.target.noted();
    noted.iter().filter(|e| e.starts_with("call")).count()
}

/// The text of an error that says that nobody could be reached.
fn unreachable(result: Result<impl fmt::Debug, CallError>) -> String {
    match result {
        Err(CallError::Unreachable(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// Connects if it is to, and counts how often that was tried.
#[derive(Clone)]
struct Switch {
    memory: Memory,
    on: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    attempts: Arc<AtomicUsize>,
}

impl Switch {
    fn turn(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
    }

    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`switch`")
    }
}

impl Connect for Switch {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.on.load(Ordering::SeqCst) {
                self.memory.connect().await
            } else {
                Err(io::Error::other("it is off"))
            }
        })
    }
}

fn switched(on: bool) -> (Pair, Switch) {
    let (tx, rx) = mpsc::channel(1);
    let switch = Switch {
        memory: Memory(tx),
        on: Arc::new(on.into()),
        hangs: Arc::default(),
        attempts: Arc::default(),
    };
    let limits = Limits::default;
    let pair = Pair::over(switch.clone(), MemoryListener(rx), limits(), limits());
    (pair, switch)
}

#[tokio::test]
async fn calls_in_flight_are_spread_evenly() {
    let pairs = pairs(3);
    let route = route_to(&pairs);
    let mut calls = JoinSet::new();
    for n in 0..60 {
        let session = route.session();
        calls.spawn(async move { session.call(GATED, payload([n]), context()).await });
        let running = || pairs.iter().map(|p| p.target.running()).sum::<usize>();
        until("the call runs", || running() == usize::from(n) + 1).await;
    }
    for pair in &pairs {
        let running = pair.target.running();
        assert!((16..=24).contains(&running), "{running} of 60");
        pair.target.gate.add_permits(running);
    }
    for result in calls.join_all().await {
        result.unwrap();
    }
    for pair in &pairs {
        assert_eq!(pair.client.load(), 0);
    }
}

#[tokio::test]
async fn routes_to_one_process_know_of_each_others_calls() {
    let pairs = pairs(2);
    let other = route();
    other.set(vec![replica("a", &pairs[0].client)]);
    let mut calls = JoinSet::new();
    for n in 0..5 {
        let session = other.session();
        calls.spawn(async move { session.call(HANG, payload([n]), context()).await });
    }
    until("the calls run", || pairs[0].target.running() == 5).await;
    let route = route_to(&pairs);
    for n in 0..20 {
        note(&route.session(), n).await.unwrap();
    }
    assert_eq!((noted(&pairs[0]), noted(&pairs[1])), (0, 20));
    calls.shutdown().await;
    assert_eq!(pairs[0].client.load(), 0);
}

#[tokio::test]
async fn near_replicas_are_preferred_as_long_as_there_are_some() {
    let mut pairs = pairs(3);
    let route = route();
    route.set(vec![
        replica("far", &pairs[0].client),
        near("near", &pairs[1].client),
        near("near too", &pairs[2].client),
    ]);
    for n in 0..40 {
        note(&route.session(), n).await.unwrap();
    }
    assert_eq!(noted(&pairs[0]), 0);
    assert!(noted(&pairs[1]) > 5 && noted(&pairs[2]) > 5);
    pairs[1].kill().await;
    pairs[2].kill().await;
    for n in 0..10 {
        until("the loss is noticed", || {
            !pairs[1].client.is_ready() && !pairs[2].client.is_ready()
        })
        .await;
        note(&route.session(), n).await.unwrap();
    }
    assert_eq!(noted(&pairs[0]), 10);
}

#[tokio::test]
async fn what_is_reached_directly_is_nearer_than_what_is_behind_a_broker() {
    let mut pairs = pairs(4);
    let ways = [
        ("d", true, Proximity::Elsewhere),
        ("c", true, Proximity::Machine),
        ("b", false, Proximity::Elsewhere),
        ("a", false, Proximity::Host),
    ];
    let replicas = pairs.iter().zip(ways);
    let replicas =
        replicas.map(|(pair, (id, brokered, place))| at(id, &pair.client, brokered, place));
    let route = route();
    route.set(replicas.collect());
    assert_eq!((route.replicas(), route.brokered()), (4, 2));
    for (_, brokered, place) in ways.into_iter().rev() {
        let session = route.session();
        assert_eq!(session.distance(), None);
        note(&session, 1).await.unwrap();
        assert_eq!(session.distance(), Some(Distance { brokered, place }));
        let mut pair = pairs.pop().unwrap();
        assert_eq!(noted(&pair), 1);
        pair.kill().await;
        until("the loss is noticed", || !pair.client.is_ready()).await;
    }
}

#[tokio::test]
async fn a_session_stays_where_it_is() {
    let pairs = pairs(3);
    let route = route_to(&pairs);
    let session = route.session();
    for n in 0..20 {
        note(&session, n).await.unwrap();
    }
    let mut noted: Vec<usize> = pairs.iter().map(noted).collect();
    noted.sort_unstable();
    assert_eq!(noted, [0, 0, 20]);
}

#[tokio::test]
async fn a_replica_that_cannot_be_reached_is_avoided_and_tried_again_later() {
    let (off, switch) = switched(false);
    let on = Pair::new();
    let route = route();
    route.set(vec![replica("off", &off.client), replica("on", &on.client)]);
    for n in 0..50 {
        note(&route.session(), n).await.unwrap();
    }
    assert_eq!((noted(&off), noted(&on)), (0, 50));
    // Most of the calls learned of the first failure and did not try.
    assert!(
        (1..20).contains(&switch.attempts()),
        "{}",
        switch.attempts()
    );
    switch.turn(true);
    until("the replica is used again", || {
        let route = route.clone();
        tokio::spawn(async move { note(&route.session(), 1).await.unwrap() });
        noted(&off) > 0
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_takes_long_to_reach_is_not_waited_for() {
    let (slow, switch) = switched(true);
    switch.hangs.store(true, Ordering::SeqCst);
    let fast = Pair::new();
    let route = route();
    route.set(vec![
        near("slow", &slow.client),
        replica("fast", &fast.client),
    ]);
    note(&route.session(), 1).await.unwrap();
    // From now on the slow replica is known.
    for n in 0..20 {
        note(&route.session(), n).await.unwrap();
    }
    assert_eq!((switch.attempts(), noted(&fast)), (1, 21));
}

#[tokio::test]
async fn a_call_that_may_have_taken_place_is_not_made_again() {
    let pairs = pairs(2);
    let route = route();
    route.set(vec![replica("a", &pairs[0].client)]);
    let session = route.session();
    let (result, ()) = tokio::join!(session.call(GATED, payload([1]), context()), async {
        until("the call runs", || pairs[0].target.running() == 1).await;
        route.set(all(&pairs));
        pairs[0].drop_connections().await;
    });
    let text = unreachable(result);
    assert!(
        text.ends_with("whether the call took place is not known"),
        "{text}"
    );
    assert_eq!(noted(&pairs[1]), 0);
    // The next goes where it can.
    note(&session, 2).await.unwrap();
    assert_eq!(noted(&pairs[1]), 1);
}

#[tokio::test]
async fn an_idempotent_call_is_made_again_if_it_can_be() {
    let pairs = pairs(2);
    let route = Route::new(request(), RouteRules { idempotent: true });
    for (streams, again) in [(false, true), (true, false)] {
        route.set(vec![replica("a", &pairs[0].client)]);
        let session = route.session();
        let (_writer, reader) = pipe(StreamKind::Bytes, 1);
        let params = Payload {
            streams: if streams { vec![reader] } else { Vec::new() },
            ..payload([1])
        };
        pairs[1].target.gate.add_permits(usize::from(again));
        let (result, ()) = tokio::join!(session.call(GATED, params, context()), async {
            until("the call runs", || pairs[0].target.running() == 1).await;
            route.set(all(&pairs));
            pairs[0].drop_connections().await;
        });
        if again {
            assert_eq!(result.unwrap().bytes, [1]);
        } else {
            unreachable(result);
        }
        assert_eq!(noted(&pairs[1]), 1);
    }
}

#[tokio::test]
async fn what_ends_processes_does_not_end_all_of_them() {
    let pairs = pairs(5);
    let route = Route::new(request(), RouteRules { idempotent: true });
    route.set(all(&pairs));
    let session = route.session();
    let result = tokio::select! {
        result = session.call(GATED, payload([1]), context()) => result,
        () = async {
            loop {
                for pair in pairs.iter().filter(|pair| pair.target.running() > 0) {
                    pair.drop_connections().await;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        } => unreachable!(),
    };
    unreachable(result);
    assert_eq!(pairs.iter().map(noted).sum::<usize>(), 3);
}

#[tokio::test]
async fn replicas_are_replaced_while_calls_run() {
    let pairs = pairs(2);
    let route = route();
    let (a, b) = (
        replica("a", &pairs[0].client),
        replica("b", &pairs[1].client),
    );
    route.set(vec![a.clone()]);
    let session = route.session();
    let (result, ()) = tokio::join!(session.call(GATED, payload([1]), context()), async {
        until("the call runs", || pairs[0].target.running() == 1).await;
        route.set(vec![b.clone()]);
        note(&session, 2).await.unwrap();
        assert_eq!(noted(&pairs[1]), 1);
        pairs[0].target.gate.add_permits(1);
    });
    assert_eq!(result.unwrap().bytes, [1]);
    // The session on the old replica ends with its last call, though the route's session goes on.
    until("the session ends", || pairs[0].target.sessions() == 0).await;
    // One that is kept keeps its session.
    route.set(vec![a, b]);
    note(&session, 3).await.unwrap();
    assert_eq!((noted(&pairs[1]), pairs[1].target.sessions()), (2, 1));
    drop(session);
    until("the session ends", || pairs[1].target.sessions() == 0).await;
}

#[tokio::test]
async fn streams_of_a_replica_that_was_replaced_go_on() {
    let pairs = pairs(2);
    let route = route();
    route.set(vec![replica("a", &pairs[0].client)]);
    let session = route.session();
    let (mut writer, reader) = pipe(StreamKind::Bytes, 1);
    let params = Payload {
        streams: vec![reader],
        ..Payload::default()
    };
    let mut result = session.call(ECHO, params, context()).await.unwrap();
    let mut echoed = result.streams.pop().unwrap();
    route.set(vec![replica("b", &pairs[1].client)]);
    note(&session, 1).await.unwrap();
    assert_eq!(noted(&pairs[1]), 1);
    let chunk = || crate::Chunk {
        count: 2,
        payload: payload([7, 8]),
    };
    let (wanted, read) = tokio::join!(
        async {
            let wanted = poll_fn(|cx| writer.poll_demand(cx));
            let wanted = within_ages("the stream's demand", wanted).await;
            writer.send(chunk()).unwrap();
            wanted
        },
        within_ages("a chunk", poll_fn(|cx| echoed.poll_chunk(cx, 2))),
    );
    assert!(wanted.is_ok());
    assert_eq!(read.unwrap().unwrap().payload.bytes, [7, 8]);
    writer.finish();
    let end = poll_fn(|cx| echoed.poll_chunk(cx, 2));
    assert!(within_ages("the stream's end", end).await.is_none());
    until("the session ends with its streams", || {
        // A call looks what is left.
        drop(session.call(NOTE, payload([2]), context()));
        pairs[0].client.counts().unwrap()[3] == 0
    })
    .await;
    note(&session, 3).await.unwrap();
    until("the session ends", || pairs[0].target.sessions() == 0).await;
}

#[tokio::test]
async fn resources_keep_a_session_where_it_is() {
    let pairs = pairs(2);
    let route = route();
    route.set(vec![replica("a", &pairs[0].client)]);
    let session = route.session();
    let made = session.call(MAKE, payload([1]), context()).await.unwrap();
    route.set(vec![replica("b", &pairs[1].client)]);
    note(&session, 1).await.unwrap();
    assert_eq!((noted(&pairs[0]), noted(&pairs[1])), (1, 0));
    session.drop_handle(made.handles[0].id);
    note(&session, 2).await.unwrap();
    assert_eq!((noted(&pairs[0]), noted(&pairs[1])), (1, 1));
    until("the session ends", || pairs[0].target.sessions() == 0).await;

    let held = session.call(MAKE, payload([1]), context()).await.unwrap();
    assert_eq!(held.handles.len(), 1);
    pairs[1].drop_connections().await;
    until("the loss is noticed", || !pairs[1].client.is_ready()).await;
    route.set(all(&pairs));
    let text = unreachable(note(&session, 3).await);
    assert!(
        text.ends_with("resources that the caller holds were lost with it"),
        "{text}"
    );
}

#[tokio::test]
async fn without_another_a_replica_that_was_removed_may_as_well_be_used() {
    let pairs = pairs(1);
    let route = route_to(&pairs);
    let session = route.session();
    note(&session, 1).await.unwrap();
    route.set(Vec::new());
    note(&session, 2).await.unwrap();
    assert_eq!(noted(&pairs[0]), 2);
}

#[tokio::test]
async fn a_server_that_stops_loses_no_call() {
    let pairs = pairs(2);
    let route = route_to(&pairs);
    let session = route.session();
    note(&session, 0).await.unwrap();
    let first = usize::from(noted(&pairs[1]) > 0);
    // New connections end likewise.
    pairs[first].stop();
    for n in 1..20 {
        note(&session, n).await.unwrap();
        note(&route.session(), n).await.unwrap();
    }
    assert_eq!(noted(&pairs[0]) + noted(&pairs[1]), 39);
    assert!(noted(&pairs[1 - first]) >= 37);
}

#[tokio::test]
async fn replicas_may_be_on_their_way() {
    let route = route();
    let session = route.session();
    let (off, switch) = switched(false);
    let pairs = pairs(1);
    let (result, ()) = tokio::join!(note(&session, 1), async {
        route.set(vec![replica("off", &off.client)]);
        until("the replica is tried", || switch.attempts() > 0).await;
        route.set(vec![
            replica("off", &off.client),
            replica("on", &pairs[0].client),
        ]);
    });
    result.unwrap();
    assert_eq!(noted(&pairs[0]), 1);

    // The only one there is is waited for, too.
    route.set(vec![replica("off", &off.client)]);
    let session = route.session();
    let before = switch.attempts();
    let (result, ()) = tokio::join!(note(&session, 2), async {
        until("the replica is tried", || switch.attempts() > before).await;
        switch.turn(true);
    });
    result.unwrap();
    assert_eq!(noted(&off), 1);
}

#[tokio::test]
async fn a_call_that_nobody_takes_says_who_did_not_and_why() {
    // All replicas are asked long before that is over.
    let short = || within(Duration::from_millis(500));
    let route = route();
    let session = route.session();
    let result = session.call(NOTE, payload([1]), short()).await;
    assert_eq!(
        unreachable(result),
        "`target` has no replica, and none came in time"
    );
    let (off, _switch) = switched(false);
    let closed = Pair::new();
    closed.client.close().await;
    route.set(vec![
        replica("off", &off.client),
        replica("closed", &closed.client),
    ]);
    let result = session.call(NOTE, payload([1]), short()).await;
    assert_eq!(
        unreachable(result),
        "of 2 replicas of `target` none takes calls: `host closed`: the client of `memory` was closed; \
         `host off`: cannot connect to `switch`: it is off"
    );
    let past = within(Duration::ZERO);
    route.set(vec![replica("on", &Pair::new().client)]);
    let result = session.call(NOTE, payload([1]), past).await;
    assert!(result.is_err());
}

#[tokio::test]
async fn where_nothing_is_linked_others_are_asked() {
    let pairs = pairs(2);
    let route = route();
    let unlinked = CallError::Unlinked("`target` does not run here".into());
    *pairs[0].target.refuse.lock().unwrap() = Some(unlinked.clone());
    route.set(vec![
        near("a", &pairs[0].client),
        replica("b", &pairs[1].client),
    ]);
    for n in 0..10 {
        note(&route.session(), n).await.unwrap();
    }
    assert_eq!(noted(&pairs[1]), 10);

    // Where it is nowhere, that is what is said in the end.
    route.set(vec![replica("c", &pairs[0].client)]);
    // Between the second attempt and the third.
    let short = within(Duration::from_millis(200));
    let result = route.session().call(NOTE, payload([1]), short).await;
    assert_eq!(result.unwrap_err(), unlinked);

    // But it may come.
    route.set(vec![replica("d", &pairs[0].client)]);
    let session = route.session();
    let (result, ()) = tokio::join!(note(&session, 10), async {
        until("the link is asked for", || pairs[0].client.load() > 0).await;
        *pairs[0].target.refuse.lock().unwrap() = None;
    });
    result.unwrap();
    assert_eq!(noted(&pairs[0]), 1);
}

#[tokio::test]
async fn a_fixed_route_is_as_its_link() {
    let pair = Pair::new();
    let route = Route::fixed(pair.link());
    let session = route.session();
    let unlinked = CallError::Unlinked("`target` does not run here".into());
    *pair.target.refuse.lock().unwrap() = Some(unlinked.clone());
    assert_eq!(note(&session, 1).await.unwrap_err(), unlinked);
    *pair.target.refuse.lock().unwrap() = None;
    note(&session, 1).await.unwrap();
    pair.drop_connections().await;
    until("the loss is noticed", || !pair.client.is_ready()).await;
    note(&session, 2).await.unwrap();
    assert_eq!(noted(&pair), 2);
    drop((session, route));
    until("nothing is left", || pair.client.counts() == Some([0; 4])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_left_while_replicas_come_and_go() {
    let pairs = pairs(4);
    let route = route_to(&pairs);
    let stop = Arc::new(AtomicBool::new(false));
    let made = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (route, stop, made) = (route.clone(), stop.clone(), made.clone());
        callers.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let session = route.session();
                for n in 0..5 {
                    note(&session, n).await.unwrap();
                    made.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
    }
    let replicas = all(&pairs);
    for round in 0..100 {
        let mut some = replicas.clone();
        some.rotate_left(round % 4);
        some.truncate(1 + round % 3);
        route.set(some);
        let before = made.load(Ordering::SeqCst);
        until("calls go on", || made.load(Ordering::SeqCst) > before + 20).await;
    }
    stop.store(true, Ordering::SeqCst);
    callers.join_all().await;
    let total: usize = pairs.iter().map(noted).sum();
    assert_eq!(total, made.load(Ordering::SeqCst));
    route.set(Vec::new());
    for pair in &pairs {
        assert_eq!(pair.client.load(), 0);
        until("nothing is left", || pair.client.counts() == Some([0; 4])).await;
    }
}
