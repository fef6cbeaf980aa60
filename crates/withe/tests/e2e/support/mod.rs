//! A folder with a manifest, the command run in it, and a small HTTP client.

pub(crate) mod client;
pub(crate) mod examples;
pub(crate) mod manifest;
pub(crate) mod process;
#[cfg(target_os = "linux")]
pub(crate) mod rig;
pub(crate) mod shipped;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use process::{Ended, Up};

/// Far more than anything here takes, on a busy machine too. Whatever waits gives up after it.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// The folder for temporary files, sockets among them, of whatever runs in a [`Folder`].
pub(crate) const TEMPORARY: &str = "tmp";

/// The file of one of the components in `tests/guests`.
pub(crate) fn guest(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/build");
    let path = folder.join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "{} is not built: run `cargo xtask guests`",
        path.display()
    );
    path
}

/// A folder of its own for one test; it goes when this is dropped.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(TEMPORARY)).unwrap();
        Self { folder }
    }

    /// A folder with an application in `app.yaml`.
    pub(crate) fn with(manifest: &str) -> Self {
        let folder = Self::new();
        folder.write("app.yaml", manifest);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        process::run(self.command(args))
    }

    /// Calls a function of a component of `app.yaml`.
    pub(crate) fn call(&self, component: &str, call: &str) -> Ended {
        self.run(&["call", "app.yaml", component, call])
    }

    /// Runs `app.yaml`.
    pub(crate) fn up(&self, options: &[&str]) -> Up {
        Up::start(self.command(&[&["up", "app.yaml"], options].concat()))
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_withe"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // One for all tests, which share components: most find theirs compiled.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        command.env("WITHE_CACHE_DIR", cache);
        command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
        command.env("TMPDIR", self.path(TEMPORARY));
        // The socket by which other commands find a host, apart from what it keeps for itself.
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        command.env_remove("WITHE_LATTICE");
        for variable in ["WITHE_LOG", "NO_COLOR", "CLICOLOR_FORCE", "WHO"] {
            command.env_remove(variable);
        }
        command
    }
}
