//! A process of a provider while it runs: what can be asked of it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::timeout_at;
use withe_process::{Live, ProcessState};
use withe_provider::process::{
    Answer, CONTROL, ControlError, LinkPeer, LinkPut, ProviderState, Request, control_functions,
    link_functions, read_answer, write_request,
};
use withe_provider::{LinkId, ProviderError, blob_wire, http_wire};
use withe_rpc::unix::UnixConnector;
use withe_rpc::{CallContext, CallError, Client, Limits, LinkFunction, LinkRequest, Session};

/// The longest that starting, or making a link, may take.
pub(super) const MAKE: Duration = Duration::from_secs(30);

/// A process that can be called, until it ends.
pub(super) type LiveProcess = Arc<Live<RunningProcess>>;

/// A process that can be asked.
pub(super) struct RunningProcess {
    name: String,
    client: Arc<Client>,
    control: Session,
    /// Read by every call, replaced when a link changes.
    links: ArcSwap<HashMap<LinkId, Arc<ProcessLink>>>,
}

/// Why something that was asked for was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    /// The provider says why, in a sentence of its own.
    #[error("{0}")]
    Refused(String),
    /// The provider did not say anything, or nothing that can be understood.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// Why a process gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("nothing came of it in time")]
    Late,
    #[error(transparent)]
    Call(CallError),
    /// The process answered with something that is no answer.
    #[error(transparent)]
    Unreadable(#[from] ControlError),
}

impl From<NotDone> for ProviderError {
    fn from(not_done: NotDone) -> Self {
        Self(not_done.to_string())
    }
}

/// A link in the process. Nothing is sent before it is called.
pub(super) struct ProcessLink {
    functions: Vec<LinkFunction>,
    /// Of its functions. One session has all calls, as the provider has all resources of the link in one
    /// table.
    pub(super) calls: Session,
    /// Of requests that the provider is to send.
    pub(super) http: Arc<Session>,
    /// Of objects that the provider keeps.
    pub(super) blobs: Arc<Session>,
}

impl RunningProcess {
    /// The process that listens on `socket`.
    pub(super) fn new(name: &str, socket: &Path) -> Self {
        let connect = Arc::new(UnixConnector::new(socket));
        let client = Client::new(connect, Limits::default());
        let control = client.link(LinkRequest {
            target: CONTROL.into(),
            functions: control_functions(),
            ..LinkRequest::default()
        });
        Self {
            name: name.to_owned(),
            control: control.session(),
            client,
            links: ArcSwap::default(),
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    ///
    /// Returns the provider's failure, or the reason why it cannot be asked.
    pub(super) async fn ask(
        &self,
        request: &Request,
        deadline: Instant,
    ) -> Result<ProviderState, NotDone> {
        let context = CallContext {
            deadline,
            trace: None,
        };
        let answer = self.control.call(0, write_request(request), context).await;
        let answer = match answer {
            Ok(answer) => read_answer(&answer).map_err(NoAnswer::from),
            Err(CallError::Deadline) => Err(NoAnswer::Late),
            Err(other) => Err(NoAnswer::Call(other)),
        };
        match answer? {
            Answer::Done(state) => Ok(state),
            Answer::Failed(why) => Err(NotDone::Refused(why)),
        }
    }

    /// Makes or replaces a link.
    ///
    /// # Errors
    ///
    /// As [`RunningProcess::ask`].
    pub(super) async fn put(
        &self,
        put: &LinkPut,
        deadline: Instant,
    ) -> Result<ProviderState, NotDone> {
        let state = self.ask(&Request::LinkPut(put.clone()), deadline).await?;
        let functions = functions(&put.peer);
        // Handles that components hold through a link stay as long as its functions do.
        if self
            .link(put.link)
            .is_none_or(|known| known.functions != functions)
        {
            let request = |functions| LinkRequest {
                application: put.application.clone(),
                importer: put.component.clone(),
                name: put.link.0.to_string(),
                target: self.name.clone(),
                functions,
                ..LinkRequest::default()
            };
            let linked = Arc::new(ProcessLink {
                calls: self.client.link(request(functions.clone())).session(),
                http: Arc::new(self.client.link(request(http_wire::functions())).session()),
                blobs: Arc::new(self.client.link(request(blob_wire::functions())).session()),
                functions,
            });
            self.change(|links| drop(links.insert(put.link, linked.clone())));
        }
        Ok(state)
    }

    pub(super) fn remove(&self, link: LinkId) {
        self.change(|links| drop(links.remove(&link)));
    }

    pub(super) fn link(&self, link: LinkId) -> Option<Arc<ProcessLink>> {
        self.links.load().get(&link).cloned()
    }

    fn change(&self, change: impl Fn(&mut HashMap<LinkId, Arc<ProcessLink>>)) {
        self.links.rcu(|links| {
            let mut links = HashMap::clone(links);
            change(&mut links);
            links
        });
    }

    /// The process has ended: calls that wait for it fail.
    pub(super) async fn close(&self) {
        self.client.close().await;
    }
}

/// The process of the provider `name`, as soon as it runs with all its links and can be called.
///
/// # Errors
///
/// If there is none until `deadline`, or will never be one.
pub(super) async fn wait(
    name: &str,
    mut process: watch::Receiver<ProcessState<RunningProcess>>,
    deadline: Instant,
) -> Result<LiveProcess, CallError> {
    loop {
        let live = running(name, &mut process, deadline).await?;
        // The connection of a process that was killed is lost before the process is known to have ended. A call
        // that began between the two would fail, though the next process can take it.
        let Err(why) = live.ready().client.reach(deadline).await else {
            return Ok(live);
        };
        match &*process.borrow() {
            ProcessState::Running(now) if Arc::ptr_eq(now, &live) => return Err(why),
            // The process has ended, and its client with it: the next one is waited for.
            _ => {}
        }
    }
}

/// The process of the provider `name`, as soon as it is known to run.
async fn running(
    name: &str,
    process: &mut watch::Receiver<ProcessState<RunningProcess>>,
    deadline: Instant,
) -> Result<LiveProcess, CallError> {
    let is_known =
        |state: &ProcessState<_>| !matches!(state, ProcessState::Starting | ProcessState::Down(_));
    // The state when the time is over says why there is none.
    _ = timeout_at(deadline.into(), process.wait_for(is_known)).await;
    Err(match &*process.borrow() {
        ProcessState::Running(live) => return Ok(live.clone()),
        ProcessState::Down(why) => {
            let what = format!(
                "{why}, and is being restarted, which took longer than the call could wait"
            );
            unreachable(name, &what)
        }
        ProcessState::Starting => unreachable(name, "did not start in time"),
        ProcessState::Failed(why) => unreachable(name, &why.to_string()),
        ProcessState::Stopped => unreachable(name, "was stopped"),
    })
}

pub(super) fn unreachable(name: &str, what: &str) -> CallError {
    CallError::Unreachable(format!("provider `{name}` {what}"))
}

/// The functions that a link's importer calls.
fn functions(peer: &LinkPeer) -> Vec<LinkFunction> {
    match peer {
        LinkPeer::Importer(functions) => link_functions(functions),
        LinkPeer::Http | LinkPeer::Callee(_) => Vec::new(),
    }
}
