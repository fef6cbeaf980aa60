//! A listening socket and its connections, and the line of providers that serve them one after the other.
//!
//! A provider whose configuration changed is another provider, at the same address. Closing the socket and binding
//! it anew refuses connections in between, and closing the connections loses requests that are on their way. So
//! neither is closed: a provider has a [`Claim`] on a listener, claims stand in line, and the first in the line
//! serves whatever comes in. When it leaves, the next one serves, on the same socket and connections. Requests under
//! way finish with the provider that they began with. A successor in another process has duplicates of the sockets, and
//! accepts connections when its predecessor accepts no more; connections cannot change their process, so they finish.
//!
//! Rejected: two sockets with `SO_REUSEPORT`, since what waits to be accepted by the first is lost when that closes,
//! and since two programs that have the same address by mistake would never be told.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::uri::Authority;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use withe_provider::{BackOff, InheritedSockets, ListeningSocket, ProviderError};

use crate::connection;
use crate::crowd::{self, Crowd};
use crate::link::HttpRoute;
use crate::routes::RouteTable;
use crate::serving::{Front, ServingProvider};
use crate::stop::Stop;

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 1024;
/// How long to wait after accepting has failed, at first and at most.
const PAUSES: BackOff = BackOff {
    first: Duration::from_millis(10),
    most: Duration::from_secs(1),
};
/// How often to look for room where there is none.
const ROOM: Duration = Duration::from_millis(100);
/// How long to wait for the descriptor of a connection that was told to go.
const GIVEN_UP: Duration = Duration::from_millis(5);
/// How long the tasks of a listener that was told to stop may take once their time is over.
const ABORT: Duration = Duration::from_secs(1);

/// The listeners of a provider, and of those whose place it took.
#[derive(Default)]
pub(crate) struct Listeners {
    open: Mutex<Vec<Weak<Listener>>>,
    /// Of a predecessor in another process.
    inherited: Option<Arc<InheritedSockets>>,
}

/// One listener. Its task runs until the last claim on it is given up.
pub(crate) struct Listener {
    /// The address that was asked for, and the link that asked for it first.
    asked: (SocketAddr, String),
    /// The address it really has, with a port that the system chose.
    pub(crate) bound: SocketAddr,
    /// With `bound` as its authority, and the first of the line.
    front: Arc<Front>,
    /// The providers that serve and are going to, in order. Empty when the listener is closed.
    line: Mutex<VecDeque<Arc<ServingProvider>>>,
    /// Wakes the task when another one serves.
    changed: Notify,
    /// Given when the connections that were accepted so far are to finish.
    connections: ArcSwap<Stop>,
    /// Given when no more connections are accepted.
    stop: Stop,
    /// When connections that have not finished are closed.
    deadline: OnceLock<Instant>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// The task's, until it accepts no more.
    socket: Weak<TcpListener>,
}

/// A provider's place in the line of a listener.
pub(crate) struct Claim {
    pub(crate) listener: Arc<Listener>,
    serving: Arc<ServingProvider>,
}

impl Listeners {
    /// No listeners yet, but the sockets of a predecessor in another process.
    pub(crate) fn inheriting(inherited: Arc<InheritedSockets>) -> Self {
        Self {
            inherited: Some(inherited),
            ..Self::default()
        }
    }

