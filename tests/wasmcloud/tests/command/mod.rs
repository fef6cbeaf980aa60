//! The built command `withe`, run beside v1's own programs.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nkeys::KeyPair;
use provider_archive::ProviderArchive;
use withe_testing::wait::PATIENCE;

/// How long a command may take to end after it was asked to: longer than a host gives its providers.
const ENDING: Duration = Duration::from_secs(30);

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The command, which another workspace builds: where `WITHE_BUILT` says, or where that workspace's `cargo build` puts it.
fn withe() -> PathBuf {
    let target = || match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => root().join("target"),
    };
    let named = std::env::var_os("WITHE_BUILT").map(PathBuf::from);
    let path = named.unwrap_or_else(|| target().join("debug/withe"));
    assert!(
        path.is_file(),
        "{} is not built: run `cargo build -p withe` in the repository's root, and say in `WITHE_BUILT` where that put it",
        path.display()
    );
    path
}

/// The bytes of one of the components in `tests/guests`.
pub fn guest(name: &str) -> Vec<u8> {
    let path = root().join(format!("tests/guests/build/{name}.wasm"));
    fs::read(&path)
        .unwrap_or_else(|why| panic!("{}: {why}: run `cargo xtask guests`", path.display()))
}

/// Packs a program as `wash par create` does.
pub async fn archive(folder: &Folder, name: &str, program: &str) {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let mut archive = ProviderArchive::new(name, "wasmCloud", Some(1), Some("0.1.0".into()));
    let program = std::fs::read(program).unwrap();
    archive.add_library(&target, &program).unwrap();
    let (issuer, subject) = (KeyPair::new_account(), KeyPair::new_service());
    let path = folder.path(&format!("{name}.par"));
    // Compressing a program takes a minute.
    let written = archive.write(&path, &issuer, &subject, false).await;
    written.unwrap();
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub is_good: bool,
    pub stdout: String,
    pub stderr: String,
}

/// A folder of its own for one test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn with(manifest: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path("tmp")).unwrap();
        folder.write("app.yaml", manifest.as_bytes());
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(withe());
        command
            .args(args)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .env("WITHE_CACHE_DIR", self.path("cache"))
            .env("XDG_STATE_HOME", self.0.path())
            .env("XDG_RUNTIME_DIR", self.0.path())
            .env("TMPDIR", self.path("tmp"))
            .env_remove("WITHE_LATTICE")
            .env_remove("WITHE_LOG");
        command
    }

    /// Runs the command to its end, with its output in files, which nobody has to read meanwhile.
    pub async fn run(&self, args: &[&str]) -> Ended {
        let mut running = self.background("run", args);
        let give_up = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = running.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < give_up, "{args:?} has not ended");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        Ended {
            is_good: status.success(),
            stdout: self.read("run.out"),
            stderr: self.read("run.log"),
        }
    }

    /// Starts the command, whose output is in `NAME.out` and `NAME.log`.
    pub fn background(&self, name: &str, args: &[&str]) -> Background {
        let file = |kind| File::create(self.path(&format!("{name}.{kind}"))).unwrap();
        let mut command = self.command(args);
        command.stdout(file("out")).stderr(file("log"));
        Background {
            child: command.spawn().unwrap(),
        }
    }
}

/// A command that ends with this.
pub struct Background {
    child: Child,
}

impl Drop for Background {
    fn drop(&mut self) {
        // The number of a process that has ended may be another's.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // A host that is asked to end stops the providers that it runs. A provider of v1 outlives a host that is killed.
        let id = self.child.id().to_string();
        _ = Command::new("kill").args(["-INT", &id]).status();
        let give_up = Instant::now() + ENDING;
        while Instant::now() < give_up && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        // A process may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
