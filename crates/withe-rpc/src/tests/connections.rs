//! Connections: that they begin, are made again, drain and end, and leave nothing behind.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::target::{ArcTarget, ECHO, GATED, HANG, MAKE, NOTE, Target};
use super::{AGES, Pair, context, over_each_transport, payload, request, until, within};
use crate::frame::{self, Parting};
use crate::unix::{UnixConnector, UnixListener};
use crate::{
    BoxFuture, CallError, Client, Connect, Duplex, Limits, Payload, StreamKind, pipe, serve,
};

over_each_transport! {
    a_link_that_is_refused_fails_the_calls_behind_it_and_is_asked_for_again,
    draining_lets_calls_end_and_takes_no_new_ones,
}

/// Connects to the peer that the function makes of the other end.
struct Stranger(fn(tokio::io::DuplexStream));

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`stranger`")
    }
}

impl Connect for Stranger {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        let (ours, theirs) = tokio::io::duplex(1_000);
        (self.0)(theirs);
        Box::pin(async { Ok(Duplex::of(ours)) })
    }
}

async fn failure_of(connect: impl Connect) -> String {
    let client = Client::new(Arc::new(connect), Limits::default());
    let session = client.link(request()).session();
    // The session retries until its deadline and reports the last failure. Each takes a moment.
    let call = session.call(NOTE, Payload::default(), within(Duration::from_millis(500)));
    match call.await {
        Err(CallError::Unreachable(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn strangers_are_told_from_peers() {
    let text = failure_of(Stranger(|mut stream| {
        tokio::spawn(async move {
            _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            _ = stream.read_to_end(&mut Vec::new()).await;
        });
    }))
    .await;
    assert_eq!(
        text,
        "cannot connect to `stranger`: the other side does not speak this protocol"
    );
    let text = failure_of(Stranger(|mut stream| {
        tokio::spawn(async move {
            let mut out = Vec::new();
            frame::put_goodbye(&mut out, Parting::Version, "only version 7 is spoken here");
            _ = stream.write_all(&out).await;
            _ = stream.read_to_end(&mut Vec::new()).await;
        });
    }))
    .await;
    assert_eq!(
        text,
        "cannot connect to `stranger`: only version 7 is spoken here"
    );
}

async fn a_link_that_is_refused_fails_the_calls_behind_it_and_is_asked_for_again(pair: Pair) {
    let link = pair.link();
    let session = link.session();
    let why = CallError::TypeMismatch("function `f1` takes a u32".into());
    *pair.target.refuse.lock().unwrap() = Some(why.clone());
    let (a, b) = tokio::join!(
        session.call(NOTE, payload([1]), context()),
        session.call(NOTE, payload([2]), context()),
    );
    assert_eq!((a.unwrap_err(), b.unwrap_err()), (why.clone(), why));
    *pair.target.refuse.lock().unwrap() = None;
    session.call(NOTE, payload([3]), context()).await.unwrap();
    drop((link, session));
    until("nothing is left", || pair.client.counts() == Some([0; 4])).await;
    until("nothing is left", || pair.connection().counts() == [0; 5]).await;
}

#[tokio::test]
async fn a_connection_that_was_lost_is_made_again() {
    let pair = Pair::new();
    let link = pair.link();
    let (session, holding) = (link.session(), link.session());
    session.call(NOTE, payload([1]), context()).await.unwrap();
    let made = holding.call(MAKE, payload([1]), context()).await.unwrap();
    assert_eq!(made.handles.len(), 1);
    let before = pair.connection();
    pair.drop_connections().await;
    until("the loss is noticed", || pair.target.sessions() == 0).await;
    session.call(NOTE, payload([2]), context()).await.unwrap();
    assert!(!Arc::ptr_eq(&before, &pair.connection()));
    // The resources it held are gone, and no other instance can have them.
    let e = holding.call(NOTE, payload([3]), context()).await;
    let Err(CallError::Unreachable(text)) = e else {
        panic!("{e:?}")
    };
    assert!(
        text.ends_with("resources that the caller holds were lost with it"),
        "{text}"
    );
    drop(holding);
    let holding = link.session();
    holding.call(NOTE, payload([4]), context()).await.unwrap();
}

async fn draining_lets_calls_end_and_takes_no_new_ones(pair: Pair) {
    let link = pair.link();
    let session = Arc::new(link.session());
    session.call(NOTE, payload([1]), context()).await.unwrap();
    let old = pair.connection();
    let call = session.call(GATED, payload([2]), context());
    let ((), result) = tokio::join!(
        async {
            until("the call runs", || pair.target.running() == 1).await;
            pair.stop_these();
            until("the client is told", || {
                pair.client.counts().is_none() || old.counts()[1] == 0 || old.is_draining()
            })
            .await;
            // New calls go to a new connection, also those of a session with a call under way.
            let e = link.session().call(NOTE, payload([3]), context()).await;
            e.unwrap();
            session.call(NOTE, payload([4]), context()).await.unwrap();
            assert!(!Arc::ptr_eq(&old, &pair.connection()));
            pair.target.gate.add_permits(1);
        },
        call
    );
    assert_eq!(result.unwrap().bytes, [2]);
    until("the old connection ends", || old.counts() == [0; 5]).await;
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let limits = Limits {
        keep_alive: Duration::from_millis(20),
        answer: Duration::from_millis(20),
        ..Limits::default()
    };
    let client = Client::new(
        Arc::new(Stranger(|mut stream| {
            tokio::spawn(async move {
                let mut out = Vec::new();
                crate::hello::put(&mut out, &Limits::default());
                _ = stream.write_all(&out).await;
                // The server reads everything and stays silent.
                _ = stream.read_to_end(&mut Vec::new()).await;
            });
        })),
        limits,
    );
    let session = client.link(request()).session();
    let e = session.call(NOTE, Payload::default(), context()).await;
    let Err(CallError::Unreachable(text)) = e else {
        panic!("{e:?}")
    };
    assert!(text.contains("does not answer any more"), "{text}");
}

#[tokio::test]
async fn a_client_that_asks_keeps_a_silent_connection() {
    let limits = Limits {
        keep_alive: Duration::from_millis(5),
        answer: AGES,
        ..Limits::default()
    };
    let pair = Pair::with(limits, Limits::default());
    let session = pair.link().session();
    // Connecting is not to be what takes so long.
    session.call(NOTE, payload([0]), context()).await.unwrap();
    let call = session.call(HANG, Payload::default(), within(Duration::from_millis(200)));
    assert_eq!(call.await.unwrap_err(), CallError::Deadline);
    session.call(NOTE, payload([1]), context()).await.unwrap();
    assert_eq!(pair.connections.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn over_a_socket_from_start_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let client = Client::new(Arc::new(UnixConnector::new(&path)), Limits::default());
    let session = client.link(request()).session();

    // The call waits for the server, which is not there yet.
    let call = session.call(ECHO, payload(vec![7; 1 << 20]), context());
    let target = Target::new();
    let (stop, stopped) = oneshot::channel::<()>();
    let start = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let listener = UnixListener::bind(&path).await.unwrap();
        let e = UnixListener::bind(&path).await.err().unwrap();
        assert_eq!(e.kind(), io::ErrorKind::AddrInUse);
        listener
    };
    let serving = async {
        let listener = start.await;
        let target = Arc::new(ArcTarget(target.clone()));
        let stopped = async { _ = stopped.await };
        serve(listener, target, Limits::default(), stopped).await;
    };
    let calling = async {
        let result = call.await;
        stop.send(()).unwrap();
        result
    };
    let (result, ()) = tokio::join!(calling, serving);
    assert!(result.unwrap().bytes == vec![7; 1 << 20]);
    assert!(!path.exists());
    assert_eq!(target.sessions(), 0);
    let e = session
        .call(NOTE, Payload::default(), within(Duration::from_millis(500)))
        .await;
    assert!(matches!(e, Err(CallError::Unreachable(_))), "{e:?}");
}

#[tokio::test]
async fn a_socket_of_a_server_that_has_gone_is_replaced_and_nothing_else_is() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = UnixListener::bind(&path).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Another's file at the same place is not removed.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "mine").unwrap();
    drop(listener);
    assert!(path.exists());
    assert!(UnixListener::bind(&path).await.is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_many_calls_cancellations_and_connections() {
    const EACH: usize = 2_500;
    let pair = Pair::new();
    let link = pair.link();
    let made = Arc::new(AtomicUsize::new(0));
    for round in 0..8 {
        let session = Arc::new(link.session());
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..50 {
            let (session, link, made) = (session.clone(), link.clone(), made.clone());
            tasks.spawn(async move {
                for n in 0..EACH / 50 {
                    made.fetch_add(1, Ordering::Relaxed);
                    // Some of it is cut off by the end of the connection.
                    match (worker + n) % 5 {
                        0 => drop(session.call(MAKE, payload([2]), context()).await),
                        1 => {
                            let short = within(Duration::from_micros(200));
                            drop(session.call(HANG, Payload::default(), short).await);
                        }
                        2 => {
                            let own = link.session();
                            drop(own.call(MAKE, payload([1]), context()).await);
                        }
                        3 => {
                            let (writer, reader) = pipe(StreamKind::Bytes, 10);
                            let params = Payload {
                                streams: vec![reader],
                                ..Payload::default()
                            };
                            drop(session.call(ECHO, params, context()).await);
                            drop(writer);
                        }
                        _ => drop(session.call(ECHO, payload([1; 5_000]), context()).await),
                    }
                }
            });
        }
        if round % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            pair.drop_connections().await;
        }
        tasks.join_all().await;
    }
    assert_eq!(made.load(Ordering::Relaxed), 8 * EACH);
    drop(link);
    until("the client has nothing left", || {
        pair.client.counts().is_none_or(|counts| counts == [0; 4])
    })
    .await;
    let connections = pair.connections.lock().unwrap().clone();
    for connection in connections {
        until("the server has nothing left", || {
            connection.counts() == [0; 5]
        })
        .await;
    }
    assert_eq!((pair.target.sessions(), pair.target.running()), (0, 0));
}
