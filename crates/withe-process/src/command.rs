//! How a process is started. All processes are started here, so that what one may inherit, use and reach is decided in
//! one place.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::confine::Confined;

/// How often, and after which pause, a program is tried again that somebody has open for writing.
///
/// Nobody has it open for long. A file that this process has just written is open in every child that another thread is
/// starting at the same time, until that child becomes its own program.
pub(crate) const BUSY: (u32, Duration) = (100, Duration::from_millis(10));

/// The variables of this process that the processes which it starts have, too: where things are on the machine, how to
/// write for people, and how much to log and to carry. All others may hold secrets, such as the password for NATS.
const PASSED: [&str; 21] = [
    "CLICOLOR_FORCE",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "RAYON_NUM_THREADS",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TOKIO_WORKER_THREADS",
    "TZ",
    "USER",
    "WITHE_LOG",
    "WITHE_MAX_PAYLOAD",
    "XDG_CACHE_HOME",
];
/// The beginning of the names of such variables.
const PASSED_PREFIX: &str = "LC_";

/// The command that starts a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessCommand {
    program: PathBuf,
    args: Vec<OsString>,
    environment: Variables,
    /// Variables that it has besides, whichever the others are.
    set: Vec<(OsString, OsString)>,
    confined: Option<Confined>,
    log: ProcessLog,
    ready_within: Duration,
}

/// The variables that a process has.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Variables {
    /// [`PASSED`], and these of this process.
    Few(Vec<String>),
    /// These, and no others.
    Only(Vec<(OsString, OsString)>),
}

/// Where what a process writes goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessLog {
    /// Standard error is that of this process. Standard output is read as what it says.
    Inherited,
    /// Each line of standard error is logged by this process, under `withe::provider` and this name. Standard output is
    /// read as what it says.
    Errors(String),
    /// Standard output as well: such a process says nothing that is read.
    All(String),
}

impl ProcessCommand {
    /// The program at a path, which may be relative. Nothing is looked for in `PATH`.
    ///
    /// Unless the other methods say otherwise, it has no arguments, those few variables of this process that tell where
    /// things are on the machine and how to log, this process's standard error, and a minute to be ready.
    pub fn new(program: impl AsRef<Path>) -> Self {
        let program = program.as_ref();
        Self {
            // The system would look for a bare name in `PATH`. An empty path, which is all that fails, is none either way.
            program: std::path::absolute(program).unwrap_or_else(|_| program.to_owned()),
            args: Vec::new(),
            environment: Variables::Few(Vec::new()),
            set: Vec::new(),
            confined: None,
            log: ProcessLog::Inherited,
            ready_within: Duration::from_secs(60),
        }
    }

    /// With these arguments, after those that it has.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// With these variables, and no others.
    #[must_use]
    pub fn only_environment(
        mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        self.environment = Variables::Only(variables.into_iter().collect());
        self
    }

    /// With these variables of this process besides the few that it has anyway.
    #[must_use]
    pub fn pass(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        if let Variables::Few(more) = &mut self.environment {
            more.extend(names.into_iter().map(Into::into));
        }
        self
    }

    /// Confined, if anything is given.
    #[must_use]
    pub fn confined(mut self, confined: Option<Confined>) -> Self {
        self.confined = confined;
        self
    }

    /// With a folder of its own: if it is confined, it may write there, and has its temporary files there.
    #[must_use]
    pub fn own_folder(mut self, folder: &Path) -> Self {
        if let Some(confined) = &mut self.confined {
            confined.confinement.write.push(folder.to_owned());
            self.set.push(("TMPDIR".into(), folder.into()));
        }
        self
    }

    /// With its log there.
    #[must_use]
    pub fn log(mut self, log: ProcessLog) -> Self {
        self.log = log;
        self
    }

    /// With so long to be ready.
    #[must_use]
    pub fn ready_within(mut self, limit: Duration) -> Self {
        self.ready_within = limit;
        self
    }

    /// The program's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.args
    }

    pub(crate) fn log_mode(&self) -> &ProcessLog {
        &self.log
    }

    pub(crate) fn limit(&self) -> Duration {
        self.ready_within
    }

    /// The command for the system.
    pub(crate) fn build(&self) -> Command {
        let mut command = match &self.confined {
            None => {
                let mut command = Command::new(&self.program);
                command.args(&self.args);
                command
            }
            Some(confined) => {
                let mut command = Command::new(&confined.program);
                command.args(confined.arguments(&self.program, &self.args));
                command
            }
        };
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(match self.log {
                ProcessLog::Inherited => Stdio::inherit(),
                ProcessLog::Errors(_) | ProcessLog::All(_) => Stdio::piped(),
            });
        command.env_clear();
        match &self.environment {
            Variables::Only(variables) => command.envs(variables.iter().cloned()),
            Variables::Few(more) => {
                let is_passed = |name: &str| {
                    PASSED.contains(&name)
                        || name.starts_with(PASSED_PREFIX)
                        || more.iter().any(|other| other == name)
                };
                let own = std::env::vars_os();
                command.envs(own.filter(|(name, _)| name.to_str().is_some_and(is_passed)))
            }
        };
        command.envs(self.set.iter().cloned());
        // A signal from the terminal is for the host, which ends its processes itself; and what a process starts can be
        // killed with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    }
}

/// Whether a program that cannot be started can be in a moment.
pub(crate) fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ExecutableFileBusy
}
