//! Connections within the process, for tests.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use withe_rpc::{
    BoxFuture, Client, Connect, Duplex, Limits, LinkFunction, LinkRequest, Listener, Serve, Session,
};

/// Connections within the process.
struct Memory(mpsc::Sender<Duplex>);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`memory`")
    }
}

impl Connect for Memory {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        Box::pin(async {
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
            self.0.send(Duplex::of(theirs)).await.map_err(refused)?;
            Ok(Duplex::of(ours))
        })
    }
}

struct Accepted(mpsc::Receiver<Duplex>);

impl Listener for Accepted {
    async fn accept(&mut self) -> io::Result<Duplex> {
        match self.0.recv().await {
            Some(duplex) => Ok(duplex),
            None => std::future::pending().await,
        }
    }
}

/// A session with what `serve` serves, which goes on as long as the tasks.
pub(crate) fn session(
    serve: Arc<dyn Serve>,
    functions: Vec<LinkFunction>,
) -> (Arc<Session>, JoinSet<()>) {
    let (connect, accepted) = mpsc::channel(1);
    let mut server = JoinSet::new();
    let end = std::future::pending();
    server.spawn(withe_rpc::serve(
        Accepted(accepted),
        serve,
        Limits::default(),
        end,
    ));
    let client = Client::new(Arc::new(Memory(connect)), Limits::default());
    let link = client.link(LinkRequest {
        functions,
        ..LinkRequest::default()
    });
    (Arc::new(link.session()), server)
}
