//! Conversations between the two sides: whole ones, over memory and over a socket.

mod calls;
mod connections;
mod example;
mod hostile;
mod routes;
mod sessions;
mod simulation;
mod streams;
mod target;
mod tcp;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::budget::Pool;
use crate::core::Core;
use crate::frame::{self, CallHead, Failure, Frame, HEADER, Header, Kind, Parting};
use crate::hello;
use crate::server::Connection;
use crate::streams::Side;
use crate::{
    BoxFuture, CallContext, Client, Connect, Duplex, HandleRef, Limits, LinkFunction, LinkRequest,
    Listener, Payload, RemoteLink, Serve,
};
use target::{ArcTarget, Target};

/// Makes tests, one for each transport, of functions that are given a [`Pair`].
macro_rules! over_each_transport {
    ($($name:ident,)*) => {$(
        mod $name {
            use crate::tests::Pair;

            #[tokio::test]
            async fn over_memory() {
                super::$name(Pair::new()).await;
            }

            #[tokio::test]
            async fn over_tcp() {
                super::$name(Pair::tcp().await).await;
            }
        }
    )*};
}
pub(crate) use over_each_transport;

/// Long enough for anything that ends at all, also on a machine that is busy with other things.
pub(crate) const AGES: Duration = Duration::from_secs(120);

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

/// The link that the tests ask for; its functions are those of [`target`].
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

struct MemoryListener(mpsc::Receiver<Duplex>);

impl Listener for MemoryListener {
    async fn accept(&mut self) -> io::Result<Duplex> {
        let gone = || io::ErrorKind::BrokenPipe.into();
        self.0.recv().await.ok_or_else(gone)
    }
}

/// A client, and a server that can be looked into.
pub(crate) struct Pair {
    pub(crate) client: Arc<Client>,
    pub(crate) target: Arc<Target>,
    /// Dropped, all connections end at once.
    pub(crate) server: JoinSet<()>,
    pub(crate) connections: Arc<Mutex<Vec<Arc<Connection>>>>,
    stop: Arc<Mutex<CancellationToken>>,
    running: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// Ends connections when the server is killed.
struct AbortAll(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Drop for AbortAll {
    fn drop(&mut self) {
        self.0.lock().unwrap().iter().for_each(JoinHandle::abort);
    }
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), Limits::default())
    }

    pub(crate) fn with(client: Limits, server: Limits) -> Self {
        let (tx, rx) = mpsc::channel(1);
        Self::over(Memory(tx), MemoryListener(rx), client, server)
    }

    /// Over TCP, with TLS.
    pub(crate) async fn tcp() -> Self {
        let (connect, listener) = tcp::both().await;
        Self::over(connect, listener, Limits::default(), Limits::default())
    }

    pub(crate) fn over(
        connect: impl Connect,
        mut listener: impl Listener,
        client: Limits,
        server: Limits,
    ) -> Self {
        let target = Target::new();
        let stop: Arc<Mutex<CancellationToken>> = Arc::default();
        let connections: Arc<Mutex<Vec<_>>> = Arc::default();
        let running: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let serve: Arc<dyn Serve> = Arc::new(ArcTarget(target.clone()));
            let (connections, running) = (connections.clone(), AbortAll(running.clone()));
            let stop = stop.clone();
            async move {
                while let Ok(duplex) = listener.accept().await {
                    let begun = Core::begin(duplex, Side::Server, &server, None).await;
                    let Ok((core, inbox)) = begun else { continue };
                    let connection = Connection::new(core, serve.clone());
                    connections.lock().unwrap().push(connection.clone());
                    let stopped = stop.lock().unwrap().clone();
                    let task = tokio::spawn(connection.run(inbox, stopped));
                    running.0.lock().unwrap().push(task);
                }
            }
        });
        Self {
            client: Client::new(Arc::new(connect), client),
            target,
            server: tasks,
            connections,
            stop,
            running,
        }
    }

    /// Has the connections that there are stop, but not those that are made from now on.
    pub(crate) fn stop_these(&self) {
        std::mem::take(&mut *self.stop.lock().unwrap()).cancel();
    }

    /// Has all connections stop, also those that are made from now on.
    pub(crate) fn stop(&self) {
        self.stop.lock().unwrap().cancel();
    }

    pub(crate) fn link(&self) -> Arc<RemoteLink> {
        self.client.link(request())
    }

    /// The server's side of the last connection.
    pub(crate) fn connection(&self) -> Arc<Connection> {
        self.connections.lock().unwrap().last().unwrap().clone()
    }

    /// Kills the server.
    pub(crate) async fn kill(&mut self) {
        self.server.shutdown().await;
    }

    /// Ends all connections there are; the server goes on.
    pub(crate) async fn drop_connections(&self) {
        let running = std::mem::take(&mut *self.running.lock().unwrap());
        for connection in running {
            connection.abort();
            _ = connection.await;
        }
    }
}

