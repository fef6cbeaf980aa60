//! WASI's state for one instance: what it prints, its environment, and what of the machine it may reach.

use std::sync::Arc;

use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use crate::guest_output::GuestOutput;
use crate::last_words::LastWords;
use crate::log_stream::LogStream;
use crate::quota::Account;
use crate::spec::{Identity, UnitGrants};

/// The command line of an instance that runs as a command of this process: its arguments, and with them the
/// standard streams of the process.
#[derive(Debug)]
pub(crate) struct CommandLine {
    /// The command's name first, as programs expect it.
    pub(crate) arguments: Vec<String>,
}

/// The state of an instance of `who` with `grants`, which may be a command.
pub(crate) fn context(
    who: &Arc<Identity>,
    account: &Arc<Account>,
    grants: &UnitGrants,
    words: &LastWords,
    command: Option<&CommandLine>,
    output: Option<&GuestOutput>,
) -> WasiCtx {
    let mut wasi = WasiCtxBuilder::new();
    match command {
        Some(command) => {
            wasi.args(&command.arguments).inherit_stdio();
        }
        None => {
            let output = || output.cloned();
            wasi.stdout(LogStream::stdout(who.clone(), account.clone(), output()));
            wasi.stderr(LogStream::stderr(
                who.clone(),
                account.clone(),
                words.clone(),
                output(),
            ));
        }
    }
    wasi.envs(&who.env);
    wasi.allow_tcp(grants.network);
    wasi.allow_udp(grants.network);
    if grants.network {
        wasi.inherit_network().allow_ip_name_lookup(true);
    }
    for dir in &grants.directories {
        let perms = if dir.read_only {
            FsPerms::ReadOnly
        } else {
            FsPerms::ReadWrite
        };
        if let Err(e) = wasi.preopened_dir(&dir.host, &dir.guest, perms) {
            tracing::error!(
                component = who.component,
                "granted directory `{}` cannot be opened: {e:#}",
                dir.host.display()
            );
        }
    }
    wasi.build()
}