    /// A claim on `address` for a link called `name`: behind that of a provider whose place is taken if there is one
    /// (a port that the system chose goes to the link of the same name), or else on a listener of its own. `has`
    /// says which listeners the provider has claims on already.
    ///
    /// # Errors
    ///
    /// If the address cannot be had; says why and what to do.
    pub(crate) fn claim(
        &self,
        address: SocketAddr,
        name: &str,
        serving: ServingProvider,
        has: impl Fn(&Listener) -> bool,
    ) -> Result<Claim, ProviderError> {
        // Held while the socket is made, so that it is made once.
        let mut listeners = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.strong_count() > 0);
        let serving = Arc::new(serving);
        let same = |asked: SocketAddr, by: &str, bound: SocketAddr| match address.port() {
            0 => asked == address && by == name,
            _ => asked == address || bound == address,
        };
        let is_meant = |listener: &Arc<Listener>| {
            let (asked, by) = &listener.asked;
            same(*asked, by, listener.bound) && !has(listener)
        };
        let known = listeners.iter().filter_map(Weak::upgrade);
        for listener in known.filter(is_meant) {
            let mut line = listener.line();
            // One that is closed is no longer to be had.
            if !line.is_empty() {
                line.push_back(serving.clone());
                drop(line);
                return Ok(Claim { listener, serving });
            }
        }
        let inherited = self.inherited.as_ref().and_then(|inherited| {
            let bound = |socket: &ListeningSocket| socket.socket.local_addr().ok();
            let is_meant = |socket: &ListeningSocket| {
                bound(socket).is_some_and(|bound| same(socket.asked, &socket.name, bound))
            };
            Some((inherited.take(is_meant)?.socket, inherited.left().clone()))
        });
        let opened = match inherited {
            Some((socket, left)) => TcpListener::from_std(socket).map(|socket| (socket, left)),
            None => bind(address).map(|socket| (socket, nobody_before())),
        };
        let (socket, turn) = opened.map_err(|e| cannot_listen(address, &e))?;
        let listener = Listener::open(socket, turn, (address, name), serving.clone())?;
        listeners.push(Arc::downgrade(&listener));
        Ok(Claim { listener, serving })
    }
}

impl Claim {
    /// Serves `table` when it is this provider's turn.
    pub(crate) fn publish(&self, table: RouteTable<Arc<HttpRoute>>) {
        self.serving.table.store(Arc::new(table));
    }

    /// Speaks TLS on new connections. Open connections stay as they are, unless the change is from TLS to none or back.
    pub(crate) fn speak(&self, tls: Option<Arc<ServerConfig>>) {
        let line = self.listener.line();
        let is_tls = tls.is_some();
        let was_tls = self.serving.tls.swap(tls).is_some();
        let is_first = line.front().is_some_and(|s| Arc::ptr_eq(s, &self.serving));
        if is_first && is_tls != was_tls {
            self.listener.finish_connections();
        }
    }

    /// Where it can be reached from this machine: `http://127.0.0.1:8000`.
    pub(crate) fn url(&self) -> String {
        let scheme = match self.serving.tls.load().is_some() {
            true => "https",
            false => "http",
        };
        format!("{scheme}://{}", self.listener.front.authority)
    }

    /// Gives the claim up: the next in the line serves. Returns whether there is none, which leaves the listener to
    /// be closed ([`Claim::close`]).
    pub(crate) fn leave(&self) -> bool {
        let mut line = self.listener.line();
        line.retain(|other| !Arc::ptr_eq(other, &self.serving));
        let Some(next) = line.front() else {
            return true;
        };
        let before = self.listener.front.serving.load_full();
        if !Arc::ptr_eq(&before, next) {
            self.listener.front.serving.store(next.clone());
            self.listener.changed.notify_one();
            if before.tls.load().is_some() != next.tls.load().is_some() {
                self.listener.finish_connections();
            }
        }
        false
    }

    /// Closes a listener that nobody has a claim on: accepts no more, lets what is under way finish until
    /// `deadline`, then closes everything.
    pub(crate) async fn close(&self, deadline: Instant) {
        self.listener.deadline.get_or_init(|| deadline);
        self.listener.give_stop();
        let task = self.listener.task().take();
        if let Some(mut task) = task
            && timeout_at(deadline + ABORT, &mut task).await.is_err()
        {
            task.abort();
        }
    }

    /// Gives the claim up, and closes a listener that nobody has one on now, without waiting until that is done.
    pub(crate) fn abandon(&self) {
        if self.leave() {
            self.listener.deadline.get_or_init(Instant::now);
            self.listener.give_stop();
        }
    }
}

impl Listener {
    /// Accepts connections on `socket`, which was asked for by this address and name, from its `turn` on.
    fn open(
        socket: TcpListener,
        turn: CancellationToken,
        (address, name): (SocketAddr, &str),
        serving: Arc<ServingProvider>,
    ) -> Result<Arc<Self>, ProviderError> {
        let bound = socket
            .local_addr()
            .map_err(|e| cannot_listen(address, &e))?;
        let socket = Arc::new(socket);
        let authority = Authority::try_from(reachable(bound).to_string())
            .map_err(|e| ProviderError(format!("`{bound}` cannot be part of a URL: {e}")))?;
        let listener = Arc::new(Self {
            asked: (address, name.to_owned()),
            bound,
            front: Arc::new(Front {
                authority,
                serving: ArcSwap::new(serving.clone()),
            }),
            line: Mutex::new([serving].into()),
            changed: Notify::new(),
            connections: ArcSwap::default(),
            stop: Stop::default(),
            deadline: OnceLock::new(),
            task: Mutex::new(None),
            socket: Arc::downgrade(&socket),
        });
        let task = tokio::spawn(run(listener.clone(), socket, turn));
        *listener.task() = Some(task);
        Ok(listener)
    }

