//! The way to an instance that has a task of its own: jobs go there, and their outcomes come back.

use tokio::runtime::Handle;
use tokio::sync::mpsc::WeakSender;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use withe_rpc::{CallContext, CallError, HandleRef, Payload};

use crate::exports::ExportFn;

/// Calls that wait until their instance's task takes them.
const QUEUE: usize = 64;

/// An instance with a task of its own, which ends with this.
pub(crate) struct InstanceTask {
    jobs: mpsc::Sender<Job>,
    failure: watch::Receiver<Option<CallError>>,
    task: AbortHandle,
}

/// A job for an instance's task.
pub(crate) enum Job {
    Call {
        export: ExportFn,
        params: Payload,
        context: CallContext,
        reply: Reply,
    },
    Drop {
        id: u32,
        reply: Reply,
    },
}

/// Where the outcome of a job goes. If nobody waits for it any more, the resources in it are dropped, as
/// the waiting caller would have dropped them.
pub(crate) struct Reply {
    to: oneshot::Sender<Result<Payload, CallError>>,
    jobs: WeakSender<Job>,
}

impl Reply {
    pub(crate) fn send(self, result: Result<Payload, CallError>) {
        if let Err(Ok(unwanted)) = self.to.send(result) {
            give_back(&self.jobs, unwanted);
        }
    }
}

/// The outcome of a job, to be waited for.
pub(crate) struct Outcome {
    reply: oneshot::Receiver<Result<Payload, CallError>>,
    failure: watch::Receiver<Option<CallError>>,
    jobs: WeakSender<Job>,
}

impl Drop for Outcome {
    fn drop(&mut self) {
        // The result may have arrived unread.
        self.reply.close();
        if let Ok(Ok(unwanted)) = self.reply.try_recv() {
            give_back(&self.jobs, unwanted);
        }
    }
}

/// Has the resources dropped that a call returned and nobody took, unless their instance is gone.
fn give_back(jobs: &WeakSender<Job>, unwanted: Payload) {
    // Without a runtime the process is ending, and the instance with it.
    let (Some(jobs), Ok(runtime)) = (jobs.upgrade(), Handle::try_current()) else {
        return;
    };
    if unwanted.handles.is_empty() {
        return;
    }
    runtime.spawn(async move {
        for HandleRef { id, .. } in unwanted.handles {
            let (to, _) = oneshot::channel();
            let reply = Reply {
                to,
                jobs: jobs.downgrade(),
            };
            if jobs.send(Job::Drop { id, reply }).await.is_err() {
                return;
            }
        }
    });
}

impl InstanceTask {
    /// Starts `run`, which takes jobs from a queue until the instance fails or nobody can send any more.
    pub(crate) fn start<R>(run: impl FnOnce(mpsc::Receiver<Job>) -> R) -> Self
    where
        R: Future<Output = CallError> + Send + 'static,
    {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (failed, failure) = watch::channel(None);
        let run = run(queue);
        let task = tokio::spawn(async move {
            let failure = run.await;
            failed.send_replace(Some(failure));
        });
        Self {
            jobs,
            failure,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.failure.borrow().is_none() && !self.jobs.is_closed()
    }

    /// A way to the queue, for a call or two.
    pub(crate) fn way(&self) -> QueueWay {
        QueueWay {
            jobs: self.jobs.clone(),
            failure: self.failure.clone(),
        }
    }
}

/// Puts jobs into the queue of an instance's task.
pub(crate) struct QueueWay {
    jobs: mpsc::Sender<Job>,
    failure: watch::Receiver<Option<CallError>>,
}

impl QueueWay {
    pub(crate) async fn call(
        &self,
        export: &ExportFn,
        params: Payload,
        context: CallContext,
    ) -> Result<Outcome, CallError> {
        let (export, (reply, outcome)) = (export.clone(), self.outcome());
        let job = Job::Call {
            export,
            params,
            context,
            reply,
        };
        self.send(job, outcome).await
    }

    pub(crate) async fn drop_handle(&self, id: u32) -> Result<Outcome, CallError> {
        let (reply, outcome) = self.outcome();
        self.send(Job::Drop { id, reply }, outcome).await
    }

    fn outcome(&self) -> (Reply, Outcome) {
        let (to, reply) = oneshot::channel();
        let jobs = self.jobs.downgrade();
        let outcome = Outcome {
            reply,
            failure: self.failure.clone(),
            jobs: jobs.clone(),
        };
        (Reply { to, jobs }, outcome)
    }

    async fn send(&self, job: Job, mut outcome: Outcome) -> Result<Outcome, CallError> {
        match self.jobs.send(job).await {
            Ok(()) => Ok(outcome),
            Err(_) => Err(outcome.failure().await),
        }
    }
}

impl Drop for InstanceTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Outcome {
    pub(crate) async fn result(mut self) -> Result<Payload, CallError> {
        match (&mut self.reply).await {
            Ok(result) => result,
            Err(_) => Err(self.failure().await),
        }
    }

    /// Why the instance's task ended: it answers nobody any more, and is about to say so.
    async fn failure(&mut self) -> CallError {
        let failure = self.failure.wait_for(Option::is_some).await;
        let failure = failure.ok().and_then(|failure| failure.clone());
        failure.unwrap_or_else(|| CallError::Unreachable("the callee was stopped".into()))
    }
}
