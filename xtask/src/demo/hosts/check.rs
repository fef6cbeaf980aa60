//! Checks the example application on several hosts, two of which are lost.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::super::check::{Visitor, contains, free_address};
use super::super::manifest::PORT;
use super::lattice::Lattice;
use crate::http::Answer;
use crate::{process, ui};

/// How long all of it may take.
const ALL: Duration = Duration::from_secs(15 * 60);
/// How long something may take to be seen: a lost host is done without after seconds.
const SEEN: Duration = Duration::from_secs(120);
/// How many visit at a time.
const VISITORS: usize = 4;
/// How many visits are to be served before something is done, and after it.
const VISITS: u64 = 100;
const PATH: &str = "/spread";

/// Serves the application on so many hosts, loses two of them, one after the other, and checks that pages are
/// served and visits counted all the while.
///
/// # Errors
///
/// Anything is not as it should be.
pub(in super::super) async fn run(withe: &Path, hosts: u8) -> Result<()> {
    let all = timeout(ALL, check(withe, hosts)).await;
    all.with_context(|| format!("it took longer than {} s", ALL.as_secs()))?
}

async fn check(withe: &Path, hosts: u8) -> Result<()> {
    ui::step(format!("check the application on {hosts} hosts"));
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut lattice = Lattice::start(withe, hosts, scratch.path()).await?;
    let address = match lattice.has_namespaces() {
        true => SocketAddr::new(lattice.edge(), PORT),
        false => free_address()?,
    };
    super::up(&lattice, address, scratch.path()).await?;
    let checked = checks(&mut lattice, hosts, Visitor(address)).await;
    checked.with_context(|| lattice.all_said())?;
    lattice.end().await?;
    ui::ok("Ctrl-C ends the hosts well");
    Ok(())
}

async fn checks(lattice: &mut Lattice, hosts: u8, visitor: Visitor) -> Result<()> {
    let inner: Vec<u8> = (2..=hosts).collect();
    counts_on(lattice, &inner).await?;
    are_bound(lattice).await?;
    let page = visitor.get("/a").await?;
    contains(&page, "<code>/a</code> was visited <strong>once</strong>")?;
    contains(&visitor.get("/a").await?, "<strong>2 times</strong>")?;
    ui::ok("pages count their visits");

    let visits = Visits::begin(visitor);
    visits.go_on().await?;
    lattice.kill(2);
    visits.go_on().await?;
    counts_on(lattice, &inner[1..]).await?;
    visits.go_on().await?;
    ui::ok("pages are served when a host is killed that counts");

    lattice.start_host(2)?;
    lattice.joined(hosts.into()).await?;
    counts_on(lattice, &inner).await?;
    lattice.kill(hosts);
    visits.go_on().await?;
    counts_on(lattice, &inner[..inner.len() - 1]).await?;
    ui::ok("one that comes back takes over from the next");

    let (served, failed) = visits.end().await?;
    let list = visitor.get("/api/visits?limit=1").await?.json()?;
    let counted = list["visits"][0]["count"].as_u64().unwrap_or_default();
    ensure!(
        (served..=served + failed).contains(&counted),
        "{served} visits were served and {failed} failed, but {counted} were counted"
    );
    ui::ok(format!(
        "every one of {served} visits is counted once ({failed} more failed)"
    ));
    for _ in 0..VISITORS {
        number(&visitor.get(PATH).await?)?;
    }
    let mut down = lattice.withe(&["down", "visits"]);
    process::run("end the application", &mut down, process::SHORT).await?;
    let gone = || async {
        let parts = lattice.get("components").await?;
        Ok(parts.as_array().is_some_and(Vec::is_empty))
    };
    eventually("the application ends", gone).await?;
    ui::ok("`withe down` ends it on all hosts");
    Ok(())
}

