//! A NATS server, and hosts that meet on it.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::super::manifest::{EDGE, INNER};
use super::super::{START, STOP};
use super::network::{Network, NetworkPlace};
use crate::process::{self, Running};
use crate::{nats, ui};

/// How often something is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// The file of what the hosts accept, in the lattice's folder.
const POLICY: &str = "policy.yaml";

/// How many lines of what a host said are shown if something fails.
const SHOWN: usize = 30;

/// The servers. All of them end when this is dropped: the hosts first, the network last.
pub(super) struct Lattice {
    hosts: Vec<Host>,
    nats: Running,
    url: String,
    withe: PathBuf,
    /// None if the hosts share this machine's network.
    network: Option<Network>,
    /// The server's data, and what all have said.
    folder: TempDir,
}

/// A host, as a process.
pub(super) struct Host {
    pub(super) name: String,
    number: u8,
    running: Running,
}

impl Lattice {
    /// Starts the server and so many hosts, and waits until all have joined. Providers may keep files in `data`.
    ///
    /// # Errors
    ///
    /// Something does not start.
    pub(super) async fn start(withe: &Path, hosts: u8, data: &Path) -> Result<Self> {
        let server = nats::ensure().await?;
        let network = match Network::lay(hosts).await {
            Ok(network) => {
                ui::step(format!(
                    "start nats-server and {hosts} hosts, each in a network namespace of its own"
                ));
                Some(network)
            }
            Err(why) => {
                ui::step(format!(
                    "start nats-server and {hosts} hosts as processes of one network: namespaces cannot be made \
                     here ({why:#})"
                ));
                None
            }
        };
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let policy = format!(
            "grants: {{directories: [{{host: {:?}, writable: true}}]}}\n",
            data.display().to_string()
        );
        fs::write(folder.path().join(POLICY), policy).context("cannot write the hosts' policy")?;
        let nats = start_nats(&server, network.as_ref(), folder.path())?;
        let mut lattice = Self {
            hosts: Vec::new(),
            url: String::new(),
            nats,
            withe: withe.into(),
            network,
            folder,
        };
        lattice.url = lattice.listening().await?;
        for number in 1..=hosts {
            lattice.start_host(number)?;
        }
        lattice.joined(hosts.into()).await?;
        Ok(lattice)
    }

    /// Where the server listens, once it does.
    async fn listening(&mut self) -> Result<String> {
        let id = self.nats.id().context("`nats-server` ended")?;
        let ports = self.folder.path().join(format!("nats-server_{id}.ports"));
        let deadline = Instant::now() + process::SHORT;
        loop {
            if let Some(url) = first_url(&ports) {
                return Ok(url);
            }
            if let Some(status) = self.nats.try_ended()? {
                bail!(
                    "`nats-server` ended ({status}):\n{}",
                    self.said("nats-server")
                );
            }
            if Instant::now() > deadline {
                bail!("`nats-server` does not say where it listens");
            }
            sleep(LOOK).await;
        }
    }

