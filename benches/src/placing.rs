//! An application over an embedded lattice of twenty hosts, all in this process: how long the controller takes to
//! decide, and how long until every host knows.
//!
//! Hosts are simulated as far as planner and lattice go: each follows the deployment, finds its own parts in it, and
//! reports them in its lease; the controller places the parts, hears the reports, and decides again. Nothing is
//! loaded or run.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;
use withe_lattice::{Change, Embedded, Expect, Lattice, Watch};
use withe_planner::{Assignment, HostView, PartWish, Spread, Where, Wish, place, transition};

const HOSTS: usize = 20;

/// Links of a part to others.
const LINKS: usize = 10;

/// Applications of this many parts, and three and ten times as many.
const SIZES: [usize; 3] = [1_000, 3_000, 10_000];

/// Longer than any of it takes.
const AGES: Duration = Duration::from_secs(120);

/// The report of a host: its id, and the parts that it runs.
#[derive(Serialize, Deserialize)]
struct Report {
    id: String,
    parts: Vec<String>,
}

/// The times of one application.
struct Took {
    place: Duration,
    all_know: Duration,
    decide_again: Duration,
    deployment: usize,
}

pub(crate) fn run() -> Result<()> {
    println!("\nan embedded lattice of {HOSTS} hosts in one process (placing, telling, hearing)");
    println!(
        "{:>8} {:>9} {:>10} {:>12} {:>13} {:>12}",
        "parts", "links", "place", "all know", "decide again", "deployment"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    for parts in SIZES {
        let took = runtime.block_on(simulate(parts))?;
        println!(
            "{parts:>8} {:>9} {:>7.1} ms {:>9.1} ms {:>10.1} ms {:>9.1} KiB",
            parts * 9 / 10 * LINKS,
            ms(took.place),
            ms(took.all_know),
            ms(took.decide_again),
            took.deployment as f64 / 1024.0,
        );
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Parts of which nine of ten call ten others; one in ten is spread over two zones of hosts.
fn wish(parts: usize) -> Wish {
    let zone = |n: usize| Spread {
        labels: labels(n),
        weight: 100,
    };
    let asks = |n: usize| match n % 10 {
        0 => Where::Spread(vec![zone(n / 10 % 5), zone((n / 10 + 1) % 5)]),
        1 => Where::OneHost,
        _ => Where::WithCallers,
    };
    let calls = |n: usize| (1..=LINKS).map(move |i| (n, (n * 7 + i * 131) % parts));
    Wish {
        parts: (0..parts)
            .map(|n| PartWish {
                name: format!("part{n}"),
                place: asks(n),
                instances: None,
            })
            .collect(),
        links: (0..parts).filter(|n| n % 10 != 9).flat_map(calls).collect(),
    }
}

fn labels(zone: usize) -> BTreeMap<String, String> {
    BTreeMap::from([("zone".into(), format!("z{zone}"))])
}

fn host(n: usize) -> HostView {
    HostView {
        id: format!("host{n:02}"),
        labels: labels(n % 5),
        load: 0,
    }
}

async fn simulate(parts: usize) -> Result<Took> {
    let lattice = Embedded::in_memory("bench")?;
    let hosts: Vec<HostView> = (0..HOSTS).map(host).collect();
    let mut reports = lattice.watch_leases("hosts").await?;
    let mut running = JoinSet::new();
    for host in &hosts {
        let deployments = lattice.watch("deployments").await?;
        running.spawn(follow(lattice.clone(), host.id.clone(), deployments));
    }
    let wish = wish(parts);
    let alive: BTreeSet<String> = hosts.iter().map(|host| host.id.clone()).collect();

    let began = Instant::now();
    let placed = place(&wish, &hosts, &Assignment::new());
    let place_took = began.elapsed();
    if !placed.unplaced.is_empty() {
        bail!("{} parts have no host", placed.unplaced.len());
    }
    let began = Instant::now();
    let value = Bytes::from(serde_json::to_vec(&placed.assignment)?);
    let deployment = value.len();
    lattice
        .put("deployments.app", value, Expect::Absent)
        .await?;
    let heard = timeout(AGES, hear(&mut reports)).await??;
    let all_know = began.elapsed();

    // As when a host reports: all is placed anew, and what is there is compared with it.
    let began = Instant::now();
    let ready: HashSet<(&str, &str)> = (heard.iter())
        .flat_map(|report| report.parts.iter().map(|part| (&**part, &*report.id)))
        .collect();
    let again = place(&wish, &hosts, &placed.assignment);
    let next = transition(
        &placed.assignment,
        &again.assignment,
        &alive,
        |part, host| ready.contains(&(part, host)),
    );
    let decide_again = began.elapsed();
    if next != placed.assignment {
        bail!("parts move without need");
    }
    running.shutdown().await;
    Ok(Took {
        place: place_took,
        all_know,
        decide_again,
        deployment,
    })
}

/// The reports of all hosts that run something.
async fn hear(reports: &mut Watch) -> Result<Vec<Report>> {
    let mut heard: BTreeMap<String, Report> = BTreeMap::new();
    while heard.len() < HOSTS {
        if let Change::Put(entry) = reports.recv().await.context("the lattice ended")? {
            heard.insert(entry.key, serde_json::from_slice(&entry.value)?);
        }
    }
    Ok(heard.into_values().collect())
}

/// A host: reports what it is to run, whenever that changes.
async fn follow(lattice: Embedded, id: String, mut deployments: Watch) {
    while let Some(change) = deployments.recv().await {
        let Change::Put(entry) = change else { continue };
        let Ok(assignment) = serde_json::from_slice::<Assignment>(&entry.value) else {
            continue;
        };
        let own = assignment
            .into_iter()
            .filter(|(_, hosts)| hosts.contains_key(&id));
        let report = Report {
            parts: own.map(|(part, _)| part).collect(),
            id: id.clone(),
        };
        // A report is plain data.
        let value = serde_json::to_vec(&report).unwrap_or_default();
        let key = format!("hosts.{id}");
        let put = lattice.put_lease(&key, value.into(), Expect::Any);
        if put.await.is_err() {
            return;
        }
    }
}