/// Waits until all of these hosts, and no others, run a replica of `visits`.
async fn counts_on(lattice: &Lattice, hosts: &[u8]) -> Result<()> {
    let expected: BTreeSet<_> = hosts.iter().map(|n| format!("host-{n}")).collect();
    let what = format!("`visits` runs on {expected:?}");
    let look = || async {
        let parts = lattice.get("components").await?;
        let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
        let counting = parts.iter().filter(|part| part["name"] == "visits");
        let found: BTreeSet<_> = counting
            .filter_map(|part| part["host"].as_str().map(String::from))
            .collect();
        Ok(found == expected)
    };
    eventually(&what, look).await
}

/// Whether what leaves a host is bound by a wire, and what does not is not.
async fn are_bound(lattice: &Lattice) -> Result<()> {
    let links = lattice.get("links").await?;
    let all = links.as_array().map(Vec::as_slice).unwrap_or_default();
    let binding = |source: &str, target: &str| -> BTreeSet<_> {
        let links = all
            .iter()
            .filter(|link| link["source"] == source && link["target"] == target);
        links.filter_map(|link| link["binding"].as_str()).collect()
    };
    for (source, target, expected) in [
        ("http", "front", "host"),
        ("front", "visits", "tcp"),
        ("visits", "store", "tcp"),
    ] {
        let found = binding(source, target);
        ensure!(
            found == BTreeSet::from([expected]),
            "expected `{source}` to be linked to `{target}` by `{expected}`, found {found:?}: {links}"
        );
    }
    ui::ok("links between hosts are bound by tcp");
    Ok(())
}

/// Looks until it is so.
async fn eventually<F: Future<Output = Result<bool>>>(
    what: &str,
    look: impl Fn() -> F,
) -> Result<()> {
    let deadline = Instant::now() + SEEN;
    while !look().await? {
        if Instant::now() > deadline {
            bail!("{what}: not after {} s", SEEN.as_secs());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Visits of one page, by some visitors at a time.
struct Visits {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    visitors: JoinSet<Seen>,
}

/// The pages that a visitor has seen: the numbers of its visits, and how many failed.
#[derive(Default)]
struct Seen {
    numbers: Vec<u64>,
    failed: u64,
}

impl Visits {
    fn begin(visitor: Visitor) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut visitors = JoinSet::new();
        for _ in 0..VISITORS {
            let (stop, served) = (stop.clone(), served.clone());
            visitors.spawn(async move {
                let mut seen = Seen::default();
                while !stop.load(Ordering::Relaxed) {
                    match visitor.get(PATH).await.and_then(|page| number(&page)) {
                        Ok(number) => {
                            seen.numbers.push(number);
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_) => seen.failed += 1,
                    }
                }
                seen
            });
        }
        Self {
            stop,
            served,
            visitors,
        }
    }

    /// Waits until so many more are served.
    async fn go_on(&self) -> Result<()> {
        let enough = self.served.load(Ordering::Relaxed) + VISITS;
        let look = || async { Ok(self.served.load(Ordering::Relaxed) >= enough) };
        eventually(&format!("{VISITS} more visits are served"), look).await
    }

    /// Ends them. How many were served, each with a number of its own, and how many failed.
    async fn end(mut self) -> Result<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        let (mut numbers, mut failed) = (Vec::new(), 0);
        while let Some(seen) = self.visitors.join_next().await {
            let seen = seen.context("a visitor stopped")?;
            numbers.extend(seen.numbers);
            failed += seen.failed;
        }
        let served = numbers.len();
        let different = numbers.into_iter().collect::<BTreeSet<_>>().len();
        ensure!(
            different == served,
            "{served} visits were served, but only {different} are different ones"
        );
        Ok((served as u64, failed))
    }
}

/// The number of the visit that a page shows.
fn number(page: &Answer) -> Result<u64> {
    let number = page.body.split_once("<strong>").and_then(|(_, rest)| {
        let (text, _) = rest.split_once("</strong>")?;
        match text {
            "once" => Some(1),
            _ => text.strip_suffix(" times")?.parse().ok(),
        }
    });
    number.with_context(|| format!("expected a page that counts, found {page:?}"))
}