    /// Starts the host of this number; the first is the one in the zone that is reached from outside.
    pub(super) fn start_host(&mut self, number: u8) -> Result<()> {
        let name = format!("host-{number}");
        let zone = if number == 1 { EDGE } else { INNER };
        let mut command = match &self.network {
            Some(network) => network.command(NetworkPlace::Host(number), &self.withe),
            None => Command::new(&self.withe),
        };
        self.prepare(&mut command);
        command.args(["host", "--name", &name, "--label", &format!("zone={zone}")]);
        // Each stands for a machine.
        command.arg("--no-unix");
        // Applications that come over a lattice may use no file of a host that does not say so.
        command.arg("--policy").arg(self.folder.path().join(POLICY));
        if self.network.is_none() {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        says_into(&mut command, self.folder.path(), &name)?;
        let running = Running::start("run a host", &mut command)?;
        self.hosts.retain(|host| host.number != number);
        self.hosts.push(Host {
            name,
            number,
            running,
        });
        self.hosts.sort_by_key(|host| host.number);
        Ok(())
    }

    /// Waits until so many hosts are on the lattice.
    pub(super) async fn joined(&mut self, hosts: usize) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Some((name, status)) = self.ended()?.first() {
                bail!("`{name}` ended ({status}):\n{}", self.said(name));
            }
            let seen = self.get("hosts").await?;
            if seen.as_array().is_some_and(|seen| seen.len() == hosts) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("not all of the {hosts} hosts joined; there are {seen}");
            }
            sleep(LOOK).await;
        }
    }

    /// Whether the hosts have networks of their own.
    pub(super) fn has_namespaces(&self) -> bool {
        self.network.is_some()
    }

    /// The address at which the first host is reached.
    pub(super) fn edge(&self) -> IpAddr {
        match &self.network {
            Some(network) => network.address(NetworkPlace::Host(1)),
            None => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Where the hosts meet.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The folder of what all have said.
    pub(super) fn logs(&self) -> &Path {
        self.folder.path()
    }

    /// The hosts, and their process ids.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&str, u32)> {
        let hosts = self.hosts.iter();
        hosts.filter_map(|host| Some((host.name.as_str(), host.running.id()?)))
    }

    /// `withe` with these arguments, for this lattice.
    pub(super) fn withe(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.withe);
        self.prepare(&mut command);
        command.args(arguments);
        command
    }

    /// Gives a command the lattice, whatever the variables say that it would inherit.
    fn prepare(&self, command: &mut Command) {
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("WITHE_NATS_") || name == "WITHE_LATTICE_NAME" {
                command.env_remove(&variable);
            }
        }
        command.env("WITHE_LATTICE", &self.url);
    }

    /// The output of `withe get`, as JSON.
    pub(super) async fn get(&self, what: &str) -> Result<Value> {
        let mut get = self.withe(&["get", what, "--json"]);
        let text = process::output("ask the lattice", &mut get, process::SHORT).await?;
        serde_json::from_str(&text).context("what `withe get` says is not JSON")
    }

    /// The hosts that have ended by themselves since this was asked last, and how.
    pub(super) fn ended(&mut self) -> Result<Vec<(String, String)>> {
        let mut ended = Vec::new();
        for host in &mut self.hosts {
            if let Some(status) = host.running.try_ended()? {
                ended.push((host.name.clone(), status.to_string()));
            }
        }
        self.hosts.retain(|host| host.running.id().is_some());
        Ok(ended)
    }

    /// Kills a host as the loss of its machine would.
    pub(super) fn kill(&mut self, number: u8) {
        // A process that is dropped is killed.
        self.hosts.retain(|host| host.number != number);
    }

    /// Ends the hosts as Ctrl-C does, and then the server.
    ///
    /// # Errors
    ///
    /// One of them does not end well.
    pub(super) async fn end(mut self) -> Result<()> {
        let hosts = std::mem::take(&mut self.hosts);
        for host in &hosts {
            host.running.interrupt();
        }
        for host in hosts {
            let status = host.running.wait(STOP).await?;
            if !status.success() {
                let said = self.said(&host.name);
                bail!("`{}` did not end well ({status}):\n{said}", host.name);
            }
        }
        self.nats.interrupt();
        self.nats.wait(STOP).await?;
        Ok(())
    }

    /// The end of what a program has said.
    fn said(&self, name: &str) -> String {
        let text = fs::read(log(self.folder.path(), name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }

    /// The end of what every host has said, for when something failed.
    pub(super) fn all_said(&self) -> String {
        let said = |host: &Host| format!("--- {}\n{}\n", host.name, self.said(&host.name));
        self.hosts.iter().map(said).collect()
    }
}

fn start_nats(server: &Path, network: Option<&Network>, folder: &Path) -> Result<Running> {
    let (mut command, address) = match network {
        Some(network) => {
            let place = NetworkPlace::Bridge;
            (network.command(place, server), network.address(place))
        }
        None => (Command::new(server), Ipv4Addr::LOCALHOST.into()),
    };
    command
        .args([
            "--addr",
            &address.to_string(),
            "--port",
            "-1",
            "--jetstream",
        ])
        .args(["--store_dir".as_ref(), folder.join("jetstream").as_os_str()])
        .args(["--ports_file_dir".as_ref(), folder.as_os_str()]);
    says_into(&mut command, folder, "nats-server")?;
    Running::start("run the NATS server", &mut command)
}

/// The first URL of the file in which the server says where it listens; none before it is there.
fn first_url(ports: &Path) -> Option<String> {
    let text = fs::read_to_string(ports).ok()?;
    let ports: Value = serde_json::from_str(&text).ok()?;
    Some(ports["nats"][0].as_str()?.to_owned())
}

fn log(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

/// Has a command say what it says in a file; what one of the same name said before stays there.
fn says_into(command: &mut Command, folder: &Path, name: &str) -> Result<()> {
    let open = || -> std::io::Result<(File, File)> {
        let mut options = File::options();
        let file = options.create(true).append(true).open(log(folder, name))?;
        Ok((file.try_clone()?, file))
    };
    let (stdout, stderr) = open().context("cannot write a log")?;
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    Ok(())
}
