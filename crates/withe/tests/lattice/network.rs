//! A host behind a network that is cut.

use std::process::Command;
use std::time::{Duration, Instant};

use withe_testing::nats::NatsServer;

use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::load::Load;

/// A call over the link from `front` ends after 30 seconds; connections and the page take a little more.
const DEADLINE: Duration = Duration::from_secs(45);

/// A network of two: this machine, and a namespace of its own for one host.
struct Wire {
    namespace: String,
    /// This side's interface.
    interface: String,
    /// The first three numbers of the addresses; 1 is here, 2 is there.
    net: String,
}

impl Wire {
    /// Lays it; says why that is not allowed here.
    fn lay() -> Result<Self, String> {
        let id = std::process::id();
        let wire = Self {
            namespace: format!("withe-test-{id}"),
            interface: format!("wt{id}"),
            // Of those that are for tests of networks (RFC 2544).
            net: format!("198.{}.{}", 18 + id % 2, id / 2 % 256),
        };
        ip(&["netns", "add", &wire.namespace])?;
        // From here on it goes when this is dropped.
        let (namespace, interface, net) = (&wire.namespace, &wire.interface, &wire.net);
        ip(&[
            "link", "add", interface, "type", "veth", "peer", "name", "host", "netns", namespace,
        ])?;
        ip(&["addr", "add", &format!("{net}.1/24"), "dev", interface])?;
        ip(&["link", "set", interface, "up"])?;
        for args in [
            &["addr", "add", &format!("{net}.2/24"), "dev", "host"][..],
            &["link", "set", "host", "up"],
            &["link", "set", "lo", "up"],
        ] {
            ip(&[&["-n", namespace], args].concat())?;
        }
        Ok(wire)
    }

    fn cut(&self) {
        ip(&["link", "set", &self.interface, "down"]).unwrap();
    }

    fn heal(&self) {
        ip(&["link", "set", &self.interface, "up"]).unwrap();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The interfaces go with it. An interface that cannot be removed was not made.
        let _ = ip(&["link", "del", &self.interface]);
        let _ = ip(&["netns", "del", &self.namespace]);
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output();
    let output = output.map_err(|e| format!("cannot run `ip`: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

#[test]
fn a_host_that_is_cut_off_is_done_without_and_comes_back() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => {
            eprintln!("SKIPPED: network namespaces cannot be made here: {why}");
            return;
        }
    };
    let nats = NatsServer::start_with("host: 0.0.0.0\n").unwrap();
    let url = format!("nats://{}.1:{}", wire.net, nats.port());
    let mut lattice = Lattice::on(nats);
    let here = format!("{}.1", wire.net);
    let near = |name: &str| {
        let (listen, label) = (format!("{here}:0"), format!("zone={name}"));
        let command = lattice.command(&[
            "host", "--name", name, "--listen", &listen, "--label", &label,
        ]);
        lattice.start_host(command, name)
    };
    let (_a, _b) = (near("a"), near("b"));
    lattice.set("WITHE_LATTICE", &url);
    let mut command = Command::new("ip");
    command.args([
        "netns",
        "exec",
        &wire.namespace,
        env!("CARGO_BIN_EXE_withe"),
    ]);
    command.args(["host", "--name", "c", "--label", "zone=c"]);
    lattice.prepare(&mut command);
    // `ip` becomes the host.
    let _c = lattice.start_host(command, "c");

    let address = lattice.up(&lattice.visits());
    let load = Load::start(&address, "/cut");
    load.goes_on(200);
    wire.cut();
    let fault = Instant::now();
    lattice.runs_on("visits", &["b"]);
    let meanwhile = Instant::now() + Duration::from_secs(5);
    load.goes_on(200);
    while Instant::now() < meanwhile {
        load.goes_on(50);
    }
    load.goes_on(50);
    wire.heal();
    lattice.runs_on("visits", &["b", "c"]);
    lattice.runs();
    load.goes_on(200);
    // The way from the host that was cut off may have to be found again.
    eventually("all hosts reach the store", || {
        let pinged = lattice.run(&["ping", "visits/store"]);
        (pinged.code == Some(0)).then_some(())
    });
    let answers = load.stop();
    answers.report(fault, "a network cut");
    answers.none_failed_since(meanwhile);
    answers.none_hung(DEADLINE);
    answers.add_up(&lattice, &["visits"]);
}
