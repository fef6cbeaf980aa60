//! A real NATS server with JetStream.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use tempfile::TempDir;

use crate::port::ReservedPort;

/// How long a server may take until it answers, also on a machine that is busy with other things.
const START: Duration = Duration::from_secs(120);

/// A server that ends when it is dropped. Its data is gone then, and not before.
#[derive(Debug)]
pub struct NatsServer {
    running: Option<Child>,
    port: u16,
    /// Keeps the port while the server is stopped.
    _reserved: Option<ReservedPort>,
    folder: TempDir,
}

impl NatsServer {
    /// Starts a server on a free port of the loopback interface and waits until it answers.
    ///
    /// # Errors
    ///
    /// If `nats-server` is not installed, or does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with("")
    }

    /// Starts a server with more configuration, such as `authorization { token: t }`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(configuration: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let store = folder.path().join("store");
        let base = format!(
            "host: 127.0.0.1\njetstream {{ store_dir: {:?}, max_mem: 256M, max_file: 1G }}\n",
            store.display().to_string()
        );
        fs::write(folder.path().join("server.conf"), base + configuration)?;
        let reserved = match ReservedPort::HOLDS {
            true => Some(ReservedPort::new()?),
            false => None,
        };
        let mut server = Self {
            running: None,
            port: reserved.as_ref().map_or(0, ReservedPort::port),
            _reserved: reserved,
            folder,
        };
        server.run()?;
        Ok(server)
    }

    /// Kills the server as a crash would. The stored data are there when it is started again.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // The server may have ended by itself.
            _ = child.kill();
            _ = child.wait();
        }
    }

    /// Starts it again on the same port with what it had stored; kills it before, if it runs.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        self.run()
    }

    /// Kills it, and makes it lose all that it had stored.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be removed.
    pub fn lose_everything(&mut self) -> anyhow::Result<()> {
        self.stop();
        match fs::remove_dir_all(self.folder.path().join("store")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it keeps all that it has, and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        // Where none can be reserved, it takes a free one itself the first time, so that no other program can be
        // there before it.
        let port = match self.port {
            0 => -1,
            port => i32::from(port),
        };
        let log = File::create(folder.join("log"))?;
        let child = Command::new(program()?)
            .args(["--config".as_ref(), folder.join("server.conf").as_os_str()])
            .args(["--port", &port.to_string()])
            .args(["--ports_file_dir".as_ref(), folder.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot run `nats-server`")?;
        // The server writes its port to a file of this name, once it listens.
        let ports = folder.join(format!("nats-server_{}.ports", child.id()));
        // From here on the server ends with this value, also when it does not answer.
        let child = self.running.insert(child);
        let give_up = Instant::now() + START;
        loop {
            if let Some(port) = read_port(&ports) {
                self.port = port;
                return Ok(());
            }
            let ended = child.try_wait()?;
            if ended.is_some() || Instant::now() > give_up {
                let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                bail!("`nats-server` does not listen (ended: {ended:?}); it says:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The URL of a server that all who ask in this process share, and that ends with the process.
///
/// # Errors
///
/// As [`NatsServer::start`].
pub fn shared() -> anyhow::Result<String> {
    static SHARED: OnceLock<Result<String, String>> = OnceLock::new();
    let start = || {
        let mut server = NatsServer::start()?;
        let child = server.running.take().context("the server runs")?;
        // Nothing is dropped when a process ends; but its pipes are closed.
        let guard = Command::new("sh")
            .args(["-c", "cat >/dev/null; kill -9 \"$1\"; rm -rf \"$2\"", "sh"])
            .arg(child.id().to_string())
            .arg(server.folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot run `sh`")?;
        std::mem::forget((guard, child));
        let url = server.url();
        std::mem::forget(server);
        anyhow::Ok(url)
    };
    let shared = SHARED.get_or_init(|| start().map_err(|e| format!("{e:#}")));
    shared.clone().map_err(|e| anyhow!(e))
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The port in the file of a server that listens.
fn read_port(file: &Path) -> Option<u16> {
    // The file may be half written.
    let ports: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let url = ports["nats"][0].as_str()?;
    url.rsplit_once(':')?.1.parse().ok()
}

/// The server that `cargo xtask test` has made sure of: on the path, or fetched.
fn program() -> anyhow::Result<PathBuf> {
    let fetched =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/nats/bin/nats-server");
    if fetched.is_file() {
        return Ok(fetched);
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            anyhow!(
                "there is no `nats-server`, which this test needs; `cargo xtask test` fetches it, or \
                 install 2.12 or newer from https://github.com/nats-io/nats-server/releases"
            )
        })
}
