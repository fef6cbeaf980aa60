//! A real Redis server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::port::ReservedPort;

/// How long a server may take to answer its first question, also on a machine that is busy with other things.
const START: Duration = Duration::from_secs(120);
/// How often to try where a port cannot be held, when another program takes the one that was just free.
const ATTEMPTS: usize = 5;

/// A server that ends when it is dropped. Its data is gone then.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: ReservedPort,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server on a free port of the loopback interface and waits until it answers.
    ///
    /// # Errors
    ///
    /// If `redis-server` is not installed, or does not start.
    pub fn start() -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::start_on(ReservedPort::new()?) {
                Ok(server) => return Ok(server),
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no attempt was made to start `redis-server`")))
    }

    fn start_on(port: ReservedPort) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // From here on the server ends with this value, also when it does not answer.
        let mut server = Self {
            child: spawn(&port, &folder)?,
            port,
            folder,
        };
        server.answers()?;
        Ok(server)
    }

    /// Kills the server as a crash would. All that it had is gone.
    pub fn stop(&mut self) {
        // The server has nothing to save, and may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port; kills it before, if it runs.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        self.child = spawn(&self.port, &self.folder)?;
        self.answers()
    }

    /// Waits until it answers.
    fn answers(&mut self) -> anyhow::Result<()> {
        let port = self.port.port();
        let give_up = Instant::now() + START;
        while !answers(port) {
            if let Some(status) = self.child.try_wait()? {
                bail!("`redis-server` on port {port} ended at once: {status}");
            }
            if Instant::now() > give_up {
                bail!("`redis-server` on port {port} did not answer in {START:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(port: &ReservedPort, folder: &TempDir) -> anyhow::Result<Child> {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.port().to_string()])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context(
            "cannot run `redis-server`, which this test needs; install it, for example with \
             `apt-get install redis-server`",
        )
}

fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let limit = Duration::from_secs(1);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG\r\n")
    };
    ask().unwrap_or(false)
}