    /// Its socket for a successor in another process; `None` if it is closed.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub(crate) fn duplicate(&self) -> io::Result<Option<ListeningSocket>> {
        let Some(socket) = self.socket.upgrade() else {
            return Ok(None);
        };
        let (asked, name) = self.asked.clone();
        let socket = socket.as_fd().try_clone_to_owned()?.into();
        Ok(Some(ListeningSocket {
            asked,
            name,
            socket,
        }))
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Arc<ServingProvider>>> {
        // Nothing panics while it is held.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the connections that are there finish. Called with the line locked.
    fn finish_connections(&self) {
        self.connections.swap(Arc::default()).give();
    }

    fn give_stop(&self) {
        self.stop.give();
        self.connections.load().give();
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // Without it, a restart would have to wait for the last connections to be forgotten.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> ProviderError {
    let port = address.port();
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "the address is in use; stop the program that has it (`ss -ltnp 'sport = :{port}'` \
             names it), or give the link another `address`"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "port {port} needs privileges that this process does not have; give the link an \
             `address` with a port from 1024 up"
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "this machine has no address {}; give the link another `address`, `0.0.0.0:{port}` \
             for all there are",
            address.ip()
        ),
        _ => error.to_string(),
    };
    ProviderError(format!("cannot listen on `{address}`: {why}"))
}

/// `address` as this machine itself can reach it.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// Cancelled: there is nobody whose turn it is before.
fn nobody_before() -> CancellationToken {
    let turn = CancellationToken::new();
    turn.cancel();
    turn
}

async fn run(listener: Arc<Listener>, socket: Arc<TcpListener>, turn: CancellationToken) {
    tokio::select! {
        () = turn.cancelled() => {}
        () = listener.stop.wait() => {}
    }
    let mut connections = JoinSet::new();
    let crowd = Crowd::new();
    // One for which there is no room yet; those behind it wait in the system.
    let mut next: Option<(TcpStream, SocketAddr)> = None;
    loop {
        let limits = listener.front.serving.load().crowd;
        if next.is_some()
            && crowd.makes_room(&limits)
            && let Some((stream, from)) = next.take()
        {
            match crowd.enter(from.ip(), &limits) {
                Some(place) => {
                    let stop = listener.connections.load_full();
                    let front = listener.front.clone();
                    connections.spawn(connection::serve(stream, place, front, stop));
                }
                None => tracing::debug!("refused a connection: {} has too many", from.ip()),
            }
        }
        tokio::select! {
            () = listener.stop.wait() => break,
            () = listener.changed.notified() => {}
            // A panic is reported by the panic hook and ends only its own connection.
            Some(_) = connections.join_next() => {}
            // Another listener may have given descriptors back.
            () = sleep(ROOM), if next.is_some() => {}
            accepted = accept(&socket), if next.is_none() => next = Some(accepted),
        }
    }
    drop(socket);
    let deadline = listener
        .deadline
        .get()
        .copied()
        .unwrap_or_else(Instant::now);
    // Connections that were accepted while the signal was given have one of their own.
    listener.connections.load().give();
    let drained = timeout_at(deadline, async {
        while connections.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        let left = connections.len();
        tracing::warn!(
            "closing {left} connections to {} that did not finish",
            listener.bound
        );
        connections.shutdown().await;
    }
}

/// The next connection. If the process has no file descriptors left, a connection goes that is not used. Another failure
/// to accept is waited out.
async fn accept(socket: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut failures = 0;
    loop {
        match socket.accept().await {
            Ok(accepted) => return accepted,
            // The client gave up before it was its turn.
            Err(e) if is_of_one_connection(&e) => {}
            Err(e) if crowd::is_out_of_descriptors(&e) && crowd::give_up_one() => {
                sleep(GIVEN_UP).await;
            }
            Err(e) => {
                failures += 1;
                let pause = PAUSES.after(failures);
                tracing::warn!("cannot accept connections, trying again in {pause:?}: {e}");
                sleep(pause).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
