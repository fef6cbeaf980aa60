//! Real Redis servers, alone and as a cluster.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::certificates::Certificates;
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
    tls_port: Option<ReservedPort>,
    /// The port on which nodes of a cluster speak to each other.
    bus_port: Option<ReservedPort>,
    /// The server's arguments.
    args: Vec<OsString>,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server on a free port of the loopback interface and waits until it answers.
    ///
    /// # Errors
    ///
    /// If `redis-server` is not installed, or does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(None, None)
    }

    /// The same, on another port with TLS as well, with the server's certificate of these.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with_tls(certificates: &Certificates) -> anyhow::Result<Self> {
        Self::start_with(Some(certificates), None)
    }

    fn start_with(
        tls: Option<&Certificates>,
        cluster: Option<&ClusterOptions<'_>>,
    ) -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::try_start(tls, cluster) {
                Ok(server) => return Ok(server),
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no attempt was made to start `redis-server`")))
    }

    fn try_start(
        tls: Option<&Certificates>,
        cluster: Option<&ClusterOptions<'_>>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = ReservedPort::new()?;
        let tls_port = tls.map(|_| ReservedPort::new()).transpose()?;
        let bus_port = cluster.map(|_| ReservedPort::new()).transpose()?;
        let mut args: Vec<OsString> = Vec::new();
        let mut set = |key: &str, value: OsString| args.extend([format!("--{key}").into(), value]);
        set("bind", "127.0.0.1".into());
        set("port", port.port().to_string().into());
        set("save", "".into());
        set("appendonly", "no".into());
        set("daemonize", "no".into());
        if let (Some(certificates), Some(port)) = (tls, &tls_port) {
            let (certificate, key) = certificates.server();
            set("tls-port", port.port().to_string().into());
            set("tls-cert-file", certificate.into());
            set("tls-key-file", key.into());
            set("tls-ca-cert-file", certificates.ca().into());
            set("tls-auth-clients", "no".into());
        }
        if let (Some(options), Some(port)) = (cluster, &bus_port) {
            let timeout = options.node_timeout.as_millis().to_string();
            set("cluster-enabled", "yes".into());
            set("cluster-port", port.port().to_string().into());
            set("cluster-node-timeout", timeout.into());
            // A replica takes over however late it notices.
            set("cluster-replica-validity-factor", "0".into());
            set("cluster-migration-barrier", "100".into());
            if tls.is_some() {
                set("tls-cluster", "yes".into());
            }
        }
        // From here on the server ends with this value, also when it does not answer.
        let mut server = Self {
            child: spawn(&args, &folder)?,
            port,
            tls_port,
            bus_port,
            args,
            folder,
        };
        server.answers()?;
        Ok(server)
    }

    /// Kills the server as a crash would. All that it had is gone, but for its place in a cluster.
    pub fn stop(&mut self) {
        // The server has nothing to save, and may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Lets it accept connections and answer nothing, until it is stopped.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn freeze(&self) -> anyhow::Result<()> {
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::STOP)?;
        Ok(())
    }

    /// Starts it again on the same port; kills it before, if it runs.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        self.child = spawn(&self.args, &self.folder)?;
        self.answers()
    }

    /// Waits until it answers.
    fn answers(&mut self) -> anyhow::Result<()> {
        let port = self.port.port();
        let give_up = Instant::now() + START;
        while self.ask("PING").ok().as_deref() != Some("PONG") {
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

    /// Its answer to a command of words without spaces, if that is one text.
    ///
    /// # Errors
    ///
    /// If there is none, or if it says that the command failed.
    pub fn ask(&self, command: &str) -> anyhow::Result<String> {
        let limit = Duration::from_secs(1);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port()));
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if let Some(text) = line.strip_prefix(['+', ':']) {
            return Ok(text.to_owned());
        }
        let bytes = line.strip_prefix('$').and_then(|bytes| bytes.parse().ok());
        let Some(bytes) = bytes else {
            bail!("Redis answers `{line}` to `{command}`");
        };
        let mut text = vec![0; bytes];
        reader.read_exact(&mut text)?;
        Ok(String::from_utf8(text)?)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }

    /// Its URL with TLS, if it was started with that.
    pub fn tls_url(&self) -> Option<String> {
        let port = self.tls_port.as_ref()?.port();
        Some(format!("rediss://127.0.0.1:{port}/"))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How a cluster is.
#[derive(Clone, Copy, Debug)]
pub struct ClusterOptions<'a> {
    /// The certificates with which its nodes speak TLS, to each other too.
    pub tls: Option<&'a Certificates>,
    /// Whether the first master has a replica.
    pub has_replica: bool,
    /// How long a node is silent until the others take it for dead.
    pub node_timeout: Duration,
}

