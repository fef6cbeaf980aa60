//! The transport that the protocol needs: one that opens a stream of bytes in both directions.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// A future that owns what it is about.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stream of bytes in each direction.
pub struct Duplex {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
    pub(crate) keep_alive: Option<KeepAlive>,
}

/// How closely a connection is watched whose transport does not tell when the other side has gone. The
/// keep-alive applies where [`Limits`](crate::Limits) are longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long nothing may have come before the client asks.
    pub after: Duration,
    /// How long the server has to answer.
    pub answer: Duration,
}

impl Duplex {
    /// Of two streams that can be used at the same time, as a socket's halves can.
    pub fn of_halves(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
            keep_alive: None,
        }
    }

    /// Of a stream that is used for one direction at a time.
    pub fn of(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self::of_halves(reader, writer)
    }

    /// Both halves as one stream.
    pub(crate) fn into_stream(self) -> impl AsyncRead + AsyncWrite + Send + Unpin + 'static {
        tokio::io::join(self.reader, self.writer)
    }

    /// Its two halves, for one who speaks something else than the protocol.
    pub fn into_halves(
        self,
    ) -> (
        Box<dyn AsyncRead + Send + Unpin>,
        Box<dyn AsyncWrite + Send + Unpin>,
    ) {
        (self.reader, self.writer)
    }

    /// The same, to be watched as closely as this.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: KeepAlive) -> Self {
        Self {
            keep_alive: Some(keep_alive),
            ..self
        }
    }
}

/// Opens streams to one endpoint. The `Display` text is the endpoint's name.
pub trait Connect: Display + Send + Sync + 'static {
    /// Opens a stream. The client calls this again when the stream has ended, and drops the future
    /// when opening takes too long.
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>>;
}

/// Accepts streams.
pub trait Listener: Send + 'static {
    /// Waits for the next one. Nothing is lost if it is dropped while it waits.
    fn accept(&mut self) -> impl Future<Output = io::Result<Duplex>> + Send;
}
