//! Conversations between the two sides: whole ones, over memory and over a socket.

mod calls;
mod target;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::core::Core;
use crate::server::Connection;
use crate::streams::Side;
use crate::{
    BoxFuture, CallContext, Client, Connect, Duplex, Limits, LinkFunction, LinkRequest, Payload,
    RemoteLink, Serve,
};
use target::{ArcTarget, Target};

/// Long enough for anything that ends at all.
pub(crate) const AGES: Duration = Duration::from_secs(60);

/// A context with a deadline that is not met.
pub(crate) fn context() -> CallContext {
    within(AGES)
}

pub(crate) fn within(time: Duration) -> CallContext {
    CallContext {
        deadline: Instant::now() + time,
        trace: None,
    }
}

pub(crate) fn payload(bytes: impl Into<Vec<u8>>) -> Payload {
    Payload {
        bytes: bytes.into(),
        ..Payload::default()
    }
}

/// What the tests link to; its functions are those of [`target`].
pub(crate) fn request() -> LinkRequest {
    LinkRequest {
        lattice: "default".into(),
        application: "tests".into(),
        importer: "caller".into(),
        name: "default".into(),
        target: "target".into(),
        functions: (0..target::FUNCTIONS)
            .map(|i| LinkFunction {
                interface: "test:test/test".into(),
                function: format!("f{i}"),
                digest: i as u64,
            })
            .collect(),
    }
}

/// Connects within the process.
#[derive(Clone)]
pub(crate) struct Memory(mpsc::Sender<Duplex>);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`memory`")
    }
}

impl Connect for Memory {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        Box::pin(async {
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
            self.0.send(Duplex::of(theirs)).await.map_err(refused)?;
            Ok(Duplex::of(ours))
        })
    }
}

/// A client, and a server that can be looked into.
pub(crate) struct Pair {
    pub(crate) client: Arc<Client>,
    pub(crate) target: Arc<Target>,
    /// Dropped, all connections end at once.
    pub(crate) server: JoinSet<()>,
    pub(crate) connections: Arc<Mutex<Vec<Arc<Connection>>>>,
    pub(crate) stop: watch::Sender<bool>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), Limits::default())
    }

    pub(crate) fn with(client: Limits, server: Limits) -> Self {
        let (tx, mut rx) = mpsc::channel(1);
        let target = Target::new();
        let (stop, stopped) = watch::channel(false);
        let connections: Arc<Mutex<Vec<_>>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (serve, connections): (Arc<dyn Serve>, _) =
                (Arc::new(ArcTarget(target.clone())), connections.clone());
            async move {
                let mut running = JoinSet::new();
                while let Some(duplex) = rx.recv().await {
                    let begun = Core::begin(duplex, Side::Server, &server).await;
                    let Ok((core, inbox)) = begun else { continue };
                    let connection = Connection::new(core, serve.clone());
                    connections.lock().unwrap().push(connection.clone());
                    running.spawn(connection.run(inbox, stopped.clone()));
                }
            }
        });
        Self {
            client: Client::new(Arc::new(Memory(tx)), client),
            target,
            server: tasks,
            connections,
            stop,
        }
    }

    pub(crate) fn link(&self) -> Arc<RemoteLink> {
        self.client.link(request())
    }

    /// The server's side of the last connection.
    pub(crate) fn connection(&self) -> Arc<Connection> {
        self.connections.lock().unwrap().last().unwrap().clone()
    }

    /// Kills the server's side of all connections.
    pub(crate) async fn kill(&mut self) {
        self.server.shutdown().await;
    }
}

/// Waits until something is so; fails if it never is.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + AGES;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
