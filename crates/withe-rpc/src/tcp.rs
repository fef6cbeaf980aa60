//! TCP with TLS 1.3, for sides on different machines. Each knows the other by its
//! [fingerprint](crate::Fingerprint).

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::{AlertDescription, CommonState};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::{TcpStream, ToSocketAddrs, lookup_host};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::identity::{Fingerprint, Identity};
use crate::members::{Members, Membership};
use crate::tls;
use crate::transport::{BoxFuture, Connect, Duplex, KeepAlive, Listener};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes under way at a time. When one more begins, the oldest is given up: those of members take milliseconds,
/// while whoever says nothing would keep a place for as long as a handshake may take.
const HANDSHAKES: usize = if cfg!(test) { 8 } else { 512 };

/// How long connecting to one of several addresses may take.
const ATTEMPT: Duration = Duration::from_secs(3);

/// How long a client that was refused is listened to, and how much of it.
const REFUSING: Duration = Duration::from_secs(1);
const REFUSED: u64 = 64 << 10;

/// How much is read from the socket at a time. TLS by itself reads 4 KiB.
const READ: usize = 64 << 10;

/// A peer that has vanished is not told of by TCP, or after minutes. So a client hears that its
/// server is there every other second, and knows after 8 s at most that it is not.
const KEEP_ALIVE: KeepAlive = KeepAlive {
    after: Duration::from_secs(2),
    answer: Duration::from_secs(4),
};

/// Accepts connections of members.
///
/// Handshakes take place in tasks, which end with it, so that a client that takes its time for its own keeps no
/// other waiting.
pub struct TcpListener {
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
    members: Members,
    handshakes: JoinSet<io::Result<Duplex>>,
    /// The same, oldest first; some have ended.
    begun: VecDeque<AbortHandle>,
}

impl TcpListener {
    /// Listens at `addr`, as `identity`, for `members`.
    ///
    /// # Errors
    ///
    /// Whatever keeps the socket from being made.
    pub async fn bind(
        addr: impl ToSocketAddrs,
        identity: &Identity,
        members: Members,
    ) -> io::Result<Self> {
        let config = tls::server(identity, members.clone()).map_err(io::Error::other)?;
        Ok(Self {
            listener: tokio::net::TcpListener::bind(addr).await?,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            members,
            handshakes: JoinSet::new(),
            begun: VecDeque::new(),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// If the socket does not know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl TcpListener {
    /// Gives up the oldest handshakes, if there are too many for one more.
    fn make_room(&mut self) {
        if self.begun.len() < HANDSHAKES {
            return;
        }
        self.begun.retain(|task| !task.is_finished());
        while self.begun.len() >= HANDSHAKES {
            if let Some(oldest) = self.begun.pop_front() {
                oldest.abort();
            }
        }
    }
}

impl Listener for TcpListener {
    async fn accept(&mut self) -> io::Result<Duplex> {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(Ok(duplex)) => return Ok(duplex),
                    Ok(Err(e)) => tracing::debug!("a client is not accepted: {e}"),
                    Err(e) if e.is_cancelled() => tracing::debug!("a client was too slow"),
                    Err(e) => tracing::warn!("a handshake ended unexpectedly: {e}"),
                },
                accepted = self.listener.accept() => {
                    let (stream, from) = accepted?;
                    self.make_room();
                    let (acceptor, members) = (self.acceptor.clone(), self.members.clone());
                    let task = self.handshakes.spawn(async move {
                        match timeout(HANDSHAKE, accept(stream, acceptor, members)).await {
                            Ok(result) => result.map_err(|e| in_context(&from, &e)),
                            Err(_) => Err(in_context(&from, &"its handshake takes too long")),
                        }
                    });
                    self.begun.push_back(task);
                }
            }
        }
    }
}

fn in_context(peer: &SocketAddr, why: &dyn fmt::Display) -> io::Error {
    io::Error::other(format!("`{peer}`: {why}"))
}

/// The server's side of a handshake.
async fn accept(stream: TcpStream, acceptor: TlsAcceptor, members: Members) -> io::Result<Duplex> {
    stream.set_nodelay(true)?;
    let stream = BufReader::with_capacity(READ, stream);
    let stream = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((e, stream)) => {
            refuse(stream).await;
            return Err(e);
        }
    };
    let fingerprint = peer(stream.get_ref().1)?;
    // It may have left since its certificate was verified.
    let membership = members
        .admit(fingerprint)
        .ok_or_else(|| io::Error::other(format!("{fingerprint} is not a member of the lattice")))?;
    Ok(duplex(stream, Some(membership)))
}

