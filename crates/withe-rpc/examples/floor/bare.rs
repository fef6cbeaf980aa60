//! Servers that answer bytes with bytes.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{CHUNK, LARGE, SMALL_FRAME};

/// How a bare server answers a frame.
#[derive(Clone, Copy)]
pub(crate) enum Bare {
    /// Answers a small call's frame.
    Small,
    /// Answers a large call's bytes.
    Large,
    /// Reads to the end, and says so.
    Sink,
}

impl Bare {
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Large, Self::Sink];

    /// Serves a connection.
    pub(crate) async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        match self {
            Self::Small => echo(stream, SMALL_FRAME).await,
            Self::Large => echo(stream, LARGE).await,
            Self::Sink => sink(stream).await,
        }
    }
}

/// Answers as many bytes as come in one piece.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin, size: usize) {
    let mut buffer = vec![0; size];
    while stream.read_exact(&mut buffer).await.is_ok() {
        if stream.write_all(&buffer).await.is_err() || stream.flush().await.is_err() {
            break;
        }
    }
}

async fn sink(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
    stream.write_all(&[0]).await.expect("the client waits");
    stream.flush().await.expect("the client waits");
}
