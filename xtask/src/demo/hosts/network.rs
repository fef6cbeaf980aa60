//! A network of its own for each host, as if it were a machine.
//!
//! ```text
//!   this machine          namespace `…-net`        namespaces `…-1`, `…-2`, …
//!      .254 ─────────────── bridge, .1 ────────────── .11, .12, …
//! ```
//!
//! The bridge has a namespace too, and what all hosts meet on runs there: so no rule of this machine's
//! firewall is in the way between them, and none has to be changed.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command as Blocking, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::process;

const IP: &str = "ip";

/// How long removing something may take.
const REMOVE: Duration = Duration::from_secs(10);

/// Where a program runs.
#[derive(Clone, Copy)]
pub(super) enum NetworkPlace {
    /// Beside the bridge.
    Bridge,
    /// In a host's namespace. The first is 1.
    Host(u8),
}

/// The namespaces. They go when this is dropped.
pub(super) struct Network {
    /// The prefix of all names.
    name: String,
    /// The first three numbers of all addresses.
    prefix: [u8; 3],
    hosts: u8,
}

impl Network {
    /// Makes a namespace for each of so many hosts, joined by a bridge.
    ///
    /// # Errors
    ///
    /// Returns an error if that is not allowed here, or `ip` is missing.
    pub(super) async fn lay(hosts: u8) -> Result<Self> {
        if !process::exists(IP) {
            bail!("there is no `{IP}` on the path; it is in the package `iproute2`");
        }
        let id = std::process::id();
        let [.., high, low] = id.to_be_bytes();
        let network = Self {
            // An interface's name has at most 15 bytes.
            name: format!("withe{id}"),
            // Of those that are for tests of networks (RFC 2544).
            prefix: [198, 18 + high % 2, low],
            hosts,
        };
        // From here on all that was made goes when this is dropped.
        network.make().await?;
        Ok(network)
    }

    async fn make(&self) -> Result<()> {
        let (outside, bridge) = (&self.name, &self.namespace(NetworkPlace::Bridge));
        ip(&["netns", "add", bridge]).await?;
        let inside = ["-n", bridge];
        ip(&[&inside[..], &["link", "add", "bridge", "type", "bridge"]].concat()).await?;
        self.has_address(&inside, "bridge", NetworkPlace::Bridge)
            .await?;
        for number in 1..=self.hosts {
            let host = &self.namespace(NetworkPlace::Host(number));
            let port = &format!("port-{number}");
            ip(&["netns", "add", host]).await?;
            let ends = [
                "name", port, "type", "veth", "peer", "name", "eth0", "netns", host,
            ];
            ip(&[&inside[..], &["link", "add"], &ends].concat()).await?;
            self.is_plugged(&inside, port).await?;
            ip(&["-n", host, "link", "set", "lo", "up"]).await?;
            self.has_address(&["-n", host], "eth0", NetworkPlace::Host(number))
                .await?;
        }
        let ends = [
            "name", outside, "type", "veth", "peer", "name", "port", "netns", bridge,
        ];
        ip(&[&["link", "add"], &ends[..]].concat()).await?;
        self.is_plugged(&inside, "port").await?;
        let address = format!("{}/24", self.numbered(254));
        ip(&["addr", "add", &address, "dev", outside]).await?;
        ip(&["link", "set", outside, "up"]).await
    }

    async fn is_plugged(&self, inside: &[&str], port: &str) -> Result<()> {
        ip(&[inside, &["link", "set", port, "master", "bridge", "up"]].concat()).await
    }

    async fn has_address(
        &self,
        inside: &[&str],
        interface: &str,
        place: NetworkPlace,
    ) -> Result<()> {
        let address = format!("{}/24", self.address(place));
        ip(&[inside, &["addr", "add", &address, "dev", interface]].concat()).await?;
        ip(&[inside, &["link", "set", interface, "up"]].concat()).await
    }

    /// The address that the others reach a place by.
    pub(super) fn address(&self, place: NetworkPlace) -> IpAddr {
        self.numbered(match place {
            NetworkPlace::Bridge => 1,
            NetworkPlace::Host(number) => 10 + number,
        })
    }

    fn numbered(&self, last: u8) -> IpAddr {
        let [a, b, c] = self.prefix;
        Ipv4Addr::new(a, b, c, last).into()
    }

    /// The name of a place's namespace.
    pub(super) fn namespace(&self, place: NetworkPlace) -> String {
        match place {
            NetworkPlace::Bridge => format!("{}-net", self.name),
            NetworkPlace::Host(number) => format!("{}-{number}", self.name),
        }
    }

    /// A command that runs in a place, and has the process id that it is started with.
    pub(super) fn command(
        &self,
        place: NetworkPlace,
        program: impl AsRef<std::ffi::OsStr>,
    ) -> Command {
        let mut command = Command::new(IP);
        command.args(["netns", "exec", &self.namespace(place)]);
        command.arg(program);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // An interface that cannot be removed was not made. The other end of this machine's interface goes
        // with it, and those in a namespace go with that.
        remove(&["link", "del", &self.name]);
        for number in 1..=self.hosts {
            remove(&["netns", "del", &self.namespace(NetworkPlace::Host(number))]);
        }
        remove(&["netns", "del", &self.namespace(NetworkPlace::Bridge)]);
    }
}

async fn ip(arguments: &[&str]) -> Result<()> {
    // The output of `ip` is wanted only if it fails.
    let mut said: File = tempfile::tempfile().context("cannot make a temporary file")?;
    let mut command = Command::new(IP);
    command.args(arguments).stderr(said.try_clone()?);
    let what = format!("do `{IP} {}`", arguments.join(" "));
    let Err(error) = process::run(&what, &mut command, process::SHORT).await else {
        return Ok(());
    };
    let mut text = String::new();
    said.rewind()?;
    said.read_to_string(&mut text)?;
    Err(error.context(text.trim().to_owned()))
}

/// Blocks: this is for when nothing can be waited for any more.
fn remove(arguments: &[&str]) {
    let mut command = Blocking::new(IP);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return;
    };
    let over = Instant::now() + REMOVE;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > over {
            _ = child.kill();
            _ = child.wait();
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
