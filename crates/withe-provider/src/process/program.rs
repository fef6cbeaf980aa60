//! The program of a provider.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use withe_rpc::unix::{UnixConnector, UnixListener};
use withe_rpc::{Client, Limits};

use super::assignment::{Assignment, AssignmentError, Event};
use super::description::{Description, Question};
use super::inherit::{hand_out, inherit};
use super::serve::ServedProvider;
use crate::{Descriptor, Handover, Provider, resources};

/// How much longer than its grace a provider may take to stop.
const SLACK: Duration = Duration::from_secs(1);
/// How long calls may take to end when the provider has stopped.
const CALLS: Duration = Duration::from_secs(1);
/// How long what is left behind, such as a name that is being looked up, may take when all else has ended.
const LEFT_BEHIND: Duration = Duration::from_millis(200);

/// Why a provider's process could not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There are no threads to run on.
    #[error("no threads to run on: {0}")]
    Threads(#[source] io::Error),
    /// [`describe`] cannot write.
    #[error("the description cannot be written: {0}")]
    Description(#[source] io::Error),
    /// [`check`] was not asked a question.
    #[error("the configuration to check cannot be read: {0}")]
    Question(#[source] serde_json::Error),
    /// [`check`] cannot write.
    #[error("what is wrong with the configuration cannot be written: {0}")]
    Problems(#[source] io::Error),
    /// There is nothing to carry out.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// The process cannot listen where its assignment says.
    #[error("its socket cannot be made: {0}")]
    Socket(#[source] io::Error),
}

/// All that the program of a provider does.
///
/// ```no_run
/// # const DESCRIPTOR: withe_provider::Descriptor = withe_provider::Descriptor {
/// #     name: "", version: "", summary: "", wit: &[], aliases: &[], paths: &[],
/// #     check_config: |_, _| Vec::new(), create: |_| unreachable!(),
/// # };
/// fn main() -> std::process::ExitCode {
///     withe_provider::process::main(&DESCRIPTOR)
/// }
/// ```
pub fn main(descriptor: &Descriptor) -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let result = match args.as_slice() {
        [] if !std::io::stdin().is_terminal() => serve(descriptor),
        [arg] if arg == "--describe" => describe(descriptor, &mut std::io::stdout()),
        [arg] if arg == "--check" => {
            check(descriptor, &mut std::io::stdin(), &mut std::io::stdout())
        }
        _ => {
            eprintln!(
                "`{}` is a provider of Withe {}: {}.\n\
                 A host starts it: write `image: file://PATH-OF-THIS-PROGRAM` in a manifest.\n\
                 `--describe` prints what it is as JSON.",
                descriptor.name, descriptor.version, descriptor.summary
            );
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ERROR {why}");
            ExitCode::FAILURE
        }
    }
}

/// [`run`] on this process's standard streams, with its log on standard error.
///
/// # Errors
///
/// As [`run`].
pub fn serve(descriptor: &Descriptor) -> Result<(), ProcessError> {
    super::log::start();
    let runtime = tokio::runtime::Runtime::new();
    let runtime = runtime.map_err(ProcessError::Threads)?;
    let served = run(descriptor, tokio::io::stdin(), tokio::io::stdout());
    let result = runtime.block_on(served);
    // Reading standard input, too, goes on in a thread that nobody waits for.
    runtime.shutdown_timeout(LEFT_BEHIND);
    result
}

/// Writes a provider's [`Description`] as one line of JSON.
///
/// # Errors
///
/// If it cannot be written.
pub fn describe(
    descriptor: &Descriptor,
    output: &mut impl std::io::Write,
) -> Result<(), ProcessError> {
    print(&Description::from(descriptor), output).map_err(ProcessError::Description)
}

/// Reads a [`Question`] from `input`, and writes what is wrong with the configuration that it holds, as one line
/// of JSON.
///
/// # Errors
///
/// If the one cannot be read, or the other not be written.
pub fn check(
    descriptor: &Descriptor,
    input: &mut impl std::io::Read,
    output: &mut impl std::io::Write,
) -> Result<(), ProcessError> {
    let question: Question = serde_json::from_reader(input).map_err(ProcessError::Question)?;
    let problems = (descriptor.check_config)(question.role, &question.config);
    print(&problems, output).map_err(ProcessError::Problems)
}

/// Writes a line of JSON.
fn print(value: &impl serde::Serialize, output: &mut impl std::io::Write) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

/// Runs a provider: reads its assignment from `input`, serves until another byte comes or `input` ends, and
/// says on `output` how it gets on.
///
/// # Errors
///
/// If the assignment cannot be read or carried out. The error is written to `output` as well.
pub async fn run(
    descriptor: &Descriptor,
    input: impl AsyncRead + Unpin + Send,
    mut output: impl AsyncWrite + Unpin + Send,
) -> Result<(), ProcessError> {
    let mut input = BufReader::new(input);
    let begun = async {
        let assignment = Assignment::read(&mut input).await?;
        let listener = UnixListener::bind(&assignment.socket).await;
        let listener = listener.map_err(ProcessError::Socket)?;
        let handover = UnixListener::bind(&assignment.handover).await;
        let handover = handover.map_err(ProcessError::Socket)?;
        Ok::<_, ProcessError>((assignment, listener, handover))
    };
    let (assignment, listener, handover) = match begun.await {
        Ok(begun) => begun,
        Err(why) => {
            say(&mut output, &Event::Failed(why.to_string())).await;
            return Err(why);
        }
    };
    resources::number_from(assignment.first_resource);
    let grace = assignment.grace();
    let provider = (descriptor.create)(assignment.config);
    if let Some(predecessor) = &assignment.predecessor {
        take_over(&*provider, predecessor).await;
    }
    // Dropped, or cancelled below, whichever is first.
    let left = CancellationToken::new();
    let _leave = left.clone().drop_guard();
    let handing_out = tokio::spawn(hand_out(handover, provider.clone(), left.clone()));
    let host = Client::new(
        Arc::new(UnixConnector::new(&assignment.host)),
        Limits::default(),
    );
    let served = Arc::new(ServedProvider::new(provider.clone(), host.clone()));
    let limits = Limits {
        grace: CALLS,
        ..Limits::default()
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = withe_rpc::serve(listener, served, limits, async { _ = stopped.await });
    let living = async {
        say(&mut output, &Event::Ready).await;
        let host_is_gone = input.read_u8().await.is_err();
        // A successor accepts connections from now on, before this one has finished with its own.
        left.cancel();
        // The provider goes on being called while it finishes: what it has begun may need that.
        if timeout(grace + SLACK, provider.shutdown(grace))
            .await
            .is_err()
        {
            tracing::warn!("the provider did not stop in time and was left behind");
        }
        _ = stop.send(());
        host_is_gone
    };
    let ((), host_is_gone) = tokio::join!(serving, living);
    host.close().await;
    // The listener removes its socket.
    _ = handing_out.await;
    if host_is_gone {
        remove_left(&assignment.host);
    }
    Ok(())
}

/// Gives `provider` the sockets of the process whose place it takes. One that has gone meanwhile leaves its addresses free.
async fn take_over(provider: &dyn Provider, predecessor: &Path) {
    match inherit(predecessor).await {
        Ok(sockets) => _ = provider.take_over(Handover::new(sockets)),
        Err(e) => tracing::info!("the predecessor's sockets were not to be had: {e}"),
    }
}

/// Removes the socket that a host has left, and its folder if nothing else is there. Whatever cannot be removed
/// stays.
fn remove_left(socket: &Path) {
    _ = std::fs::remove_file(socket);
    if let Some(folder) = socket.parent() {
        _ = std::fs::remove_dir(folder);
    }
}

/// Says something to the host, which may have gone.
async fn say(output: &mut (impl AsyncWrite + Unpin), event: &Event) {
    let Ok(mut line) = serde_json::to_vec(event) else {
        return;
    };
    line.push(b'\n');
    if output.write_all(&line).await.is_ok() {
        _ = output.flush().await;
    }
}
