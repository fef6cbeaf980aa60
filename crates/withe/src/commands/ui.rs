//! `withe ui`: a page that shows what a lattice does.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::lattice_args::LatticeArgs;
use crate::Outcome;
use crate::interrupt::Interrupts;
use crate::running::block_on;
use crate::terminal::Terminal;
use crate::ui::{Page, Served, address, name};

const EXAMPLES: &str = "\
Examples:
  withe ui                                       of the host that runs on this machine
  withe ui --lattice nats://10.0.0.1:4222
  withe ui --listen 0                            on a free port
  curl -s 'http://127.0.0.1:7171/api/rates?token=SECRET' | jq '.links[] | {source, target, rate, p99}'
                                                 SECRET is in the address that is printed";

/// Where the page is, if that is not taken.
const USUAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7171);

/// Show what a lattice does on a page in the browser, until Ctrl-C.
///
/// The page shows the hosts, the applications, their parts and links, with how often and how fast each link is called and what
/// fails, how it is bound and why; the last lines of the log by part; the last traces; and what happens. It is read-only: whoever
/// runs an application has `--ui` of `withe up`, `withe dev` and `withe host` for a page that can also call exports. Hosts are
/// asked only while somebody looks. The address that is printed has a secret, without which nobody else on this machine sees the page.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where the page is served: an address, or a port of this machine. Without it port 7171, or another one if that is taken.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// A name by which browsers reach the page, besides `localhost` and addresses. May be given several times.
    #[arg(long = "ui-name", value_name = "NAME", value_parser = name)]
    names: Vec<String>,
    #[command(flatten)]
    lattice: LatticeArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    block_on(async {
        let mut interrupts = Interrupts::new()?;
        let lattice = args.lattice.connect().await?;
        let listener = match args.listen {
            Some(address) => Page::listen(address).await?,
            None => match Page::listen(USUAL).await {
                Err(error) if is_taken(&error) => {
                    let port = USUAL.port();
                    terminal.say(&format!("port {port} is taken, so another one is used\n"));
                    Page::listen(SocketAddr::new(USUAL.ip(), 0)).await?
                }
                listener => listener?,
            },
        };
        let served = Served {
            lattice,
            calls: None,
            names: args.names.clone(),
        };
        let page = Page::serve(listener, served)?;
        page.say(terminal);
        interrupts.next().await;
        Ok(Outcome::Done)
    })
}

fn is_taken(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::AddrInUse)
}
