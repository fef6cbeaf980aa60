//! A network between clients and servers in one process: it delays, reorders connections, cuts them at any byte, and
//! parts the two sides for a while.
//!
//! Everything that happens follows from a seed. Tokio's time is paused, so that a minute of faults takes
//! milliseconds.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{BoxFuture, Connect, Duplex, Listener};

/// The bytes that a connection holds in each direction before its writer waits.
const IN_FLIGHT: usize = 8 << 10;

/// The way to one server.
pub(super) struct Wire {
    name: String,
    rng: Mutex<Rng>,
    /// Where connections go while the server is up.
    server: watch::Sender<Option<Incarnation>>,
    /// Whether bytes get through.
    open: watch::Sender<bool>,
}

/// A server from its start to its end.
#[derive(Clone)]
struct Incarnation {
    accept: mpsc::Sender<Duplex>,
    /// Its connections end with it.
    cut: CancellationToken,
}

impl Wire {
    pub(super) fn new(name: impl Into<String>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            rng: Mutex::new(Rng::with_seed(seed)),
            server: watch::Sender::new(None),
            open: watch::Sender::new(true),
        })
    }

    /// The server is up, and accepts connections here.
    pub(super) fn up(&self) -> Accepted {
        let (accept, accepted) = mpsc::channel(1);
        self.server.send_replace(Some(Incarnation {
            accept,
            cut: CancellationToken::new(),
        }));
        Accepted(accepted)
    }

    /// The server is down: its connections are cut wherever they are.
    pub(super) fn down(&self) {
        if let Some(incarnation) = self.server.send_replace(None) {
            incarnation.cut.cancel();
        }
    }

    /// The server takes no more connections, and keeps those that it has.
    pub(super) fn stops(&self) {
        self.server.send_replace(None);
    }

    /// Lets bytes through, or holds them back, without either side being told.
    pub(super) fn open(&self, open: bool) {
        self.open.send_replace(open);
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap())
    }

    async fn lets_through(&self) {
        // The sender is in `self`.
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
    }

    /// Moves bytes one way, late and in pieces, at most `most` of them.
    async fn carry(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        most: usize,
    ) -> io::Result<()> {
        let mut left = most;
        let mut buffer = vec![0; 2 << 10];
        while left > 0 {
            let (size, late) = self.draw(|rng| (rng.usize(1..=buffer.len()), latency(rng)));
            let n = from.read(&mut buffer[..size.min(left)]).await?;
            if n == 0 {
                break;
            }
            sleep(late).await;
            self.lets_through().await;
            to.write_all(&buffer[..n]).await?;
            left -= n;
        }
        Ok(())
    }
}

/// Mostly a fraction of a millisecond, at times much longer.
fn latency(rng: &mut Rng) -> Duration {
    let micros = if rng.u8(..) < 8 {
        rng.u64(..200_000)
    } else {
        rng.u64(..800)
    };
    Duration::from_micros(micros)
}

/// Connects over a [`Wire`].
pub(super) struct Dial(pub(super) Arc<Wire>);

impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.name)
    }
}

impl Connect for Dial {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        Box::pin(async {
            let wire = self.0.clone();
            sleep(wire.draw(latency)).await;
            wire.lets_through().await;
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let Incarnation { accept, cut } = wire.server.borrow().clone().ok_or_else(refused)?;
            let (ours, near) = tokio::io::duplex(IN_FLIGHT);
            let (far, theirs) = tokio::io::duplex(IN_FLIGHT);
            // One connection in four is cut on its way, in the middle of whatever it carries.
            let most = wire.draw(|rng| match rng.u8(..4) {
                0 => rng.usize(1..4096),
                _ => usize::MAX,
            });
            tokio::spawn(async move {
                let (from_near, to_near) = tokio::io::split(near);
                let (from_far, to_far) = tokio::io::split(far);
                tokio::select! {
                    _ = wire.carry(from_near, to_far, most) => {}
                    _ = wire.carry(from_far, to_near, most) => {}
                    () = cut.cancelled() => {}
                }
            });
            accept
                .send(Duplex::of(theirs))
                .await
                .map_err(|_| refused())?;
            Ok(Duplex::of(ours))
        })
    }
}

/// The connections that come to a server.
pub(super) struct Accepted(mpsc::Receiver<Duplex>);

impl Listener for Accepted {
    async fn accept(&mut self) -> io::Result<Duplex> {
        match self.0.recv().await {
            Some(duplex) => Ok(duplex),
            // A server that takes no more connections has no error to tell either.
            None => std::future::pending().await,
        }
    }
}
