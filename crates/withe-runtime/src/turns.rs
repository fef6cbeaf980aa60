//! Guests that run for long take turns, so that those that need the processor for a moment find it free.
//!
//! Every guest is interrupted at every tick and lets other tasks run, but thirty that spin are then thirty ticks to wait
//! for everybody else, again and again. So a guest that has run for [`FREE`] without a pause needs a lease on a seat,
//! and there is one seat fewer than the runtime has threads: on one of them, nobody spins. Leases last a slice, and
//! components take turns for them, each of them as often as every other, however many of its guests wait.
//!
//! A lease ends by the clock and is never given back. A guest that waits for something else keeps its seat until then,
//! and no call has to tell when a guest stops running and when it goes on, which would cost every call something.
//!
//! Rejected: threads with lower priorities for guests that run for long. A guest cannot change its thread while it runs,
//! and priorities of threads need privileges to be raised again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How long a guest runs before it needs a lease.
const FREE: Duration = Duration::from_millis(4);
/// How long a lease lasts.
const SLICE: Duration = Duration::from_millis(5);
/// A guest that was not interrupted for so long was not running: it begins anew.
const PAUSE: Duration = Duration::from_millis(50);
/// For how many components it is remembered when they had their turn, though none of their guests waits.
const REMEMBERED: usize = 1_000;

/// The seats of guests that run for long, and those that wait for one.
#[derive(Default)]
pub(crate) struct Turns {
    lines: Mutex<TurnLines>,
    /// How many wait, for whoever must not lock.
    waiting: AtomicUsize,
    /// Whether a guest was interrupted since this was asked last, and not for the first time.
    spinning: AtomicBool,
}

#[derive(Default)]
struct TurnLines {
    /// When the lease on each ends; none before the first guest asks.
    seats: Vec<Option<Instant>>,
    /// Those that wait, by their component; the one that had a turn last is the last.
    lines: VecDeque<(TurnOwner, VecDeque<oneshot::Sender<TurnLease>>)>,
}

/// The component whose turn it is.
pub(crate) type TurnOwner = usize;

/// A seat, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TurnLease {
    seat: usize,
    until: Instant,
}

/// How a guest stands: since when it has run, and on which lease.
#[derive(Default)]
pub(crate) struct GuestTurn {
    /// When it was first interrupted, and when last.
    ran: Option<(Instant, Instant)>,
    lease: Option<TurnLease>,
    /// The lease that it waited for.
    granted: Option<oneshot::Receiver<TurnLease>>,
}

impl GuestTurn {
    /// What the guest, which is interrupted `now`, has to wait for; nothing, if it may go on when others had their moment.
    pub(crate) fn interrupted(
        &mut self,
        turns: &Turns,
        owner: TurnOwner,
        now: Instant,
    ) -> Option<BoxFuture<'static, ()>> {
        if let Some(mut granted) = self.granted.take() {
            // Without one, it was its deadline that ended the wait.
            self.lease = granted.try_recv().ok();
        }
        let (first, last) = self.ran.unwrap_or((now, now));
        let began = self.lease.map(|lease| lease.until - SLICE);
        let last = began.map_or(last, |began| began.max(last));
        if self.ran.is_none() || now.saturating_duration_since(last) > PAUSE {
            self.ran = Some((now, now));
            return None;
        }
        self.ran = Some((first, now));
        turns.spinning.store(true, Ordering::Relaxed);
        let is_free = now.saturating_duration_since(first) < FREE;
        if is_free || self.lease.is_some_and(|lease| now < lease.until) {
            return None;
        }
        match turns.ask(owner, self.lease.take(), now) {
            Ok(lease) => {
                self.lease = Some(lease);
                None
            }
            Err(awaited) => {
                let (grant, granted) = oneshot::channel();
                self.granted = Some(granted);
                Some(Box::pin(async move {
                    if let Ok(lease) = awaited.await {
                        _ = grant.send(lease);
                    }
                }))
            }
        }
    }
}

impl Turns {
    /// Whether any guest ran for longer than a tick since this was asked last.
    pub(crate) fn were_needed(&self) -> bool {
        self.spinning.swap(false, Ordering::Relaxed)
    }

