//! Unix sockets.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixSocket, UnixStream};

use crate::transport::{BoxFuture, Connect, Duplex, Listener};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Accepts connections on a socket that only its owner can connect to. Dropped, it removes the socket's
/// file.
pub struct UnixListener {
    listener: tokio::net::UnixListener,
    path: PathBuf,
    /// Device and number of the socket's file, so that no other is removed.
    file: (u64, u64),
}

impl UnixListener {
    /// Listens at `path`. The socket of a server that has gone is replaced.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AddrInUse`] if another server listens there, or there is something that is no
    /// socket; else whatever keeps the socket from being made.
    pub async fn bind(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let socket = UnixSocket::new_stream()?;
        if let Err(e) = socket.bind(&path) {
            if e.kind() != io::ErrorKind::AddrInUse {
                return Err(e);
            }
            remove_stale(&path).await?;
            socket.bind(&path)?;
        }
        // Nobody can connect before it listens.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let meta = fs::symlink_metadata(&path)?;
        Ok(Self {
            listener: socket.listen(BACKLOG)?,
            path,
            file: (meta.dev(), meta.ino()),
        })
    }
}

/// Removes the socket of a server that has gone.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let in_use = |why: &str| {
        let text = format!("`{}` {why}", path.display());
        io::Error::new(io::ErrorKind::AddrInUse, text)
    };
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(in_use("is there, and is no socket"));
        }
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    }
    match UnixStream::connect(path).await {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        // Also if its queue is full: then somebody is there.
        _ => Err(in_use("is served by another process")),
    }
}

impl Listener for UnixListener {
    async fn accept(&mut self) -> io::Result<Duplex> {
        let (stream, _) = self.listener.accept().await?;
        Ok(duplex(stream))
    }
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == self.file);
        if is_ours {
            // What is left is replaced by the next server.
            _ = fs::remove_file(&self.path);
        }
    }
}

/// Connects to the socket at a path.
#[derive(Clone, Debug)]
pub struct UnixConnector {
    path: PathBuf,
}

impl UnixConnector {
    /// A connector to the socket at `path`, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl fmt::Display for UnixConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.path.display())
    }
}

impl Connect for UnixConnector {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        Box::pin(async { UnixStream::connect(&self.path).await.map(duplex) })
    }
}

fn duplex(stream: UnixStream) -> Duplex {
    let (reader, writer) = stream.into_split();
    Duplex::of_halves(reader, writer)
}
