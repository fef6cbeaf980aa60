//! `withe top`: what a lattice does, on a terminal.

use std::io;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, Stdin};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use withe_lattice::LatticeError;

use super::lattice_args::LatticeArgs;
use crate::Outcome;
use crate::interrupt::Interrupts;
use crate::running::block_on;
use crate::terminal::Terminal;
use crate::top::console::Console;
use crate::top::figures::{Figures, Sort};
use crate::top::screen::{Key, Next, Screen, Typed};
use crate::watching::rates::Rates;
use crate::watching::watcher::Looked;
use crate::watching::{LatticeState, Wants, Watcher};

const EXAMPLES: &str = "\
Examples:
  withe top
  withe top --lattice nats://10.0.0.1:4222 --sort errors
  withe top --once                              the same as text, once
  withe top --json | jq '.rates.links[] | select(.error_rate > 0)'";

/// How long the rest of a key's sequence may take, which over a slow line comes in pieces.
const SEQUENCE: Duration = Duration::from_millis(100);

/// How long figures are counted that are printed once.
const ONCE: Duration = Duration::from_secs(1);

/// Show how often and how fast links are called, what fails, and what parts have, until `q`.
///
/// The figures are those of `withe ui`: of the last five seconds, or of the time between two looks if that is longer, of all hosts.
/// Looking has hosts record nothing. Keys: 1, 2 and 3 show links, parts and hosts; r,
/// e, l and n sort by rate, errors, latency and name; q, Esc and Ctrl-C end. Without a terminal there is `--once`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only of this application.
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    /// By what rows are sorted at first.
    #[arg(long, value_name = "BY", default_value = "rate")]
    sort: Sort,
    /// How often the figures are taken.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    every: u64,
    /// Print the figures of one second as text, and end.
    #[arg(long)]
    once: bool,
    /// Print the figures of one second as JSON, and end.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lattice: LatticeArgs,
}

/// The document that `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    state: &'a LatticeState,
    rates: &'a Rates,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let prints = args.once || args.json;
    if !prints && !Console::is_there() {
        bail!(
            "this is no terminal: `withe top --once` prints the figures once, and `--json` as JSON"
        );
    }
    block_on(async {
        let lattice = args.lattice.connect().await?;
        let watcher = Watcher::new(lattice, Wants::Figures, Duration::from_secs(args.every));
        match prints {
            true => once(args, watcher, terminal).await,
            false => follow(args, watcher, terminal).await,
        }
    })
}

impl Args {
    /// Takes what was seen into the figures.
    fn take(&self, looked: Looked, figures: &mut Figures) {
        if let Some(state) = looked.state {
            figures.state = state;
        }
        figures.rates = looked.rates;
        if let Some(application) = &self.app {
            figures.retain(application);
        }
    }
}

/// Prints the figures of one second.
async fn once(args: &Args, mut watcher: Watcher, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let mut figures = Figures::default();
    args.take(watcher.look().await?, &mut figures);
    sleep(ONCE).await;
    args.take(watcher.look().await?, &mut figures);
    if args.json {
        let Figures { state, rates } = &figures;
        terminal.print_json(&Printed { state, rates })?;
        return Ok(Outcome::Done);
    }
    let tables = [
        figures.links(args.sort).text(),
        figures.parts(args.sort).text(),
        figures.hosts().text(),
    ];
    terminal.print(&format!("{}\n\n{}", figures.summary(), tables.join("\n")))?;
    Ok(Outcome::Done)
}

/// Draws them until a key ends it.
async fn follow(args: &Args, mut watcher: Watcher, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let mut interrupts = Interrupts::new()?;
    let mut figures = Figures::default();
    // A fault from the beginning is said where it can be read.
    args.take(watcher.look().await?, &mut figures);
    let mut screen = Screen::new(args.sort);
    let mut trouble = None;
    let console = Console::begin()?;
    // Keys are taken while a look is under way. The task ends with this function.
    let (told, mut looks) = mpsc::channel(1);
    let mut looking = JoinSet::new();
    looking.spawn(look_each(Duration::from_secs(args.every), watcher, told));
    let mut resized = Resized::new()?;
    let mut input = tokio::io::stdin();
    let mut bytes = [0; 64];
    let mut typed = Typed::default();
    loop {
        let size = console.size();
        console.draw(&screen.frame(&figures, trouble.as_deref(), size, terminal.color_err()))?;
        tokio::select! {
            looked = looks.recv() => match looked {
                Some(Ok(looked)) => {
                    trouble = None;
                    args.take(looked, &mut figures);
                }
                Some(Err(error)) => trouble = Some(error.to_string()),
                None => bail!("looking at the lattice has ended by itself: this is an error of withe"),
            },
            read = next_keys(&mut input, &mut bytes, &mut typed) => {
                let Some(keys) = read? else {
                    return Ok(Outcome::Done);
                };
                for key in keys {
                    if screen.key(key, size.1) == Next::End {
                        return Ok(Outcome::Done);
                    }
                }
            }
            () = resized.next() => {}
            () = interrupts.next() => return Ok(Outcome::Done),
        }
    }
}

/// Looks again and again, until nobody wants to know.
async fn look_each(
    every: Duration,
    mut watcher: Watcher,
    told: mpsc::Sender<Result<Looked, LatticeError>>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if told.send(watcher.look().await).await.is_err() {
            return;
        }
    }
}

/// The next keys; `None` if the terminal is gone. Nothing is lost when it is dropped while it waits.
async fn next_keys(
    input: &mut Stdin,
    bytes: &mut [u8],
    typed: &mut Typed,
) -> io::Result<Option<Vec<Key>>> {
    let read = match typed.is_within() {
        false => input.read(bytes).await?,
        true => match timeout(SEQUENCE, input.read(bytes)).await {
            Ok(read) => read?,
            Err(_) => return Ok(Some(typed.rest())),
        },
    };
    Ok((read > 0).then(|| typed.keys(&bytes[..read])))
}

/// Waits until the terminal has another size.
struct Resized(tokio::signal::unix::Signal);

impl Resized {
    fn new() -> std::io::Result<Self> {
        let kind = tokio::signal::unix::SignalKind::window_change();
        Ok(Self(tokio::signal::unix::signal(kind)?))
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
