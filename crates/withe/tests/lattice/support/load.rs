//! Steady load, of which every answer is kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::get;
use super::lattice::Lattice;
use super::{LONG, eventually};

/// How many ask at a time.
const WORKERS: usize = 6;

/// How long one of them rests after an answer: the tests share the machine.
const REST: Duration = Duration::from_millis(5);

/// Requests for one path, until it is stopped or dropped.
pub(crate) struct Load {
    path: String,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    workers: Vec<JoinHandle<Vec<Answer>>>,
}

/// The outcome of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// The number of the visit that the page shows, or why there is no page.
    pub(crate) visit: Result<u64, String>,
}

/// The outcomes of all of them.
pub(crate) struct Answers {
    path: String,
    all: Vec<Answer>,
}

impl Load {
    /// Begins to ask for `path`.
    pub(crate) fn start(address: &str, path: &str) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let worker = |_| {
            let (stop, served) = (stop.clone(), served.clone());
            let (address, path) = (address.to_owned(), path.to_owned());
            thread::spawn(move || {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let visit = visit(&address, &path);
                    if visit.is_ok() {
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    answers.push(Answer {
                        began,
                        ended: Instant::now(),
                        visit,
                    });
                    thread::sleep(REST);
                }
                answers
            })
        };
        Self {
            path: path.into(),
            workers: (0..WORKERS).map(worker).collect(),
            stop,
            served,
        }
    }

    /// Waits until so many more requests were served.
    pub(crate) fn goes_on(&self, requests: usize) {
        let enough = self.served.load(Ordering::Relaxed) + requests;
        eventually(&format!("{requests} more requests are served"), || {
            (self.served.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }

    /// Ends it; requests under way are waited for.
    pub(crate) fn stop(mut self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        let workers = std::mem::take(&mut self.workers);
        let answers = workers.into_iter().flat_map(|w| w.join().unwrap());
        let mut all: Vec<_> = answers.collect();
        all.sort_by_key(|answer| answer.ended);
        Answers {
            path: std::mem::take(&mut self.path),
            all,
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // They end by themselves; a test that has failed does not wait for them.
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Asks for the page of a path; the number of the visit that it shows.
pub(crate) fn visit(address: &str, path: &str) -> Result<u64, String> {
    let response = get(address, path).map_err(|e| e.to_string())?;
    let text = response.text();
    if response.status != 200 {
        return Err(format!("{}: {}", response.status, text.trim()));
    }
    let number = text.split_once("<strong>").and_then(|(_, rest)| {
        let times = rest.split_once("</strong>")?.0;
        match times {
            "once" => Some(1),
            _ => times.strip_suffix(" times")?.parse().ok(),
        }
    });
    number.ok_or_else(|| format!("no page: {text}"))
}

impl Answers {
    pub(crate) fn failed(&self) -> impl DoubleEndedIterator<Item = &Answer> {
        self.all.iter().filter(|answer| answer.visit.is_err())
    }

    /// Checks that every request was served.
    pub(crate) fn none_failed(&self) {
        let (failed, of) = (self.failed().count(), self.all.len());
        let first = self.failed().next();
        assert!(
            first.is_none(),
            "{failed} of {of} requests failed: {first:?}"
        );
        assert!(of > 0, "there were no requests");
    }

    /// Checks that every request that began after `time` was served, and that there were some.
    pub(crate) fn none_failed_since(&self, time: Instant) {
        let since = || self.all.iter().filter(|answer| answer.began >= time);
        let failed = since().find(|answer| answer.visit.is_err());
        assert!(failed.is_none(), "it goes on to fail: {failed:?}");
        assert!(since().next().is_some(), "there were no requests");
    }

    /// Checks that no request took longer than its deadline allows.
    pub(crate) fn none_hung(&self, deadline: Duration) {
        let longest = self.all.iter().max_by_key(|a| a.ended - a.began);
        assert!(
            longest.is_none_or(|a| a.ended - a.began < deadline),
            "it took longer than {deadline:?}: {longest:?}"
        );
    }

    /// Checks that what `buckets` hold is what was answered: every answer is a visit of its own, and a
    /// request that failed is counted once or not at all.
    pub(crate) fn add_up(&self, lattice: &Lattice, buckets: &[&str]) {
        let counted = buckets.iter().map(|b| lattice.counted(b, &self.path));
        let counted: u64 = counted.sum();
        let served = self.all.len() - self.failed().count();
        let range = served as u64..=self.all.len() as u64;
        assert!(
            range.contains(&counted),
            "{counted} were counted, not {range:?}"
        );
        if buckets.len() == 1 {
            let visits = self.all.iter().filter_map(|a| a.visit.as_ref().ok());
            let different: BTreeSet<_> = visits.collect();
            assert_eq!(different.len(), served, "a visit was shown twice");
        }
    }

    /// Prints how long after `fault` the last request failed, for who wants to know.
    pub(crate) fn report(&self, fault: Instant, what: &str) {
        let last = self.failed().map(|a| a.ended).max();
        let after = last.map(|last| last.saturating_duration_since(fault));
        let (failed, of) = (self.failed().count(), self.all.len());
        eprintln!("measured: {what}: {failed} of {of} failed, the last {after:?} after it");
    }

    /// The longest time in which nothing was served.
    pub(crate) fn longest_gap(&self) -> Duration {
        let served = self.all.iter().filter(|a| a.visit.is_ok());
        let ends: Vec<_> = served.map(|a| a.ended).collect();
        let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or(LONG)
    }
}
