//! Unix sockets.
//!
//! Both ends look at whose process the other is: only this user's and root's are talked to. The folder of a socket keeps
//! others out already, if it is one that only this user can enter; a socket in another folder is as safe, though others
//! can take its place and thereby keep it from being reached.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixSocket, UnixStream};
use withe_files::is_trusted_user;

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
        // The file has from the beginning whatever the socket is given before it has a name: nothing is changed by a name
        // that could lead elsewhere by then.
        #[cfg(target_os = "linux")]
        rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
        if let Err(e) = socket.bind(&path) {
            if e.kind() != io::ErrorKind::AddrInUse {
                return Err(e);
            }
            remove_stale(&path).await?;
            socket.bind(&path)?;
        }
        // Other systems know a mode of the file only. Nobody can connect before it listens.
        #[cfg(not(target_os = "linux"))]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
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

impl UnixListener {
    /// The next connection of this user or root, for those who say something else on it than the invocation protocol.
    ///
    /// # Errors
    ///
    /// If the system cannot accept any.
    pub async fn accept_stream(&mut self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            match check_peer(&stream) {
                Ok(()) => return Ok(stream),
                Err(why) => {
                    tracing::warn!("a connection to `{}` is closed: {why}", self.path.display())
                }
            }
        }
    }
}

impl Listener for UnixListener {
    async fn accept(&mut self) -> io::Result<Duplex> {
        self.accept_stream().await.map(duplex)
    }
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == self.file);
        if is_ours {
            // The next server replaces a leftover socket.
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

impl UnixConnector {
    /// A connection to a process of this user or root, for those who say something else on it than the invocation
    /// protocol.
    ///
    /// # Errors
    ///
    /// If nobody listens there, or somebody else does.
    pub async fn connect_stream(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.path).await?;
        check_peer(&stream)?;
        Ok(stream)
    }
}

impl Connect for UnixConnector {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        Box::pin(async { self.connect_stream().await.map(duplex) })
    }
}

/// Why a process is not talked to.
#[derive(Debug, thiserror::Error)]
#[error(
    "the process at the other end is that of the user with the number {0}, and not of this one"
)]
struct OtherUser(u32);

/// Whether the process at the other end is this user's, or root's.
///
/// # Errors
///
/// [`io::ErrorKind::PermissionDenied`] if it is another user's.
fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    if is_trusted_user(user) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        OtherUser(user),
    ))
}

fn duplex(stream: UnixStream) -> Duplex {
    let (reader, writer) = stream.into_split();
    Duplex::of_halves(reader, writer)
}
