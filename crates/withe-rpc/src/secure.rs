//! TLS 1.3 over a stream of bytes, whatever carries it: each side knows the other by its
//! [fingerprint](crate::Fingerprint).
//!
//! `tcp` has it below the protocol because machines are between the sides, and `nats` because a broker is: a client
//! that may publish and subscribe there could otherwise call as a host, be called as one, and read what hosts say.
//! Signing each message was rejected: it would tell who speaks, and leave what is said to be read and repeated.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::{AlertDescription, CommonState};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::identity::{Fingerprint, Identity};
use crate::members::{Members, Membership};
use crate::tls;
use crate::transport::{BoxFuture, Connect, Duplex, Listener};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes under way at a time. When one more begins, the oldest is given up: those of members take milliseconds,
/// while a silent peer would keep a place for as long as a handshake may take.
const HANDSHAKES: usize = if cfg!(test) { 8 } else { 512 };

/// How long a client that was refused is listened to, and how much of it.
const REFUSING: Duration = Duration::from_secs(1);
const REFUSED: u64 = 64 << 10;

/// How much is read from what is below at a time. TLS by itself reads 4 KiB.
const READ: usize = 64 << 10;

/// The server's side of handshakes.
#[derive(Clone)]
pub(crate) struct Acceptor {
    tls: TlsAcceptor,
    members: Members,
}

impl Acceptor {
    /// Accepts `members`, as `identity`.
    pub(crate) fn new(identity: &Identity, members: Members) -> io::Result<Self> {
        let config = tls::server(identity, members.clone()).map_err(io::Error::other)?;
        let tls = TlsAcceptor::from(Arc::new(config));
        Ok(Self { tls, members })
    }

    async fn accept<S>(self, stream: S) -> io::Result<Duplex>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = BufReader::with_capacity(READ, stream);
        let stream = match self.tls.accept(stream).into_fallible().await {
            Ok(stream) => stream,
            Err((e, stream)) => {
                refuse(stream).await;
                return Err(e);
            }
        };
        let fingerprint = peer(stream.get_ref().1)?;
        // The member may have left since its certificate was verified.
        let membership = (self.members).admit(fingerprint).ok_or_else(|| {
            io::Error::other(format!("{fingerprint} is not a member of the lattice"))
        })?;
        Ok(duplex(stream, Some(membership)))
    }
}

/// Ends a connection so that the other side sees the reason: if what it has sent were not read, a
/// socket would be reset, and TLS's last words with it.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let ended = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(REFUSED), &mut tokio::io::sink()).await
    };
    // However it ends, it ends.
    _ = timeout(REFUSING, ended).await;
}

/// Handshakes under way, each in a task that ends with this, so that a client that takes its time for its own keeps
/// no other waiting.
#[derive(Default)]
pub(crate) struct Handshakes {
    tasks: JoinSet<io::Result<Duplex>>,
    /// The same, oldest first; some have ended.
    begun: VecDeque<AbortHandle>,
}

impl Handshakes {
    /// Begins one with a client that is called `from` in the log.
    pub(crate) fn begin<S>(
        &mut self,
        from: impl fmt::Display + Send + 'static,
        stream: S,
        acceptor: Acceptor,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.make_room();
        let in_context = move |why: &dyn fmt::Display| io::Error::other(format!("`{from}`: {why}"));
        let task = self.tasks.spawn(async move {
            match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(result) => result.map_err(|e| in_context(&e)),
                Err(_) => Err(in_context(&"its handshake takes too long")),
            }
        });
        self.begun.push_back(task);
    }

    /// Waits for one that succeeds; `None` if none is under way. Nothing is lost if it is dropped while it waits.
    pub(crate) async fn next(&mut self) -> Option<Duplex> {
        loop {
            match self.tasks.join_next().await? {
                Ok(Ok(duplex)) => return Some(duplex),
                Ok(Err(e)) => tracing::debug!("a client is not accepted: {e}"),
                Err(e) if e.is_cancelled() => tracing::debug!("a client was too slow"),
                Err(e) => tracing::warn!("a handshake ended unexpectedly: {e}"),
            }
        }
    }

    /// Gives up the oldest, if there are too many for one more.
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

/// The client's side of handshakes with one server.
#[derive(Clone)]
pub(crate) struct Dialer(TlsConnector);

impl Dialer {
    /// Connects to the one with the fingerprint `expected`, as `identity`.
    pub(crate) fn new(identity: &Identity, expected: Fingerprint) -> io::Result<Self> {
        let config = tls::client(identity, expected).map_err(io::Error::other)?;
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(crate) async fn connect<S>(&self, stream: S) -> io::Result<Duplex>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = BufReader::with_capacity(READ, stream);
        let stream = self.0.connect(tls::server_name(), stream).await?;
        peer(stream.get_ref().1)?;
        Ok(duplex(stream, None))
    }
}

/// Accepts members, over what another listener accepts.
pub struct SecureListener<L> {
    listener: L,
    acceptor: Acceptor,
    handshakes: Handshakes,
}

impl<L> SecureListener<L> {
    /// Accepts `members` over what `listener` accepts, as `identity`.
    ///
    /// # Errors
    ///
    /// If the identity cannot be used.
    pub fn new(listener: L, identity: &Identity, members: Members) -> io::Result<Self> {
        Ok(Self {
            listener,
            acceptor: Acceptor::new(identity, members)?,
            handshakes: Handshakes::default(),
        })
    }
}

impl<L: Listener> Listener for SecureListener<L> {
    async fn accept(&mut self) -> io::Result<Duplex> {
        loop {
            tokio::select! {
                Some(duplex) = self.handshakes.next() => return Ok(duplex),
                accepted = self.listener.accept() => {
                    let stream = accepted?.into_stream();
                    self.handshakes.begin("a host", stream, self.acceptor.clone());
                }
            }
        }
    }
}

/// Connects to one server, over what another connector opens.
pub struct SecureConnector<C> {
    connector: C,
    dialer: Dialer,
}

impl<C> SecureConnector<C> {
    /// Connects by `connector` to the one with the fingerprint `expected`, as `identity`.
    ///
    /// # Errors
    ///
    /// If the identity cannot be used.
    pub fn new(connector: C, identity: &Identity, expected: Fingerprint) -> io::Result<Self> {
        let dialer = Dialer::new(identity, expected)?;
        Ok(Self { connector, dialer })
    }
}

impl<C: Connect> fmt::Display for SecureConnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connector.fmt(f)
    }
}

impl<C: Connect> Connect for SecureConnector<C> {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        Box::pin(async {
            let below = self.connector.connect().await?;
            self.dialer.connect(below.into_stream()).await
        })
    }
}

/// The fingerprint of the peer, if the peer speaks this protocol.
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
    Duplex::of_halves(Reader { stream, membership }, writer)
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
            // The end of the stream without that of TLS. The protocol has an end of its own, so that it makes no
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