impl Default for ClusterOptions<'_> {
    fn default() -> Self {
        Self {
            tls: None,
            has_replica: false,
            // No test's servers are silent for so long on a machine that is busy.
            node_timeout: Duration::from_secs(60),
        }
    }
}

/// A cluster of three masters that ends when it is dropped.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters, and the replica of the first if there is one.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Slots of the three masters.
    pub const SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

    /// Starts a cluster and waits until all of its nodes serve.
    ///
    /// # Errors
    ///
    /// If `redis-server` is not installed, or they do not find together.
    pub fn start(options: ClusterOptions<'_>) -> anyhow::Result<Self> {
        let masters = Self::SLOTS.len();
        let count = masters + usize::from(options.has_replica);
        let nodes: anyhow::Result<Vec<_>> = (0..count)
            .map(|_| RedisServer::start_with(options.tls, Some(&options)))
            .collect();
        let nodes = nodes?;
        for (node, (first, last)) in nodes.iter().zip(Self::SLOTS) {
            node.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"))?;
        }
        let (first, others) = nodes.split_first().context("a cluster has nodes")?;
        for node in others {
            let port = node.tls_port.as_ref().unwrap_or(&node.port).port();
            let bus = node.bus_port.as_ref().map(ReservedPort::port);
            let bus = bus.context("a node of a cluster has a port for that")?;
            first.ask(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}"))?;
        }
        let known = format!("cluster_known_nodes:{count}\r\n");
        wait("knows all others", &nodes, |node| {
            Ok(node.ask("CLUSTER INFO")?.contains(&known))
        })?;
        if let Some(replica) = nodes.get(masters) {
            replica.ask(&format!("CLUSTER REPLICATE {}", first.ask("CLUSTER MYID")?))?;
            wait(
                "follows its master",
                std::slice::from_ref(replica),
                |node| {
                    let info = node.ask("INFO replication")?;
                    Ok(info.contains("master_link_status:up"))
                },
            )?;
        }
        let cluster = Self { nodes };
        cluster.serves()?;
        Ok(cluster)
    }

    /// Waits until all of its nodes serve.
    ///
    /// # Errors
    ///
    /// If they do not.
    pub fn serves(&self) -> anyhow::Result<()> {
        wait("serves", &self.nodes, |node| {
            let info = node.ask("CLUSTER INFO")?;
            Ok(info.contains("cluster_state:ok") && info.contains("cluster_size:3\r\n"))
        })
    }

    /// The URLs of its masters, with commas between them.
    pub fn urls(&self) -> String {
        let masters = self.nodes.iter().take(Self::SLOTS.len());
        let urls: Vec<_> = masters
            .map(|node| node.tls_url().unwrap_or_else(|| node.url()))
            .collect();
        urls.join(",")
    }
}

/// Waits until each of the nodes is so.
fn wait(
    what: &str,
    nodes: &[RedisServer],
    is_so: impl Fn(&RedisServer) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let give_up = Instant::now() + START;
    for node in nodes {
        while !is_so(node).unwrap_or(false) {
            let port = node.port();
            ensure!(
                Instant::now() < give_up,
                "the node of a cluster of Redis on port {port} never {what}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn spawn(args: &[OsString], folder: &TempDir) -> anyhow::Result<Child> {
    Command::new("redis-server")
        .args(args)
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
