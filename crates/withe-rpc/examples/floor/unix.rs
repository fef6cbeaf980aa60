//! Unix sockets.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::UnixStream;
use withe_rpc::unix::{UnixConnector, UnixListener};
use withe_rpc::{Client, Limits, serve};

use super::bare::Bare;
use super::{Echo, Transport, start};

/// A folder with the servers' sockets.
pub(crate) struct Sockets(PathBuf);

impl Sockets {
    fn bare_path(&self, server: Bare) -> PathBuf {
        self.0.join(format!("bare-{}", server as usize))
    }

    fn path(&self) -> PathBuf {
        self.0.join("rpc")
    }
}

impl Transport for Sockets {
    type Stream = UnixStream;

    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("withe-floor-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        let sockets = Self(folder);
        for server in Bare::ALL {
            let path = sockets.bare_path(server);
            start(async move || {
                let listener = tokio::net::UnixListener::bind(path).expect("it can be made");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(server.serve(stream));
                }
            });
        }
        let path = sockets.path();
        start(async || {
            let listener = UnixListener::bind(path).await.expect("it can be made");
            let forever = std::future::pending();
            serve(listener, Arc::new(Echo), Limits::default(), forever).await;
        });
        sockets
    }

    async fn bare(&self, server: Bare) -> UnixStream {
        let stream = UnixStream::connect(self.bare_path(server)).await;
        stream.expect("it is there")
    }

    fn client(&self) -> Arc<Client> {
        let connect = UnixConnector::new(self.path());
        Client::new(Arc::new(connect), Limits::default())
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // Leftover files lie in the folder for temporary files.
        _ = std::fs::remove_dir_all(&self.0);
    }
}
