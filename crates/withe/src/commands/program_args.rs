//! Options for the processes of providers: what they are given, and what is kept from them.

use std::path::PathBuf;

use clap::ValueEnum;
use withe_host::{ConfineOptions, HostOptions};

use super::limit_args::size;
use crate::running::this_command;

/// Options for the processes of providers.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProgramArgs {
    /// A variable of this process that the processes of providers have, too. All but a few that hold nothing
    /// secret, such as `PATH`, are kept from them. May be given several times.
    #[arg(long = "pass-env", value_name = "NAME", help_heading = "Programs")]
    pass_env: Vec<String>,
    /// Whether programs are confined: `auto` wherever the system can, `required` only there, `off` nowhere. One that is
    /// confined reads the folders that programs are installed in and changes nothing but the folders of files that its
    /// configuration names.
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Programs"
    )]
    confine_programs: ConfineWhen,
    /// A file or folder that programs may read, too. May be given several times.
    #[arg(long, value_name = "PATH", help_heading = "Programs")]
    program_read: Vec<PathBuf>,
    /// A file or folder that programs may read and change, too. May be given several times.
    #[arg(long, value_name = "PATH", help_heading = "Programs")]
    program_write: Vec<PathBuf>,
    /// The most memory that each program may have, such as `512MiB`.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Programs")]
    program_memory: Option<u64>,
}

/// When programs are confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConfineWhen {
    Auto,
    Required,
    Off,
}

impl ProgramArgs {
    /// Sets up a host like that.
    ///
    /// # Errors
    ///
    /// If it is not known where this program is.
    pub(crate) fn apply(&self, host: &mut HostOptions) -> anyhow::Result<()> {
        host.pass_environment.clone_from(&self.pass_env);
        host.confine = match self.confine_programs {
            ConfineWhen::Off => None,
            when => Some(ConfineOptions {
                command: this_command(&["confine"])?,
                read: self.program_read.clone(),
                write: self.program_write.clone(),
                memory: self.program_memory,
                required: when == ConfineWhen::Required,
            }),
        };
        Ok(())
    }
}