/// Ends a connection so that the other side sees the reason: if what it has sent were not read, the
/// socket would be reset, and TLS's last words with it.
async fn refuse(mut stream: BufReader<TcpStream>) {
    let ended = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(REFUSED), &mut tokio::io::sink()).await
    };
    // However it ends, it ends.
    _ = timeout(REFUSING, ended).await;
}

/// Who the other side is, if it speaks this protocol.
fn peer(session: &CommonState) -> io::Result<Fingerprint> {
    if session.alpn_protocol() != Some(tls::ALPN) {
        return Err(io::Error::other(
            "the other side does not say that it speaks this protocol",
        ));
    }
    match session.peer_certificates() {
        Some([certificate, ..]) => Ok(Fingerprint::of(certificate)),
        _ => Err(io::Error::other("the other side has no certificate")),
    }
}

fn duplex<S>(stream: S, membership: Option<Arc<Membership>>) -> Duplex
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (stream, writer) = tokio::io::split(stream);
    Duplex::of_halves(Reader { stream, membership }, writer).with_keep_alive(KEEP_ALIVE)
}

/// Connects to one host.
pub struct TcpConnector {
    /// Each with a port; tried in turn.
    addrs: Vec<String>,
    connector: TlsConnector,
}

impl TcpConnector {
    /// A connector to the host with the fingerprint `expected`, which listens at one of `addrs` (a name or
    /// an address, and a port), as `identity`.
    ///
    /// # Errors
    ///
    /// If the identity cannot be used.
    pub fn new(
        addrs: impl IntoIterator<Item = impl Into<String>>,
        identity: &Identity,
        expected: Fingerprint,
    ) -> io::Result<Self> {
        let config = tls::client(identity, expected).map_err(io::Error::other)?;
        Ok(Self {
            addrs: addrs.into_iter().map(Into::into).collect(),
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Tries all addresses in turn, and all that each name has.
    async fn open(&self) -> io::Result<Duplex> {
        let mut failed = Vec::new();
        for name in &self.addrs {
            let found = match timeout(ATTEMPT, lookup_host(name)).await {
                Ok(Ok(found)) => found,
                Ok(Err(e)) => {
                    failed.push(format!("`{name}`: {e}"));
                    continue;
                }
                Err(_) => {
                    failed.push(format!("`{name}`: it takes too long to look up the name"));
                    continue;
                }
            };
            for addr in found {
                match timeout(ATTEMPT, self.open_at(addr)).await {
                    Ok(Ok(duplex)) => return Ok(duplex),
                    Ok(Err(e)) => failed.push(format!("`{addr}`: {e}")),
                    Err(_) => failed.push(format!("`{addr}`: it takes too long")),
                }
            }
        }
        if failed.is_empty() {
            failed.push("it has no address".into());
        }
        Err(io::Error::other(failed.join("; ")))
    }

    async fn open_at(&self, addr: SocketAddr) -> io::Result<Duplex> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let stream = BufReader::with_capacity(READ, stream);
        let stream = self.connector.connect(tls::server_name(), stream).await?;
        peer(stream.get_ref().1)?;
        Ok(duplex(stream, None))
    }
}

impl fmt::Display for TcpConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.addrs.join("` or `"))
    }
}

impl Connect for TcpConnector {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        Box::pin(self.open())
    }
}

/// The reading half of a connection.
struct Reader<R> {
    stream: R,
    /// On the server's side: ends the connection with it.
    membership: Option<Arc<Membership>>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Reader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Also if it sends without a pause.
        if let Some(membership) = &self.membership
            && membership.poll_ended(cx).is_ready()
        {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the other side is not a member of the lattice any more",
            )));
        }
        match std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
            Ok(()) => Poll::Ready(Ok(())),
            // The end of TCP without that of TLS. The protocol has an end of its own, so that it makes no
            // difference whether a process was killed or somebody cut the line.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            Err(e) => Poll::Ready(Err(explain(e))),
        }
    }
}

/// Says what a client is told that was not accepted: with TLS 1.3 it learns so after its handshake.
fn explain(e: io::Error) -> io::Error {
    let tls = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::AlertReceived(AlertDescription::AccessDenied)) => io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the other side does not know this one as a member of its lattice",
        ),
        _ => e,
    }
}
