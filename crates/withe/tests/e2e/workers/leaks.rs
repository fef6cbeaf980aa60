//! Thousands of calls, cancelled requests, dropped streams and killed workers on one host: afterwards
//! it has no more than before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};

use super::{Rig, eventually, kill_now, proc};
use crate::support::client::{Exchange, get};
use crate::support::manifest::{application, component, http_servers, provider};

/// How many requests are made, unless the environment says otherwise.
const REQUESTS: usize = 2_000;
const VARIABLE: &str = "WITHE_TEST_LEAK_REQUESTS";

/// The number of callers at the same time.
const CALLERS: usize = 4;

/// How many workers the application has.
const WORKERS: usize = 4;

/// How many workers are killed meanwhile. The number is the same for any number of requests: a worker
/// that is killed often is started again seldom.
const KILLS: usize = 8;

/// By how much the memory of all processes may have grown in the end, in KiB: allocators keep what they
/// had to take at the worst moment. A leak with every request soon exceeds it.
const MEMORY: u64 = 64 * 1024;

/// By how many the threads may have grown: some are started when there is work, and end when there
/// has been none for a while.
const THREADS: usize = 16;

/// The resources of an application's processes.
#[derive(Debug)]
struct Figures {
    workers: usize,
    files: usize,
    threads: usize,
    /// Resident, in KiB.
    memory: u64,
    sockets: usize,
}

impl Figures {
    fn of(rig: &Rig) -> Self {
        let (host, workers) = (rig.up.id(), rig.workers());
        let all: Vec<_> = [host].into_iter().chain(workers.iter().copied()).collect();
        let entries = |name: &str| {
            let count = |id: &u32| fs::read_dir(proc(*id, name)).map_or(0, Iterator::count);
            all.iter().map(count).sum()
        };
        let folders = rig.temporary();
        let sockets = folders.iter().map(|f| fs::read_dir(f).unwrap().count());
        Self {
            workers: workers.len(),
            files: entries("fd"),
            threads: entries("task"),
            memory: all.iter().map(|id| resident(*id)).sum(),
            sockets: folders.len() + sockets.sum::<usize>(),
        }
    }

    /// Whether an application that had these figures is back to them.
    fn are_met_by(&self, now: &Self) -> bool {
        now.workers == self.workers
            && now.files <= self.files
            && now.threads <= self.threads + THREADS
            && now.memory <= self.memory + MEMORY
            && now.sockets == self.sockets
    }
}

/// How much memory of a process is resident, in KiB.
fn resident(id: u32) -> u64 {
    let status = fs::read_to_string(proc(id, "status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    size.unwrap_or_default()
}

/// Where the components of the application are.
struct Addresses {
    ops: String,
    upper: String,
    holder: String,
    front: String,
}

impl Addresses {
    fn live(&self) -> String {
        get(&self.holder, "/live").unwrap().text()
    }

    /// One of the things that callers do. A worker may be killed meanwhile: what comes of it does not
    /// matter here, but it must come.
    fn request(&self, n: usize) {
        match n % 8 {
            0 => _ = get(&self.ops, "/add"),
            1 => _ = get(&self.ops, "/trap"),
            2 => _ = get(&self.holder, "/leave"),
            3 => _ = get(&self.front, "/"),
            4 => _ = begun(&self.upper, true),
            // The client goes away in the middle.
            5 => _ = begun(&self.upper, false),
            6 => _ = begun(&self.holder, false),
            _ => drop(Exchange::start(&self.ops, "GET /spin", 0)),
        }
    }
}

/// A request of which half is sent, and perhaps the rest.
fn begun(address: &str, whole: bool) -> std::io::Result<()> {
    let mut exchange = Exchange::start(address, "POST /", 8)?;
    exchange.send(b"half")?;
    exchange.status()?;
    exchange.receive(4)?;
    if whole {
        exchange.send(b"rest")?;
        while exchange.part()?.is_some() {}
    }
    Ok(())
}

#[test]
fn nothing_is_left_of_thousands_of_requests_and_killed_workers() {
    let requests = match env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => REQUESTS,
    };
    let rig = Rig::start(
        &application(&[
            http_servers(&["ops-user", "upper", "holder", "front"]),
            component(
                "ops-user",
                "hello-calls",
                "",
                &["target: ops, binding: unix"],
            ),
            component("ops", "ops", "", &[]),
            component("upper", "upper-p3", "", &["target: pipe, binding: unix"]),
            component("pipe", "async-p3", "", &[]),
            component(
                "holder",
                "holder",
                "",
                &["target: resources, binding: unix, scope: shared"],
            ),
            component("resources", "resources", "", &[]),
            component("front", "chain-front", "", &["target: end, binding: unix"]),
            component("end", "chain-end", "", &["target: keyvalue"]),
            provider("keyvalue", "", &[]),
        ]),
        &[],
    );
    let [ops, upper, holder, front] = rig.up.addresses(["ops-user", "upper", "holder", "front"]);
    let addresses = Addresses {
        ops,
        upper,
        holder,
        front,
    };

    let processes = &rig.processes;
    let make = |requests: usize, kills: usize| {
        let made = AtomicUsize::new(0);
        let kill_every = (requests / kills).max(1);
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    loop {
                        let n = made.fetch_add(1, Ordering::Relaxed);
                        if n >= requests {
                            break;
                        }
                        if n % kill_every == kill_every - 1 {
                            let workers = processes.workers();
                            // One that was just killed may not be back yet.
                            if let Some(&worker) = workers.get(n / kill_every % WORKERS) {
                                kill_now(worker);
                            }
                        }
                        addresses.request(n);
                    }
                });
            }
        });
        eventually("all workers are back", || rig.workers().len() == WORKERS);
        // Each of them has a connection, then, and each has served.
        for path in 0..5 {
            addresses.request(path);
        }
        eventually("nothing is held", || addresses.live() == "0");
    };
    // Once everything has happened, each process has what it keeps.
    make(REQUESTS / 4, 4);
    let before = Figures::of(&rig);
    make(requests, KILLS);
    let mut now = Figures::of(&rig);
    eventually(&format!("the figures are {before:?} again"), || {
        now = Figures::of(&rig);
        before.are_met_by(&now)
    });
    println!("before {requests} requests: {before:?}; after them: {now:?}");
}
