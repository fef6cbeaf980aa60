//! The sockets of an application's processes on this machine, and the ways to them.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};
use withe_linker::plan::{Binding, Plan, PlannedLink};
use withe_rpc::unix::UnixConnector;
use withe_rpc::{Client, Limits, LinkRequest, Route};

use crate::away::http_end;
use crate::blobs_over;
use crate::counts;
use crate::parts::Parts;
use crate::request::{
    blobs_request, carries_blobs, http_export, http_request, is_provider, request,
};
use crate::serve::ping_request;
use crate::units::LinkEnd;

/// How long a process that is gone may take to close its socket.
const CLOSING: Duration = Duration::from_secs(2);

/// The sockets of an application's processes, all in one folder that only its user can enter.
pub(crate) struct Sockets {
    folder: PathBuf,
    /// One connection to each, however many links lead there.
    clients: HashMap<PathBuf, Arc<Client>>,
}

impl Sockets {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            clients: HashMap::new(),
        }
    }

    /// The socket of the host's process.
    pub(crate) fn host(&self) -> PathBuf {
        self.folder.join("host.sock")
    }

    /// The socket of the worker at this place in the plan.
    pub(crate) fn worker(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{index}.sock"))
    }

    /// Removes the sockets that nobody listens on any more, and the folder with the last of them: for
    /// when the host, which would remove it, is gone. Whatever cannot be removed stays.
    pub(crate) async fn remove_stale(&self) {
        // A process that is killed closes one thing after the other, and its socket may come last.
        let over = Instant::now() + CLOSING;
        while !is_stale(&self.host()).await && Instant::now() < over {
            sleep(CLOSING / 100).await;
        }
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if is_stale(&path).await {
                _ = std::fs::remove_file(&path);
            }
        }
        // Fails if another worker still listens there; the last one removes it.
        _ = std::fs::remove_dir(&self.folder);
    }

    /// The links of `plan` that lead from a process to another: from the host's, or from a worker.
    pub(crate) fn ends(
        &mut self,
        plan: &Plan,
        parts: &Parts,
        from_worker: bool,
    ) -> HashMap<usize, LinkEnd> {
        let mut ends = HashMap::new();
        for (i, link) in plan.links.iter().enumerate() {
            if let Some(socket) = self.socket(plan, link, from_worker) {
                let to_unit = !is_provider(plan, &link.target);
                let client = self.client(socket);
                if !to_unit && carries_blobs(link) {
                    let route = Route::fixed(client.link(blobs_request(plan, link)));
                    ends.insert(i, blobs_over::end(route));
                    continue;
                }
                let carries_http = http_export(link).is_some();
                let http =
                    carries_http.then(|| Route::fixed(client.link(http_request(plan, link))));
                if let (false, Some(route)) = (to_unit, &http) {
                    ends.insert(i, http_end(route.clone()));
                    continue;
                }
                let end = LinkEnd::Remote {
                    route: Route::fixed(client.link(request(plan, parts, link))),
                    ping: Route::fixed(client.link(ping_request(plan, link))),
                    to_unit,
                    http,
                };
                ends.insert(i, end);
            }
        }
        ends
    }

    /// The way of a link from the host's process to the worker of its target, if it leads to one.
    pub(crate) fn route(
        &mut self,
        plan: &Plan,
        link: &PlannedLink,
        request: LinkRequest,
    ) -> Option<Arc<Route>> {
        let socket = self.socket(plan, link, false)?;
        Some(Route::fixed(self.client(socket).link(request)))
    }

    /// The ways to what the workers of `plan` have counted.
    pub(crate) fn counts(&mut self, plan: &Plan) -> Vec<Arc<Route>> {
        let workers = 0..plan.workers.len();
        let route = |index| {
            let client = self.client(self.worker(index));
            Route::fixed(client.link(counts::request(plan)))
        };
        workers.map(route).collect()
    }

    /// Where a link leads, if that is another process of this machine.
    fn socket(&self, plan: &Plan, link: &PlannedLink, from_worker: bool) -> Option<PathBuf> {
        if link.incoming {
            None
        } else if is_provider(plan, &link.target) || link.leaves_host {
            // The host's process has the providers and the ways to other hosts, and takes both as they are.
            from_worker.then(|| self.host())
        } else if link.binding == Binding::Unix {
            let mut workers = plan.workers.iter();
            let index = workers.position(|worker| worker.component == link.target);
            index.map(|index| self.worker(index))
        } else {
            None
        }
    }

    fn client(&mut self, socket: PathBuf) -> Arc<Client> {
        let connect = || Client::new(Arc::new(UnixConnector::new(&socket)), Limits::default());
        let clients = self.clients.entry(socket.clone());
        clients.or_insert_with(connect).clone()
    }
}

/// Whether nobody listens on a socket, or there is none.
async fn is_stale(socket: &Path) -> bool {
    let connected = UnixStream::connect(socket).await;
    connected.is_err_and(|e| matches!(e.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound))
}
