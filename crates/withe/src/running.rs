//! The host and the async runtime, which `up` and `call` share.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use withe_host::{HostOptions, WorkerCommand};

use crate::known_secrets::known_secrets;
use crate::places;
use crate::progress::Reporter;

/// How long work under way may take to finish when an application stops.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// How long what is left behind, such as a compilation nobody waits for, may take when all else has
/// ended.
const LEFT_BEHIND: Duration = Duration::from_millis(200);

/// Runs `future` on a new async runtime.
///
/// # Errors
///
/// Returns the errors of `future`, or one if the runtime cannot start.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = Runtime::new().context("no threads to run on")?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(LEFT_BEHIND);
    result
}

/// How hosts are set up that this command runs.
///
/// # Errors
///
/// If it is not known where this program is.
pub(crate) fn host_options(reporter: &Reporter) -> anyhow::Result<HostOptions> {
    // Programs and sockets of processes that were killed.
    let swept = withe_files::sweep();
    if swept > 0 {
        tracing::info!("{swept} temporary folders of processes that were killed are removed");
    }
    Ok(HostOptions {
        cache_dir: places::cache_dir(),
        key_dir: places::key_dir(),
        guarded: places::sockets()
            .iter()
            .map(|f| f.path().to_owned())
            .collect(),
        grace: GRACE,
        progress: reporter.callback(),
        worker: Some(this_command(&["worker"])?),
        compiler: Some(WorkerCommand {
            program: this_image()?,
            args: vec!["compile-component".into()],
        }),
        provider: Some(this_command(&["provider", "run"])?),
        secrets: known_secrets().clone(),
        ..HostOptions::default()
    })
}

/// This program as it runs, also when its file was removed or another version was installed there: code that another
/// version compiles is not loaded.
fn this_image() -> anyhow::Result<PathBuf> {
    // A process that is started looks there before it is another program.
    let image = PathBuf::from("/proc/self/exe");
    match image.exists() {
        true => Ok(image),
        false => this_program(),
    }
}

fn this_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("the path of `withe` is not known")
}

/// This program with other arguments.
pub(crate) fn this_command(args: &[&str]) -> anyhow::Result<WorkerCommand> {
    Ok(WorkerCommand {
        program: this_program()?,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
    })
}
