//! A real registry of OCI artefacts: `docker-registry`, as Debian has it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::port::ReservedPort;

/// How long a server may take to answer its first question, also on a machine that is busy with other things.
const START: Duration = Duration::from_secs(120);
/// How often to try where a port cannot be held, when another program takes the one that was just free.
const ATTEMPTS: usize = 5;
/// The user and the password that a registry that asks lets in.
pub const USER: (&str, &str) = ("withe", "secret-pw");

/// The access that a registry gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegistryOptions<'a> {
    /// The name and password of [`USER`].
    pub asks_password: bool,
    /// TLS, with the server's certificate of these.
    pub tls: Option<&'a Certificates>,
}

/// A registry that ends when it is dropped. Its contents are gone then.
#[derive(Debug)]
pub struct RegistryServer {
    child: Child,
    port: ReservedPort,
    folder: TempDir,
}

impl RegistryServer {
    /// Starts a registry on a free port of the loopback interface, and waits until it listens.
    ///
    /// # Errors
    ///
    /// If `docker-registry` is not installed, or does not start.
    pub fn start(options: RegistryOptions<'_>) -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::start_on(ReservedPort::new()?, options) {
                Ok(server) => return Ok(server),
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no attempt was made to start a registry")))
    }

    fn start_on(port: ReservedPort, options: RegistryOptions<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = configuration(&port, folder.path(), options)?;
        // From here on the server ends with this value, also when it does not answer.
        let mut server = Self {
            child: spawn(&config, folder.path())?,
            port,
            folder,
        };
        server.answers()?;
        Ok(server)
    }

    /// Kills the registry as a crash would. Its contents are there when it is started again.
    pub fn stop(&mut self) {
        // The server may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, with all that it holds; kills it before, if it runs.
    ///
    /// # Errors
    ///
    /// The server does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        self.child = spawn(&self.folder.path().join("config.yml"), self.folder.path())?;
        self.answers()
    }

    /// Its address, as references have it.
    pub fn address(&self) -> String {
        self.port.address().to_string()
    }

    /// The file with the bytes of a blob that it holds.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let digits = digest.rsplit(':').next().unwrap_or_default();
        let prefix = digits.get(..2).unwrap_or_default();
        let blobs = "data/docker/registry/v2/blobs/sha256";
        self.folder
            .path()
            .join(format!("{blobs}/{prefix}/{digits}/data"))
    }

    /// Puts a blob in a repository; returns its entry for a manifest.
    ///
    /// # Errors
    ///
    /// If the registry does not take it.
    pub fn put_blob(
        &self,
        repository: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> anyhow::Result<serde_json::Value> {
        let begun = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"")?;
        let location = begun
            .lines()
            .find_map(|line| line.strip_prefix("Location: "))
            .context("the registry says not where an upload goes")?;
        let path = location
            .split_once("/v2/")
            .map_or(location, |(_, path)| path);
        let entry = entry(media_type, bytes);
        let digest = entry["digest"].as_str().unwrap_or_default();
        let path = format!("/v2/{path}&digest={digest}");
        self.ask("PUT", &path, "application/octet-stream", bytes)?;
        Ok(entry)
    }

    /// Puts a manifest in a repository under a tag; returns its entry for a list of manifests.
    ///
    /// # Errors
    ///
    /// If the registry does not take it.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        manifest: &serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        let bytes = manifest.to_string().into_bytes();
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.ask("PUT", &path, media_type, &bytes)?;
        Ok(entry(media_type, &bytes))
    }

    /// Makes a request, and returns the answer if it is one of success.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.port.address())?;
        stream.set_read_timeout(Some(START))?;
        let host = self.address();
        let len = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {len}\r\n\r\n"
        )?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if !answer.starts_with("HTTP/1.1 20") {
            bail!("the registry refuses `{method} {path}`: {answer}");
        }
        Ok(answer.replace('\r', ""))
    }

    /// A folder with Docker's configuration of somebody who has logged in with a password.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn logged_in(&self, user: &str, password: &str) -> anyhow::Result<TempDir> {
        let folder = tempfile::tempdir()?;
        let mut entry = serde_json::Map::new();
        let login = serde_json::json!({"username": user, "password": password});
        entry.insert(self.address(), login);
        let config = serde_json::json!({"auths": entry});
        fs::write(folder.path().join("config.json"), config.to_string())?;
        Ok(folder)
    }

    /// Waits until it listens.
    fn answers(&mut self) -> anyhow::Result<()> {
        let address = self.port.address();
        let give_up = Instant::now() + START;
        while !answers(address) {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("the registry at {address} ended at once: {status}\n{log}");
            }
            if Instant::now() > give_up {
                bail!("the registry at {address} did not answer in {START:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The entry of a blob or a manifest in a manifest.
fn entry(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    serde_json::json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// Writes the registry's configuration.
fn configuration(
    port: &ReservedPort,
    folder: &Path,
    options: RegistryOptions<'_>,
) -> anyhow::Result<PathBuf> {
    let mut http = serde_json::json!({"addr": port.address().to_string(), "secret": "for tests"});
    if let Some(certificates) = options.tls {
        let (certificate, key) = certificates.server();
        http["tls"] = serde_json::json!({"certificate": certificate, "key": key});
    }
    let mut config = serde_json::json!({
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": true}},
        "storage": {"filesystem": {"rootdirectory": folder.join("data")}},
        "http": http,
    });
    if options.asks_password {
        let users = folder.join("users");
        // The password of `USER`, hashed by bcrypt, which is all that the registry takes.
        fs::write(
            &users,
            "withe:$2y$05$abcdefghijklmnopqrstuutaz/SHXsrvqy/ChnunBIcMuq4PCR.gG\n",
        )?;
        config["auth"] = serde_json::json!({"htpasswd": {"realm": "tests", "path": users}});
    }
    // JSON is YAML, which it reads.
    let path = folder.join("config.yml");
    fs::write(&path, config.to_string())?;
    Ok(path)
}

fn spawn(config: &Path, folder: &Path) -> anyhow::Result<Child> {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))?;
    Command::new("docker-registry")
        .arg("serve")
        .arg(config)
        .current_dir(folder)
        // The server would send traces where this says.
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context(
            "cannot run `docker-registry`, which this test needs; install it, for example with \
             `apt-get install docker-registry`",
        )
}

/// Whether anything answers in HTTP, or takes a connection for TLS.
fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let limit = Duration::from_secs(1);
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"HTTP")
    };
    ask().unwrap_or(false)
}
