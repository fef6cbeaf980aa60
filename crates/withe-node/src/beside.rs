//! The socket by which the other hosts of this machine reach this one.
//!
//! Both sides prove that they are members, as they do over TCP: whatever else runs as this user, such as a provider's
//! program, is none. The user's number, by which workers are known, would not tell them apart.

use std::io;
use std::path::Path;

use withe_files::TemporaryFolder;
use withe_rpc::secure::SecureListener;
use withe_rpc::unix::UnixListener;
use withe_rpc::{Identity, Members};

/// Its name, in a folder of its own.
const SOCKET: &str = "host.sock";

/// Whether a host may listen at this path. Hosts say where they do, and are not to have others connect to whatever else
/// listens on the machine.
pub(crate) fn is_of_host(path: &Path) -> bool {
    let in_folder = path.parent().is_some_and(TemporaryFolder::may_be);
    in_folder && path.file_name().is_some_and(|name| name == SOCKET)
}

/// Listens for members that are this user's, in a folder that only this user can enter and that goes with it; says where.
///
/// # Errors
///
/// If the folder or the socket cannot be made, or has a path that others cannot be told.
pub(crate) async fn listen(
    identity: &Identity,
    members: Members,
) -> io::Result<(SecureListener<UnixListener>, String, TemporaryFolder)> {
    let folder = TemporaryFolder::new()?;
    let path = folder.path().join(SOCKET);
    let listener = UnixListener::bind(&path).await?;
    let listener = SecureListener::new(listener, identity, members)?;
    // Others are told of it in JSON.
    let path = path.into_os_string().into_string();
    let path = path.map_err(|path| {
        io::Error::other(format!("the path {path:?} of its folder is not UTF-8"))
    })?;
    Ok((listener, path, folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_path_of_a_host_is_told_from_others() {
        let identity = Identity::generate().unwrap();
        let (_listener, path, _folder) = listen(&identity, Members::default()).await.unwrap();
        assert!(is_of_host(path.as_ref()));
        for other in ["/run/docker.sock", "/tmp/host.sock", "host.sock", ""] {
            assert!(!is_of_host(other.as_ref()), "{other}");
        }
    }
}