    /// Gives the seats to the next whose guests have gone, or wait for something else.
    pub(crate) fn look(&self, now: Instant) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            let mut lines = self.lock();
            self.serve(&mut lines, now);
        }
    }

    /// A lease in exchange for `held`, which has run out, or what to wait for.
    fn ask(
        &self,
        owner: TurnOwner,
        held: Option<TurnLease>,
        now: Instant,
    ) -> Result<TurnLease, oneshot::Receiver<TurnLease>> {
        let mut lines = self.lock();
        lines.make_seats();
        // In the line before the seat is free: whoever had it comes behind the others, also those of its component.
        let (to, mut awaited) = oneshot::channel();
        lines.line(owner).push_back(to);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Some(held) = held {
            lines.leave(held);
        }
        self.serve(&mut lines, now);
        awaited.try_recv().map_err(|_| awaited)
    }

    /// Gives free seats to those that wait.
    fn serve(&self, lines: &mut TurnLines, now: Instant) {
        while lines.anybody_waits()
            && let Some(lease) = lines.lease(now)
        {
            let mut given = false;
            while !given && let Some(next) = lines.next() {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                // One that has gone does not take it.
                given = next.send(lease).is_ok();
            }
            if !given {
                lines.leave(lease);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, TurnLines> {
        // Nothing panics while the lock is held.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TurnLines {
    /// All threads of the runtime have a seat but one; a runtime with one thread has one.
    fn make_seats(&mut self) {
        if self.seats.is_empty() {
            let threads =
                Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
            self.seats = vec![None; threads.saturating_sub(1).max(1)];
        }
    }

    /// A lease on a seat that nobody has, or has no longer.
    fn lease(&mut self, now: Instant) -> Option<TurnLease> {
        let is_free = |until: &Option<Instant>| until.is_none_or(|until| until <= now);
        let seat = self.seats.iter().position(is_free)?;
        let until = now + SLICE;
        self.seats[seat] = Some(until);
        Some(TurnLease { seat, until })
    }

    /// Frees the seat of a lease, unless somebody else has it by now.
    fn leave(&mut self, held: TurnLease) {
        if self.seats[held.seat] == Some(held.until) {
            self.seats[held.seat] = None;
        }
    }

    fn line(&mut self, owner: TurnOwner) -> &mut VecDeque<oneshot::Sender<TurnLease>> {
        let known = self.lines.iter().position(|(other, _)| *other == owner);
        let place = known.unwrap_or_else(|| {
            if self.lines.len() >= REMEMBERED {
                self.lines.retain(|(_, line)| !line.is_empty());
            }
            self.lines.push_back((owner, VecDeque::new()));
            self.lines.len() - 1
        });
        &mut self.lines[place].1
    }

    fn anybody_waits(&self) -> bool {
        self.lines.iter().any(|(_, line)| !line.is_empty())
    }

    /// The next whose turn it is: of those that wait, one of the component whose last turn is longest ago.
    fn next(&mut self) -> Option<oneshot::Sender<TurnLease>> {
        let waits = self.lines.iter().position(|(_, line)| !line.is_empty())?;
        let (owner, mut line) = self.lines.remove(waits)?;
        let next = line.pop_front();
        // Also if nobody is left in it: whoever has the seat now waits there next.
        self.lines.push_back((owner, line));
        next
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const TICK: Duration = Duration::from_millis(1);

    /// Guests that spin, each of its owner, on a runtime with one seat: how often each is interrupted while it runs.
    fn run(owners: &[TurnOwner], ticks: u32) -> Vec<u32> {
        let turns = Turns::default();
        let mut now = Instant::now();
        let mut guests: Vec<_> = owners
            .iter()
            .map(|owner| (*owner, GuestTurn::default(), None::<BoxFuture<'_, ()>>, 0))
            .collect();
        for _ in 0..ticks {
            now += TICK;
            turns.look(now);
            for (owner, guest, waits, ran) in &mut guests {
                if let Some(waiting) = waits
                    && waiting.now_or_never().is_none()
                {
                    continue;
                }
                *ran += 1;
                *waits = guest.interrupted(&turns, *owner, now);
            }
        }
        guests.into_iter().map(|(.., ran)| ran).collect()
    }

    #[test]
    fn one_that_runs_alone_is_never_kept_waiting() {
        assert_eq!(run(&[1], 100), [100]);
    }

    #[test]
    fn one_seat_is_shared_alike_by_components_and_not_by_guests() {
        let ran = run(&[1, 1, 1, 2], 2_000);
        let (many, few) = (ran[..3].iter().sum::<u32>(), ran[3]);
        assert!(many.abs_diff(few) < 200, "{ran:?}");
        // One is interrupted in the tick in which the next goes on.
        assert!(many + few < 2_500, "{ran:?}");
    }

    #[test]
    fn a_seat_whose_guest_has_gone_is_given_to_the_next() {
        let turns = Turns::default();
        let now = Instant::now();
        let held = turns.ask(1, None, now).unwrap();
        let mut waits = turns.ask(2, None, now).unwrap_err();
        turns.look(now + TICK);
        assert!(waits.try_recv().is_err(), "it is taken");
        turns.look(held.until);
        assert!(waits.try_recv().is_ok());
        // The first one's lease is over: it frees nothing of the second one's.
        assert!(turns.ask(1, Some(held), held.until).is_err());
    }

    #[test]
    fn one_that_waits_no_longer_is_passed_over() {
        let turns = Turns::default();
        let now = Instant::now();
        let held = turns.ask(1, None, now).unwrap();
        drop(turns.ask(2, None, now));
        let mut waits = turns.ask(3, None, now).unwrap_err();
        turns.look(held.until);
        assert!(waits.try_recv().is_ok());
    }

    #[test]
    fn a_guest_that_pauses_begins_anew() {
        let turns = Turns::default();
        let mut now = Instant::now();
        let _held = turns.ask(1, None, now).unwrap();
        let mut guest = GuestTurn::default();
        for _ in 0..100 {
            assert!(guest.interrupted(&turns, 2, now).is_none());
            now += 2 * PAUSE;
        }
    }
}
