//! A listening socket: who may connect, and how it stops.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderName;
use http::uri::Authority;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};
use withe_provider::ProviderError;

use crate::connection;
use crate::exchange::Route;
use crate::routes::Table;
use crate::stop::Stop;

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 1024;
/// How long to wait after accepting has failed, at first and at most.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];
/// How long the tasks of a listener that was told to stop may take once their time is over.
const ABORT: Duration = Duration::from_secs(1);

/// One listener. Its task runs until [`Listener::close`].
pub(crate) struct Listener {
    /// The address it really has, with a port that the system chose.
    pub(crate) bound: SocketAddr,
    /// `bound` as requests that do not name a host would.
    pub(crate) authority: Authority,
    /// The header that names the host.
    pub(crate) host_header: HeaderName,
    pub(crate) table: ArcSwap<Table<Arc<Route>>>,
    /// For connections that come; those that are there stay as they are.
    pub(crate) tls: ArcSwapOption<ServerConfig>,
    /// Given when no more connections are accepted and those that are there finish.
    pub(crate) stop: Stop,
    /// When connections that have not finished are closed.
    deadline: OnceLock<Instant>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Listener {
    /// Listens on `address` and accepts at most `max_connections` at a time.
    ///
    /// # Errors
    ///
    /// If the address cannot be had; says why and what to do.
    pub(crate) fn open(
        address: SocketAddr,
        host_header: HeaderName,
        max_connections: usize,
    ) -> Result<Arc<Self>, ProviderError> {
        let socket = bind(address).map_err(|e| cannot_listen(address, &e))?;
        let bound = socket
            .local_addr()
            .map_err(|e| cannot_listen(address, &e))?;
        let authority = Authority::try_from(reachable(bound).to_string())
            .map_err(|e| ProviderError(format!("`{bound}` cannot be part of a URL: {e}")))?;
        let listener = Arc::new(Self {
            bound,
            authority,
            host_header,
            table: ArcSwap::from_pointee(Table::new([])),
            tls: ArcSwapOption::empty(),
            stop: Stop::default(),
            deadline: OnceLock::new(),
            task: Mutex::new(None),
        });
        let task = tokio::spawn(run(listener.clone(), socket, max_connections));
        *listener.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(listener)
    }

    /// Where it can be reached from this machine: `http://127.0.0.1:8000`.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.load().is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.authority)
    }

    /// Stops accepting, lets what is under way finish until `deadline`, then closes everything.
    pub(crate) async fn close(&self, deadline: Instant) {
        self.deadline.get_or_init(|| deadline);
        self.stop.give();
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut task) = task
            && timeout_at(deadline + ABORT, &mut task).await.is_err()
        {
            task.abort();
        }
    }

    /// Closes everything now, without waiting until it is done.
    pub(crate) fn abandon(&self) {
        self.deadline.get_or_init(Instant::now);
        self.stop.give();
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

async fn run(listener: Arc<Listener>, socket: TcpListener, max_connections: usize) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = listener.stop.wait() => break,
            // A panic is reported by the panic hook and ends only its own connection.
            Some(_) = connections.join_next() => {}
            stream = accept(&socket), if connections.len() < max_connections => {
                connections.spawn(connection::serve(stream, listener.clone()));
            }
        }
    }
    drop(socket);
    let deadline = listener
        .deadline
        .get()
        .copied()
        .unwrap_or_else(Instant::now);
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

/// The next connection. A failure to accept is waited out: most often the process has no file
/// descriptors left, and connections that end give some back.
async fn accept(socket: &TcpListener) -> TcpStream {
    let mut back_off = BACK_OFF[0];
    loop {
        match socket.accept().await {
            Ok((stream, _)) => return stream,
            // The client gave up before it was its turn.
            Err(e) if is_of_one_connection(&e) => {}
            Err(e) => {
                tracing::warn!("cannot accept connections, trying again in {back_off:?}: {e}");
                sleep(back_off).await;
                back_off = (back_off * 2).min(BACK_OFF[1]);
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
