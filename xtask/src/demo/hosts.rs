//! `cargo xtask demo --hosts N`: the example application spread over hosts of a lattice.

mod check;
mod lattice;
mod network;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::sleep;

use super::manifest::{self, Changes};
use super::{START, shortened};
use crate::process::Running;
use crate::{process, tree, ui};
pub(super) use check::run as check;
use lattice::Lattice;

/// Serves until Ctrl-C. A second one ends everything at once.
///
/// # Errors
///
/// Something does not start, or does not end well.
pub(super) async fn serve(withe: &Path, hosts: u8, port: u16) -> Result<()> {
    let (mut lattice, address) = process::until_interrupted(start(withe, hosts, port)).await?;
    say_what_to_try(withe, &lattice, address);
    let events = Running::start("follow the lattice", &mut lattice.withe(&["events"]))?;
    tokio::select! {
        over = tell_of_ends(&mut lattice) => return over,
        interrupted = process::interrupted() => interrupted?,
    }
    drop(events);
    ui::step("end; Ctrl-C again does so at once");
    process::until_interrupted(lattice.end()).await
}

async fn start(withe: &Path, hosts: u8, port: u16) -> Result<(Lattice, SocketAddr)> {
    let data = tree::visits().join("data");
    std::fs::create_dir_all(&data).context("cannot make the folder of the counts")?;
    let lattice = Lattice::start(withe, hosts, &data).await?;
    let address = SocketAddr::new(lattice.edge(), port);
    // In a namespace of its own nobody else has the port.
    if !lattice.has_namespaces() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        listener.with_context(|| format!("port {port} is not free; name one with `--port`"))?;
    }
    up(&lattice, address, &data).await?;
    for what in ["hosts", "components", "providers", "links"] {
        ui::step(format!("withe get {what}"));
        let mut get = lattice.withe(&["get", what]);
        process::run("ask the lattice", &mut get, process::SHORT).await?;
    }
    Ok((lattice, address))
}

/// Has the hosts run the application.
async fn up(lattice: &Lattice, address: SocketAddr, data: &Path) -> Result<()> {
    let changes = Changes {
        address,
        data,
        binding: None,
        spread: true,
    };
    let manifest = manifest::write(lattice.logs(), &changes)?;
    ui::step("withe up visits.yaml, spread by the labels of the hosts");
    let mut up = lattice.withe(&["up"]);
    let wait = START.as_secs().to_string();
    up.arg(manifest).args(["--wait", &wait]);
    let done = process::run("run the application", &mut up, 2 * START).await;
    done.with_context(|| lattice.all_said())
}

/// Says so when a host ends, and goes on as long as there are any.
async fn tell_of_ends(lattice: &mut Lattice) -> Result<()> {
    loop {
        for (name, status) in lattice.ended()? {
            ui::step(format!("{name} ended ({status})"));
        }
        if lattice.hosts().next().is_none() {
            bail!("all hosts have ended");
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn say_what_to_try(withe: &Path, lattice: &Lattice, address: SocketAddr) {
    let withe = shortened(withe).display();
    let say = |command: &str, what: &str| eprintln!("      {command:<68} {what}");
    ui::step(format!("serving on http://{address}/ until Ctrl-C; try"));
    eprintln!("      curl http://{address}/some/page");
    eprintln!("      curl http://{address}/api/visits");
    eprintln!("    in another terminal, in this folder, with the lattice named once:");
    eprintln!("      export WITHE_LATTICE={}", lattice.url());
    for (command, what) in [
        ("get links", "# how each is bound on each host, and why"),
        (
            "ping front/visits",
            "# there and back, the way that calls take",
        ),
        (
            "link put visits front visits --binding nats",
            "# move a link while it is used",
        ),
        ("link put visits front visits", "# and back"),
    ] {
        say(&format!("{withe} {command}"), what);
    }
    eprintln!("    Lose a host that counts: pages go on, and its lease runs out after 6 seconds:");
    for (name, id) in lattice.hosts().skip(1) {
        say(&format!("kill -9 {id}"), &format!("# {name}"));
    }
    eprintln!(
        "    What the hosts say is in {}. What happens on the lattice:",
        lattice.logs().display()
    );
}
