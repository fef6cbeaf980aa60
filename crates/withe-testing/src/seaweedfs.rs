//! A real SeaweedFS server, which speaks S3.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use tempfile::TempDir;

use crate::port::ReservedPort;

/// The key of a user who may do everything there.
pub const ACCESS_KEY: &str = "tester";
/// Their secret.
pub const SECRET_KEY: &str = "testers3cret";

/// How long a server may take until it answers, also on a machine that is busy with other things.
const START: Duration = Duration::from_secs(120);
/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(5);

/// The parts of the server that listen, each with an option for its port and one for its port for gRPC.
const PARTS: [&str; 4] = ["master", "volume", "filer", "s3"];

/// A server that ends when it is dropped. Its data is gone then, and not before.
#[derive(Debug)]
pub struct SeaweedServer {
    running: Option<Child>,
    /// For each part, that of HTTP and that of gRPC.
    ports: Vec<[ReservedPort; 2]>,
    folder: TempDir,
}

impl SeaweedServer {
    /// Starts a server on free ports of the loopback interface and waits until it answers.
    ///
    /// # Errors
    ///
    /// If `weed` is not installed, or does not start.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("data"))?;
        let identities = serde_json::json!({"identities": [{
            "name": "tester",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        fs::write(folder.path().join("s3.json"), identities.to_string())?;
        let ports = PARTS
            .iter()
            .map(|_| Ok([ReservedPort::new()?, ReservedPort::new()?]));
        let mut server = Self {
            running: None,
            ports: ports.collect::<anyhow::Result<_>>()?,
            folder,
        };
        server.run()?;
        Ok(server)
    }

    /// Kills the server as a crash would. The stored data are there when it is started again.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // The server may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same ports; kills it before, if it runs.
    ///
    /// # Errors
    ///
    /// The server does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        self.run()
    }

    fn s3_port(&self) -> u16 {
        self.ports[PARTS.len() - 1][0].port()
    }

    /// Where it speaks S3.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3_port())
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let mut command = Command::new(program()?);
        command
            .args(["-logtostderr=true", "server", "-filer", "-s3"])
            .args(["-ip", "127.0.0.1", "-ip.bind", "127.0.0.1"])
            .arg("-dir")
            .arg(folder.join("data"))
            .arg("-s3.config")
            .arg(folder.join("s3.json"))
            // The parts that would listen at ports of their own.
            .args(["-s3.port.iceberg", "0", "-s3.port.lance", "0"])
            // Small volumes, as they are made in advance.
            .args(["-master.volumeSizeLimitMB", "64", "-volume.max", "100"]);
        for (part, [http, grpc]) in PARTS.iter().zip(&self.ports) {
            command.args([format!("-{part}.port"), http.port().to_string()]);
            command.args([format!("-{part}.port.grpc"), grpc.port().to_string()]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log"))?)
            .spawn()
            .context("cannot run `weed`")?;
        // From here on the server ends with this value, also when it does not answer.
        let port = self.s3_port();
        let child = self.running.insert(child);
        let give_up = Instant::now() + START;
        while !answers(port) {
            let ended = child.try_wait()?;
            if ended.is_some() || Instant::now() > give_up {
                let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                bail!("`weed` does not answer (ended: {ended:?}); it says:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for SeaweedServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether somebody speaks HTTP at the port: who asks without a key is refused.
fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        std::io::Result::Ok(start)
    };
    ask().is_ok_and(|start| start == *b"HTTP/1.1 403")
}

/// The program: as `cargo xtask test` fetched it, or as it is installed.
fn program() -> anyhow::Result<PathBuf> {
    let fetched =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/seaweedfs/bin/weed");
    if fetched.is_file() {
        return Ok(fetched);
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .map(|folder| folder.join("weed"))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            anyhow!(
                "there is no `weed` (SeaweedFS), which this test needs; `cargo xtask test` fetches it, or install it \
                 from https://github.com/seaweedfs/seaweedfs/releases"
            )
        })
}
