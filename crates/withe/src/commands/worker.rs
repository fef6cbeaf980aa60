//! `withe worker`: a process that serves a component to the host that started it.

use crate::Outcome;
use crate::running::block_on;

pub(crate) fn run() -> anyhow::Result<Outcome> {
    let served = withe_host::worker::run(tokio::io::stdin(), tokio::io::stdout());
    block_on(async { Ok(served.await?) })?;
    Ok(Outcome::Done)
}
