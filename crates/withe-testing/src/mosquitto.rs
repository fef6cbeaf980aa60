//! A real MQTT broker: Mosquitto.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::port::ReservedPort;

/// How long a broker may take to listen, also on a machine that is busy with other things.
const START: Duration = Duration::from_secs(120);
/// How often to try where a port cannot be held, when another program takes the one that was just free.
const ATTEMPTS: usize = 5;
/// Where Debian has it, which is not on everybody's path.
const DEBIAN: &str = "/usr/sbin/mosquitto";

/// A broker that ends when it is dropped. Its messages are gone then.
#[derive(Debug)]
pub struct Mosquitto {
    child: Child,
    port: ReservedPort,
    folder: TempDir,
    tls: bool,
}

/// The demands of a broker on its clients.
#[derive(Clone, Debug, Default)]
pub struct MosquittoOptions {
    /// The user and password that it lets in; anybody if there is none.
    pub user: Option<(String, String)>,
    /// Its certificate and key, as PEM: then it speaks TLS.
    pub tls: Option<(String, String)>,
}

impl Mosquitto {
    /// Starts a broker on a free port of the loopback interface, which lets everybody in.
    ///
    /// # Errors
    ///
    /// If `mosquitto` is not installed, or does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(&MosquittoOptions::default())
    }

    /// Starts one with these options.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn with(options: &MosquittoOptions) -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::start_on(ReservedPort::new()?, options) {
                Ok(server) => return Ok(server),
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no attempt was made to start `mosquitto`")))
    }

    fn start_on(port: ReservedPort, options: &MosquittoOptions) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        configure(folder.path(), port.port(), options)?;
        // From here on the broker ends with this value, also when it does not answer.
        let mut server = Self {
            child: spawn(&folder)?,
            port,
            folder,
            tls: options.tls.is_some(),
        };
        server.listens()?;
        Ok(server)
    }

    /// Kills the broker as a crash would. All that it had is gone.
    pub fn stop(&mut self) {
        // The server may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port; kills it before, if it runs.
    ///
    /// # Errors
    ///
    /// The server does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        self.child = spawn(&self.folder)?;
        self.listens()
    }

    fn listens(&mut self) -> anyhow::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.port()));
        let give_up = Instant::now() + START;
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("`mosquitto` at {address} ended at once: {status}\n{log}");
            }
            if Instant::now() > give_up {
                bail!("`mosquitto` at {address} did not listen in {START:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        format!("{scheme}://localhost:{}", self.port.port())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configure(folder: &Path, port: u16, options: &MosquittoOptions) -> anyhow::Result<()> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut lines = vec![
        format!("listener {port} 127.0.0.1"),
        format!("allow_anonymous {}", options.user.is_none()),
        "persistence false".to_owned(),
        format!("log_dest file {}", path("log")),
        // As root it would take another user, who may not read the folder.
        "user root".to_owned(),
    ];
    if let Some((user, password)) = &options.user {
        let passwords = path("passwords");
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c", &passwords, user, password])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !made.context("cannot run `mosquitto_passwd`")?.success() {
            bail!("`mosquitto_passwd` fails");
        }
        lines.push(format!("password_file {passwords}"));
    }
    if let Some((certificate, key)) = &options.tls {
        fs::write(folder.join("cert.pem"), certificate)?;
        fs::write(folder.join("key.pem"), key)?;
        lines.push(format!("certfile {}", path("cert.pem")));
        lines.push(format!("keyfile {}", path("key.pem")));
    }
    lines.push(String::new());
    fs::write(folder.join("mosquitto.conf"), lines.join("\n"))?;
    Ok(())
}

fn spawn(folder: &TempDir) -> anyhow::Result<Child> {
    let run = |program: &str| {
        Command::new(program)
            .args(["-c", "mosquitto.conf"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    run("mosquitto").or_else(|_| run(DEBIAN)).context(
        "cannot run `mosquitto`, which this test needs; install it, for example with \
         `apt-get install mosquitto`",
    )
}
