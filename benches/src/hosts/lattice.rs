//! Hosts that meet on a NATS server, with a Redis server, all on this machine's loopback.

use std::ffi::OsStr;
use std::fs::File;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::servers;

/// The hosts' names, and the values of their label `zone`. These can connect to each other,
pub(super) const DIRECT: [&str; 3] = ["a", "b", "c"];
/// and these meet by way of NATS only.
pub(super) const BY_NATS: [&str; 3] = ["d", "e", "f"];

/// Far more than anything here takes that is waited for.
const LONG: Duration = Duration::from_secs(120);

/// The servers and hosts; killed when dropped.
pub(super) struct Lattice {
    hosts: Vec<(&'static str, Process)>,
    _nats: Process,
    _redis: Process,
    url: String,
    redis: String,
    folder: TempDir,
}

impl Lattice {
    pub(super) fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (nats, redis) = (servers::free_address()?, servers::free_address()?);
        let mut command = Command::new(servers::binary("WITHE_BENCH_NATS", "nats-server")?);
        command
            .args(["--addr", "127.0.0.1", "--port", &nats.port().to_string()])
            .args(["--jetstream", "--store_dir"])
            .arg(folder.path().join("jetstream"));
        let nats_server = Process::start(&mut command, folder.path(), "nats-server")?;
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &redis.port().to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(folder.path());
        let redis_server = Process::start(&mut command, folder.path(), "redis-server")?;
        for (name, address) in [("nats-server", nats), ("redis-server", redis)] {
            eventually(&format!("`{name}` listens"), || {
                Ok(TcpStream::connect(address).is_ok())
            })?;
        }
        let mut lattice = Self {
            hosts: Vec::new(),
            _nats: nats_server,
            _redis: redis_server,
            url: format!("nats://{nats}"),
            redis: format!("redis://{redis}/"),
            folder,
        };
        let all = [DIRECT, BY_NATS].concat();
        for zone in &all {
            lattice.start_host(zone)?;
        }
        eventually("all hosts have joined", || {
            let hosts = lattice.withe(["get", "hosts", "--json"])?;
            Ok(hosts.matches("\"machine\"").count() == all.len())
        })?;
        Ok(lattice)
    }

    pub(super) fn start_host(&mut self, zone: &'static str) -> Result<()> {
        let mut command = self.command()?;
        command.args(["host", "--name", zone, "--label", &format!("zone={zone}")]);
        match DIRECT.contains(&zone) {
            // Each stands for a machine.
            true => command.args(["--listen", "127.0.0.1:0", "--no-unix"]),
            false => command.arg("--no-listen"),
        };
        let host = Process::start(&mut command, self.folder.path(), zone)?;
        self.hosts.push((zone, host));
        Ok(())
    }

    /// Kills a host as a crash would.
    pub(super) fn kill_host(&mut self, zone: &str) {
        // A process that is dropped is killed.
        self.hosts.retain(|(name, _)| *name != zone);
    }

    /// Where the application is to keep its counts.
    pub(super) fn redis(&self) -> &str {
        &self.redis
    }

    /// Has the hosts run an application.
    pub(super) fn up(&self, name: &str, manifest: &str) -> Result<()> {
        let file = self.folder.path().join(format!("{name}.yaml"));
        std::fs::write(&file, manifest)?;
        self.withe([OsStr::new("up"), file.as_os_str()]).map(drop)
    }

    /// Waits until so many replicas of the part `visits` of an application run.
    pub(super) fn has_replicas(&self, application: &str, replicas: usize) -> Result<()> {
        let what = format!("`{application}` has {replicas} replicas of `visits`");
        eventually(&what, || {
            let parts = self.withe(["get", "components", "--json", "--app", application])?;
            Ok(parts.matches("\"name\": \"visits\"").count() == replicas)
        })
    }

    /// Runs `withe`; what it prints.
    pub(super) fn withe<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let mut command = self.command()?;
        let output = command.args(arguments).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!(
                "{:?}: {}",
                command.get_args().collect::<Vec<_>>(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(servers::withe()?);
        command
            .env("WITHE_LATTICE", &self.url)
            .env("WITHE_CACHE_DIR", self.folder.path().join("cache"));
        Ok(command)
    }
}

/// A process; killed when dropped.
struct Process(Child);

impl Process {
    fn start(command: &mut Command, folder: &Path, name: &str) -> Result<Self> {
        let log = File::create(folder.join(format!("{name}.log")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self(child))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Looks now and then until it is so.
fn eventually(what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    at_once(what, || {
        let is_so = look()?;
        if !is_so {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(is_so)
    })
}

/// Looks without a pause until it is so.
pub(super) fn at_once(what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let over = Instant::now() + LONG;
    while !look()? {
        if Instant::now() > over {
            bail!("{what}: not after {} s", LONG.as_secs());
        }
    }
    Ok(())
}
