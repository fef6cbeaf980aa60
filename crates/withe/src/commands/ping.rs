//! `withe ping`: how far the target of a link is, by the way that its calls take.

use std::time::Duration;

use anyhow::bail;
use serde::Serialize;
use withe_node::desired;
use withe_node::requests::{HostAnswer, HostRequest, ask};

use super::lattice_args::LatticeArgs;
use crate::Outcome;
use crate::render::json;
use crate::render::table::table;
use crate::running::block_on;
use crate::terminal::Terminal;
use crate::usage::Expected;

const EXAMPLES: &str = "\
Examples:
  withe ping shop/cart                   from every host of `shop`
  withe ping shop/cart/cache             the link named `cache`
  withe ping shop/cart --lattice nats://10.0.0.1:4222 --json";

/// Call the target of a link and back, by the way that the link's calls take.
///
/// Every host that runs the link's source measures its own way. A link whose ends are in one process has
/// none.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The link: SOURCE/TARGET, or SOURCE/TARGET/NAME if there are several.
    #[arg(value_name = "LINK", value_parser = link)]
    link: PingedLink,
    /// The application, if several have such a link.
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lattice: LatticeArgs,
}

#[derive(Clone, Debug)]
struct PingedLink {
    source: String,
    target: String,
    name: Option<String>,
}

fn link(text: &str) -> Result<PingedLink, Expected> {
    let words: Vec<_> = text.split('/').collect();
    match words.as_slice() {
        [source, target] | [source, target, _] if !source.is_empty() && !target.is_empty() => {
            Ok(PingedLink {
                source: (*source).into(),
                target: (*target).into(),
                name: words.get(2).map(|name| (*name).to_owned()),
            })
        }
        _ => Err(Expected("SOURCE/TARGET, such as `shop/cart`")),
    }
}

#[derive(Serialize)]
struct Pinged {
    application: String,
    host: String,
    binding: String,
    nanos: Option<u64>,
    failure: Option<String>,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let pinged = block_on(ping(args))?;
    let failed = pinged.iter().any(|p| p.failure.is_some());
    let text = if args.json {
        json::text(&pinged)?
    } else {
        let rows: Vec<_> = pinged.into_iter().map(row).collect();
        table(["APP", "FROM", "BINDING", "ROUND TRIP"], &rows)
    };
    terminal.print(&text)?;
    Ok(if failed {
        Outcome::Problems
    } else {
        Outcome::Done
    })
}

fn row(pinged: Pinged) -> [String; 4] {
    let took = match (&pinged.failure, pinged.nanos) {
        (Some(why), _) => why.clone(),
        (None, None) => "within the process".into(),
        (None, Some(nanos)) => {
            let micros = Duration::from_nanos(nanos).as_secs_f64() * 1e6;
            format!("{micros:.1} µs")
        }
    };
    [pinged.application, pinged.host, pinged.binding, took]
}

async fn ping(args: &Args) -> anyhow::Result<Vec<Pinged>> {
    let lattice = args.lattice.connect().await?;
    let hosts = desired::hosts(&*lattice).await?;
    let mut pinged = Vec::new();
    for host in &hosts {
        for (application, app) in &host.apps {
            if args.app.as_ref().is_some_and(|only| only != application) {
                continue;
            }
            let meant = app.links.iter().filter(|link| {
                link.source == args.link.source
                    && link.target == args.link.target
                    && args
                        .link
                        .name
                        .as_ref()
                        .is_none_or(|name| link.name == *name)
            });
            for link in meant {
                let request = HostRequest::Ping {
                    application: application.clone(),
                    source: link.source.clone(),
                    target: link.target.clone(),
                    name: link.name.clone(),
                };
                let answer = ask(&*lattice, &host.id, &request).await;
                let (binding, nanos, failure) = match answer {
                    Ok(HostAnswer::Pong { binding, nanos }) => (binding, nanos, None),
                    Ok(HostAnswer::Failed(why)) => (link.binding, None, Some(why)),
                    Ok(HostAnswer::Observed(_)) => {
                        let why = "its answer is none to this question".to_owned();
                        (link.binding, None, Some(why))
                    }
                    Err(error) => (link.binding, None, Some(error.to_string())),
                };
                pinged.push(Pinged {
                    application: application.clone(),
                    host: host.name.clone(),
                    binding: super::plan::binding_name(binding).into(),
                    nanos,
                    failure,
                });
            }
        }
    }
    if pinged.is_empty() {
        let PingedLink { source, target, .. } = &args.link;
        bail!(
            "no host has a link from `{source}` to `{target}`; `withe get links` shows those there are"
        );
    }
    Ok(pinged)
}
