//! A worker: a process that serves one component of an application to its other processes.
//!
//! The host's process starts it and writes an [`Assignment`] to its standard input, which it then keeps
//! open. One byte more asks the worker to finish what it does and end; so does the input's end, by which
//! the worker knows that the host is gone, and then it removes what the host has left. The worker reports
//! on standard output, one [`Said`] a line; standard error is the log's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use withe_process::Said;
use withe_rpc::Limits;
use withe_rpc::unix::UnixListener;
use withe_runtime::{EngineOptions, Engines, Observer, Tracer};

use crate::assignment::Assignment;
use crate::build::build;
use crate::error::HostError;
use crate::known_secrets::KnownSecrets;
use crate::options::Progress;
use crate::serve::Served;
use crate::sockets::Sockets;
use crate::units::units;

/// Why a worker could not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The assignment cannot be read.
    #[error("its assignment cannot be read: {0}")]
    Assignment(#[source] std::io::Error),
    /// The plan has no worker of that component.
    #[error("the plan has no worker of `{0}`")]
    NoWorker(String),
    /// The worker's socket cannot be made.
    #[error("its socket cannot be made: {0}")]
    Socket(#[source] std::io::Error),
    /// The assignment cannot be carried out.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// A report of a worker.
type Event = Said<Progress>;

/// Runs a worker: reads its assignment from `input`, serves until another byte comes or `input` ends, and
/// says on `output` how it gets on. `tracer` traces its calls; `secrets` is told the values
/// that its log is not to have.
///
/// # Errors
///
/// If the assignment cannot be read or carried out. The error is reported on `output` as well.
pub async fn run(
    mut input: impl AsyncRead + Unpin + Send,
    output: impl AsyncWrite + Unpin + Send + 'static,
    tracer: Tracer,
    secrets: &KnownSecrets,
) -> Result<(), WorkerError> {
    let (events, said) = mpsc::unbounded_channel();
    let saying = tokio::spawn(say(output, said));
    let result = work(&mut input, &events, tracer, secrets).await;
    if let Err(error) = &result {
        _ = events.send(Event::Failed(error.to_string()));
    }
    drop(events);
    // The task ends with the channel, or when nobody listens.
    _ = saying.await;
    result
}

async fn work(
    input: &mut (impl AsyncRead + Unpin + Send),
    events: &mpsc::UnboundedSender<Event>,
    tracer: Tracer,
    secrets: &KnownSecrets,
) -> Result<(), WorkerError> {
    let assignment = Assignment::read(input).await;
    let (assignment, parts) = assignment.map_err(WorkerError::Assignment)?;
    let Assignment {
        plan,
        component,
        sockets,
        cache_dir,
        key_dir,
        compiler,
        grace_ms,
        limits,
        ..
    } = assignment;
    secrets.know(&plan);
    let index = plan.workers.iter().position(|w| w.component == component);
    let index = index.ok_or(WorkerError::NoWorker(component))?;
    let engines = Engines::new(&EngineOptions {
        cache_dir,
        key_dir,
        observer: Observer {
            tracer: tracer.clone(),
            ..Observer::default()
        },
        ..limits.engine_options(compiler.as_ref())
    });
    let engines = engines.map_err(HostError::from)?;
    let mut sockets = Sockets::new(&sockets);
    let ends = sockets.ends(&plan, &parts, true);
    let specs = units(&parts, &plan, &plan.workers[index].units, &ends).map_err(HostError::of)?;
    let progress = {
        let events = events.clone();
        move |progress| _ = events.send(Event::Progress(progress))
    };
    let graph = build(&engines, specs, Arc::new(progress)).await?;
    let served = Served {
        plan: Arc::new(plan),
        parts: Arc::new(parts),
        graph: Some(graph.clone()),
        ends: HashMap::new(),
        relays: false,
        tracer,
    };
    let listener = UnixListener::bind(sockets.worker(index))
        .await
        .map_err(WorkerError::Socket)?;
    _ = events.send(Event::Ready);
    let mut host_is_gone = false;
    let end = async { host_is_gone = input.read_u8().await.is_err() };
    let limits = Limits {
        grace: Duration::from_millis(grace_ms),
        ..Limits::default()
    };
    withe_rpc::serve(listener, Arc::new(served), limits, end).await;
    graph.retire();
    if host_is_gone {
        sockets.remove_stale().await;
    }
    Ok(())
}

/// Writes events, one a line.
async fn say(
    mut output: impl AsyncWrite + Unpin,
    mut events: mpsc::UnboundedReceiver<Event>,
) -> std::io::Result<()> {
    while let Some(event) = events.recv().await {
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        output.write_all(&line).await?;
        output.flush().await?;
    }
    Ok(())
}
