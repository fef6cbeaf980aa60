//! A real PostgreSQL server.
//!
//! The server refuses to run as root, so tests that root runs start it as `nobody`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::port::ReservedPort;

/// How long a server may take to answer its first question, also on a machine that is busy with other things.
const START: Duration = Duration::from_secs(120);
/// How long it may take to end.
const STOP: Duration = Duration::from_secs(60);
/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The user and group `nobody`.
const NOBODY: u32 = 65534;

/// The user that the server knows, who may do everything.
pub const USER: &str = "withe";
/// The user's password.
pub const PASSWORD: &str = "open-sesame";

/// A server that ends when it is dropped. Its data is gone then.
#[derive(Debug)]
pub struct PostgresServer {
    child: Child,
    port: ReservedPort,
    folder: TempDir,
    programs: PathBuf,
    options: Vec<String>,
}

impl PostgresServer {
    /// Starts a server on a free port of the loopback interface and waits until it answers.
    ///
    /// # Errors
    ///
    /// If PostgreSQL is not installed, or does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(None)
    }

    /// The same, with TLS for those that ask for it, and a certificate.
    ///
    /// # Errors
    ///
    /// If PostgreSQL is not installed, or does not start.
    pub fn start_with_tls(certificates: &Certificates) -> anyhow::Result<Self> {
        Self::start_with(Some(certificates))
    }

    fn start_with(certificates: Option<&Certificates>) -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        let options = prepare(&programs, folder.path(), certificates)?;
        let port = ReservedPort::new()?;
        // From here on the server ends with this value, also when it does not answer.
        let mut server = Self {
            child: spawn(&programs, folder.path(), port.port(), &options)?,
            port,
            folder,
            programs,
            options,
        };
        server.answers()?;
        Ok(server)
    }

    /// Stops the server as a crash would: it says goodbye to nobody.
    pub fn stop(&mut self) {
        self.signal(Signal::QUIT);
        let give_up = Instant::now() + STOP;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > give_up {
                // The server may have ended by itself.
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Has the server stand still, as one whose machine hangs: it keeps connections and answers nothing.
    pub fn freeze(&self) {
        self.everybody("STOP");
    }

    /// Has it go on.
    pub fn thaw(&self) {
        self.everybody("CONT");
    }

    /// Sends a signal to the server and all its processes.
    fn everybody(&self, signal: &str) {
        let id = self.child.id().to_string();
        // Some of them may end meanwhile.
        let _ = Command::new("pkill")
            .args([&format!("-{signal}"), "-P", &id])
            .output();
        let _ = Command::new("kill")
            .args([&format!("-{signal}"), &id])
            .output();
    }

    /// Starts it again on the same port with what it had; stops it before, if it runs.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        self.child = spawn(
            &self.programs,
            self.folder.path(),
            self.port.port(),
            &self.options,
        )?;
        self.answers()
    }

    /// Waits until it answers.
    fn answers(&mut self) -> anyhow::Result<()> {
        let port = self.port.port();
        let give_up = Instant::now() + START;
        while !self.is_ready()?.success() {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "`postgres` on port {port} ended at once: {status}\n{}",
                    self.log()
                );
            }
            if Instant::now() > give_up {
                bail!(
                    "`postgres` on port {port} did not answer in {START:?}\n{}",
                    self.log()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn is_ready(&self) -> anyhow::Result<ExitStatus> {
        let mut ask = Command::new(self.programs.join("pg_isready"));
        ask.args([
            "--host",
            "127.0.0.1",
            "--port",
            &self.port.port().to_string(),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
        ask.status().context("cannot run `pg_isready`")
    }

    /// Makes a database besides `postgres`.
    ///
    /// # Errors
    ///
    /// The server refuses.
    pub fn create_database(&self, name: &str) -> anyhow::Result<()> {
        let made = Command::new(self.programs.join("createdb"))
            .args(["--maintenance-db", &self.url(), name])
            .output()
            .context("cannot run `createdb`")?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "`createdb` failed: {said}");
        Ok(())
    }

    /// The server's log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(id) = id {
            // The server may have ended by itself.
            let _ = kill_process(id, signal);
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// Its URL, with the user and the password.
    pub fn url(&self) -> String {
        format!(
            "postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres",
            self.port()
        )
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.thaw();
        self.stop();
    }
}

/// The folder of the server's programs.
fn programs() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("initdb"));
    // The link to a program has not the others beside it.
    let program = on_path
        .filter_map(|program| program.canonicalize().ok())
        .next();
    if let Some(folder) = program.as_deref().and_then(Path::parent) {
        return Ok(folder.to_owned());
    }
    let number = |version: &Path| {
        let name = version.file_name().and_then(OsStr::to_str);
        name.and_then(|name| name.parse::<u32>().ok())
    };
    let versions = Path::new(DEBIAN).read_dir().into_iter().flatten().flatten();
    let newest = versions
        .map(|version| version.path())
        .filter(|version| version.join("bin/initdb").is_file())
        .max_by_key(|version| number(version));
    newest.map(|version| version.join("bin")).context(
        "there is no `initdb`, which this test needs, on the path or in /usr/lib/postgresql; install it, for example \
         with `apt-get install postgresql`",
    )
}

/// A program of the server's, as somebody who may run it.
fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Makes the server's data; returns its options.
fn prepare(
    programs: &Path,
    folder: &Path,
    certificates: Option<&Certificates>,
) -> anyhow::Result<Vec<String>> {
    let password = folder.join("password");
    fs::write(&password, PASSWORD)?;
    let mut files = vec![password.clone()];
    let mut options = Vec::new();
    if let Some(certificates) = certificates {
        let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
        let (from_chain, from_key) = certificates.server();
        fs::copy(from_chain, &chain)?;
        fs::copy(from_key, &key)?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        for (name, value) in [
            ("ssl", "on"),
            ("ssl_cert_file", &show(&chain)),
            ("ssl_key_file", &show(&key)),
        ] {
            options.extend(["-c".into(), format!("{name}={value}")]);
        }
        files.extend([chain, key]);
    }
    files.push(folder.to_owned());
    if geteuid().is_root() {
        for file in &files {
            chown(file, Some(NOBODY), Some(NOBODY))?;
        }
    }
    let made = command(&programs.join("initdb"), folder)
        .args(["--pgdata", "data", "--username", USER, "--encoding", "UTF8"])
        .args(["--auth", "scram-sha-256", "--no-sync", "--pwfile"])
        .arg(&password)
        .output()
        .context("cannot run `initdb`")?;
    ensure!(
        made.status.success(),
        "`initdb` failed: {}\n{}",
        made.status,
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(options)
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

fn spawn(programs: &Path, folder: &Path, port: u16, options: &[String]) -> anyhow::Result<Child> {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))?;
    // Its data goes with it, so nothing has to be on the disk.
    command(&programs.join("postgres"), folder)
        .args([
            "-D",
            "data",
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
        ])
        .args([
            "-c",
            "unix_socket_directories=",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=50",
        ])
        .args([
            "-c",
            "lc_messages=C",
            "-c",
            "timezone=UTC",
            "-c",
            "shared_buffers=16MB",
        ])
        .args(options)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot run `postgres`")
}