/// A server that is fed bytes by hand, and what it answers.
pub(crate) struct Raw {
    pub(crate) stream: DuplexStream,
    pub(crate) target: Arc<Target>,
    inbox: Vec<u8>,
    _server: JoinSet<()>,
}

impl Raw {
    /// A server that nothing was said to yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self::of(limits, None)
    }

    /// One whose memory is that of a server with several connections.
    pub(crate) fn of(limits: Limits, pool: Option<Arc<Pool>>) -> Self {
        let (stream, theirs) = tokio::io::duplex(1 << 20);
        let target = Target::new();
        let serve = Arc::new(ArcTarget(target.clone()));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let begun = Core::begin(Duplex::of(theirs), Side::Server, &limits, pool).await;
            if let Ok((core, inbox)) = begun {
                let stop = CancellationToken::new();
                Connection::new(core, serve).run(inbox, stop).await;
            }
        });
        Self {
            stream,
            target,
            inbox: Vec::new(),
            _server: server,
        }
    }

    /// A server that link 0 was made with.
    pub(crate) async fn linked() -> Self {
        Self::linked_with(Limits::default()).await
    }

    pub(crate) async fn linked_with(limits: Limits) -> Self {
        Self::new(limits).link().await
    }

    /// Makes link 0.
    pub(crate) async fn link(self) -> Self {
        let mut raw = self;
        let mut out = Vec::new();
        hello::put(&mut out, &Limits::default());
        request().put(&mut out, 0).unwrap();
        raw.send(&out).await;
        assert_eq!(raw.frame().await.unwrap().0.kind, Kind::Hello as u8);
        assert_eq!(raw.frame().await.unwrap().0.kind, Kind::Linked as u8);
        raw
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // A server that has hung up says why in what can be read.
        _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn write(&mut self, kind: Kind, flags: u8, id: u32, body: &[u8]) {
        let mut out = Vec::new();
        frame::write(&mut out, kind, flags, id, |b| b.extend_from_slice(body));
        self.send(&out).await;
    }

    /// Calls a function in session 0 of link 0.
    pub(crate) async fn call(&mut self, id: u32, function: usize, bytes: &[u8]) {
        let body = call_body(function, 0, &[], bytes);
        self.write(Kind::Call, 0, id, &body).await;
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn frame(&mut self) -> Option<(Header, Vec<u8>)> {
        let next = async {
            loop {
                if let Some((head, rest)) = self.inbox.split_first_chunk::<HEADER>() {
                    let header = Header::read(head);
                    let len = header.len as usize;
                    if rest.len() >= len {
                        let body = rest[..len].to_vec();
                        self.inbox.drain(..HEADER + len);
                        return Some((header, body));
                    }
                }
                if self.stream.read_buf(&mut self.inbox).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
        };
        within_ages("a frame of the server, or its end", next).await
    }

    /// The failure that ends a call.
    pub(crate) async fn failure(&mut self, id: u32) -> Failure {
        let (header, body) = self.frame().await.unwrap();
        assert_eq!((header.kind, header.id), (Kind::Fail as u8, id));
        match Frame::read(&header, &body).unwrap() {
            Frame::Fail(why) => why,
            other => panic!("{other:?}"),
        }
    }

    /// The good-bye that ends the connection.
    pub(crate) async fn goodbye(&mut self) -> (Parting, String) {
        let mut last = None;
        while let Some((header, body)) = self.frame().await {
            if header.kind == Kind::Goodbye as u8 {
                last = Some((header, body));
            }
        }
        let (header, body) = last.expect("a good-bye");
        match Frame::read(&header, &body).unwrap() {
            Frame::Goodbye(parting, text) => (parting, text),
            other => panic!("{other:?}"),
        }
    }
}

/// The body of a CALL on link 0.
pub(crate) fn call_body(
    function: usize,
    session: u32,
    handles: &[HandleRef],
    bytes: &[u8],
) -> Vec<u8> {
    let head = CallHead {
        link: 0,
        function: function as u32,
        session,
        remaining: AGES,
        trace: None,
    };
    let mut body = Vec::new();
    head.put(&mut body);
    frame::put_refs(&mut body, handles, &[]);
    body.extend_from_slice(bytes);
    body
}

/// Waits for `what` to come; fails if it does not.
pub(crate) async fn within_ages<T>(what: &str, coming: impl Future<Output = T>) -> T {
    let came = timeout(AGES, coming).await;
    came.unwrap_or_else(|_| panic!("{AGES:?} were not enough for {what}"))
}

/// Waits until something is so; fails if it never is.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + AGES;
    while !is_so() {
        assert!(
            Instant::now() < end,
            "{AGES:?} were not enough until {what}"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
