//! The machine that is built on.

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::{process, tree};

/// The machine that is built on, as the compiler names it.
///
/// # Errors
///
/// The compiler does not say.
pub(crate) async fn host() -> Result<String> {
    let mut rustc = Command::new("rustc");
    let about = process::output(
        "ask what is built for",
        rustc.arg("-vV").current_dir(tree::root()),
        process::SHORT,
    )
    .await?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .context("`rustc -vV` does not name the host")
}
