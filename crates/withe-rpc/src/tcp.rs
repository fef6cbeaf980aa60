//! TCP with TLS 1.3, for sides on different machines. Each knows the other by its
//! [fingerprint](crate::Fingerprint).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, ToSocketAddrs, lookup_host};
use tokio::time::timeout;

use crate::identity::{Fingerprint, Identity};
use crate::members::Members;
use crate::secure::{Acceptor, Dialer, Handshakes};
use crate::transport::{BoxFuture, Connect, Duplex, KeepAlive, Listener};

/// How long connecting to one of several addresses may take.
const ATTEMPT: Duration = Duration::from_secs(3);

/// A peer that has vanished is not told of by TCP, or after minutes. So a client hears that its
/// server is there every other second, and knows after 8 s at most that it is not.
const KEEP_ALIVE: KeepAlive = KeepAlive {
    after: Duration::from_secs(2),
    answer: Duration::from_secs(4),
};

/// Accepts connections of members.
pub struct TcpListener {
    listener: tokio::net::TcpListener,
    acceptor: Acceptor,
    handshakes: Handshakes,
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
        let acceptor = Acceptor::new(identity, members)?;
        Ok(Self {
            listener: tokio::net::TcpListener::bind(addr).await?,
            acceptor,
            handshakes: Handshakes::default(),
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

impl Listener for TcpListener {
    async fn accept(&mut self) -> io::Result<Duplex> {
        loop {
            tokio::select! {
                Some(duplex) = self.handshakes.next() => {
                    return Ok(duplex.with_keep_alive(KEEP_ALIVE));
                }
                accepted = self.listener.accept() => {
                    let (stream, from) = accepted?;
                    match stream.set_nodelay(true) {
                        Ok(()) => self.handshakes.begin(from, stream, self.acceptor.clone()),
                        // The client has gone already.
                        Err(e) => tracing::debug!("a client is not accepted: `{from}`: {e}"),
                    }
                }
            }
        }
    }
}

/// Connects to one host.
pub struct TcpConnector {
    /// Each with a port; tried in turn.
    addrs: Vec<String>,
    dialer: Dialer,
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
        Ok(Self {
            addrs: addrs.into_iter().map(Into::into).collect(),
            dialer: Dialer::new(identity, expected)?,
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
        let duplex = self.dialer.connect(stream).await?;
        Ok(duplex.with_keep_alive(KEEP_ALIVE))
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
