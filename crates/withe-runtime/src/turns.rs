//! Guests that run for long take turns, so that those that need the processor for a moment find it free.
//!
//! Every guest is interrupted at every tick and lets other tasks run, but thirty that spin are then thirty ticks to wait
//! for everybody else, again and again. So the task of a guest that has run for [`FREE`] needs a permit to go on, and
//! there is one permit fewer than the runtime has threads: on one of them, nobody spins. Components have permits in
//! turns, each of them as often as every other, however many of its guests wait.
//!
//! A permit is held while a task is polled, which a tick ends, and never while a guest waits for something. Leases of
//! several ticks were tried: two guests that call each other all the time waited for each other's at each call.
//!
//! Rejected: threads with lower priorities for guests that run for long. A guest cannot change its thread while it runs,
//! and priorities of threads need privileges to be raised again.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::inside;

/// How long a guest runs before it needs permits.
const FREE: Duration = Duration::from_millis(4);
/// A guest that runs for less at a time waits mostly for something else, and is not counted.
const SHORT: Duration = Duration::from_micros(500);
/// A guest that has only run for moments since then begins anew.
const PAUSE: Duration = Duration::from_millis(50);
/// For how many components it is remembered when they had their turn, though none of their guests waits.
const REMEMBERED: usize = 1_000;

/// The permits of guests that run for long, and those that wait for one.
#[derive(Default)]
pub(crate) struct Turns {
    lines: Mutex<TurnLines>,
    /// Whether a guest has run for long since this was asked last.
    needed: AtomicBool,
}

#[derive(Default)]
struct TurnLines {
    /// Permits that nobody has; not known before the first guest asks.
    free: Option<usize>,
    /// The guests that wait, by their component; the one that had a turn last is the last.
    lines: VecDeque<(TurnOwner, VecDeque<oneshot::Sender<TurnPermit>>)>,
}

/// The component whose turn it is.
pub(crate) type TurnOwner = usize;

/// Lets a guest that runs for long go on until this is dropped.
struct TurnPermit(Arc<Turns>);

/// How long a guest has run, and what it waits for.
struct GuestTurn {
    turns: Arc<Turns>,
    owner: TurnOwner,
    ran: Duration,
    /// When it last ran for more than a moment.
    last: Instant,
    awaited: Option<oneshot::Receiver<TurnPermit>>,
}

/// The future of a guest of `owner`, which takes turns with others once it has run for long.
pub(crate) async fn taking<F: Future>(turns: Arc<Turns>, owner: TurnOwner, guest: F) -> F::Output {
    let mut guest = pin!(guest);
    let mut turn = GuestTurn::new(turns, owner);
    poll_fn(|cx| turn.poll(cx, guest.as_mut())).await
}

impl GuestTurn {
    fn new(turns: Arc<Turns>, owner: TurnOwner) -> Self {
        Self {
            turns,
            owner,
            ran: Duration::ZERO,
            last: Instant::now(),
            awaited: None,
        }
    }

    fn poll<F: Future>(&mut self, cx: &mut Context<'_>, guest: Pin<&mut F>) -> Poll<F::Output> {
        let permit = match self.permit(cx) {
            Poll::Ready(permit) => permit,
            Poll::Pending => return Poll::Pending,
        };
        let began = Instant::now();
        let polled = inside::poll_guest(|| guest.poll(cx));
        drop(permit);
        self.ran(began, Instant::now());
        polled
    }

    /// A permit, if the guest needs one.
    fn permit(&mut self, cx: &mut Context<'_>) -> Poll<Option<TurnPermit>> {
        if self.ran < FREE {
            return Poll::Ready(None);
        }
        if self.awaited.is_none() {
            match self.turns.ask(self.owner) {
                Ok(permit) => return Poll::Ready(Some(permit)),
                Err(awaited) => self.awaited = Some(awaited),
            }
        }
        let Some(awaited) = &mut self.awaited else {
            return Poll::Ready(None);
        };
        let given = match Pin::new(awaited).poll(cx) {
            Poll::Ready(given) => given,
            Poll::Pending => return Poll::Pending,
        };
        self.awaited = None;
        // The turns are there as long as this is, and give each that waits a permit.
        Poll::Ready(given.ok())
    }

    /// The guest has run from one moment to another.
    fn ran(&mut self, began: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(began);
        if took >= SHORT {
            self.ran += took;
            self.last = ended;
            if self.ran >= FREE {
                self.turns.needed.store(true, Ordering::Relaxed);
            }
        } else if ended.saturating_duration_since(self.last) > PAUSE {
            self.ran = Duration::ZERO;
        }
    }
}

impl Turns {
    /// Whether any guest has run for long since this was asked last.
    pub(crate) fn were_needed(&self) -> bool {
        self.needed.swap(false, Ordering::Relaxed)
    }

    /// A permit, or what to wait for.
    fn ask(
        self: &Arc<Self>,
        owner: TurnOwner,
    ) -> Result<TurnPermit, oneshot::Receiver<TurnPermit>> {
        let mut lines = self.lock();
        let free = lines.free.get_or_insert_with(permits);
        if *free > 0 {
            *free -= 1;
            lines.had_turn(owner);
            return Ok(TurnPermit(self.clone()));
        }
        let (to, awaited) = oneshot::channel();
        lines.line(owner).push_back(to);
        Err(awaited)
    }

    fn lock(&self) -> MutexGuard<'_, TurnLines> {
        // Nothing panics while the lock is held.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TurnPermit {
    fn drop(&mut self) {
        // The next one's, if anybody waits. One that goes in this moment does not take it: then it comes back here, with
        // nothing locked.
        let next = {
            let mut lines = self.0.lock();
            let next = lines.next();
            if next.is_none()
                && let Some(free) = &mut lines.free
            {
                *free += 1;
            }
            next
        };
        if let Some(next) = next {
            _ = next.send(TurnPermit(self.0.clone()));
        }
    }
}

/// All threads of the runtime have a permit but one; a runtime with one thread has one.
fn permits() -> usize {
    let threads = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
    threads.saturating_sub(1).max(1)
}

impl TurnLines {
    fn line(&mut self, owner: TurnOwner) -> &mut VecDeque<oneshot::Sender<TurnPermit>> {
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

    /// `owner` has a turn without having waited.
    fn had_turn(&mut self, owner: TurnOwner) {
        self.line(owner);
        let known = self.lines.iter().position(|(other, _)| *other == owner);
        if let Some(line) = known.and_then(|place| self.lines.remove(place)) {
            self.lines.push_back(line);
        }
    }

    /// The next whose turn it is: of those that wait, one of the component whose last turn is longest ago.
    fn next(&mut self) -> Option<oneshot::Sender<TurnPermit>> {
        loop {
            let waits = self.lines.iter().position(|(_, line)| !line.is_empty())?;
            let next = self.lines[waits].1.pop_front()?;
            // Guests that have gone are passed over.
            if !next.is_closed() {
                // The line moves even if nobody is left in it: the permit's present holder waits there next.
                let line = self.lines.remove(waits)?;
                self.lines.push_back(line);
                return Some(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// The number of the receiver that was given a permit, which is given back.
    fn given(waiting: &mut [oneshot::Receiver<TurnPermit>]) -> Option<usize> {
        let mut all = waiting.iter_mut().enumerate();
        all.find_map(|(n, awaited)| awaited.try_recv().ok().map(|_| n))
    }

    #[test]
    fn components_have_turns_alike_however_many_of_their_guests_wait() {
        let turns = Arc::new(Turns::default());
        let first = turns.ask(1).ok().unwrap();
        let mut waiting: Vec<_> = [1, 1, 1, 2, 2]
            .map(|owner| turns.ask(owner).err().unwrap())
            .into();
        drop(first);
        let order: Vec<_> = std::iter::from_fn(|| given(&mut waiting)).collect();
        assert_eq!(order, [0, 3, 1, 4, 2]);
        assert!(turns.ask(3).is_ok(), "all are given back");
    }

    #[test]
    fn whoever_had_its_turn_comes_behind_those_that_wait() {
        let turns = Arc::new(Turns::default());
        let held = turns.ask(1).ok().unwrap();
        let mut other = turns.ask(2).err().unwrap();
        drop(held);
        let held = other.try_recv().unwrap();
        let mut first = turns.ask(2).err().unwrap();
        let mut second = turns.ask(1).err().unwrap();
        drop(held);
        assert!(first.try_recv().is_err());
        drop(second.try_recv().unwrap());
        assert!(first.try_recv().is_ok());
    }

    #[test]
    fn one_that_waits_no_longer_is_passed_over() {
        let turns = Arc::new(Turns::default());
        let held = turns.ask(1).ok().unwrap();
        drop(turns.ask(2));
        let mut waits = turns.ask(3).err().unwrap();
        drop(held);
        drop(waits.try_recv().unwrap());
        assert!(turns.ask(1).is_ok());
    }

    #[test]
    fn only_one_that_runs_for_long_needs_a_permit() {
        let turns = Arc::new(Turns::default());
        let _held = turns.ask(1).ok().unwrap();
        let mut guest = GuestTurn::new(turns.clone(), 2);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut now = Instant::now();
        let mut run = |guest: &mut GuestTurn, time: Duration| {
            guest.ran(now, now + time);
            now += time;
        };
        for _ in 0..100 {
            run(&mut guest, SHORT / 2);
        }
        assert!(!turns.were_needed());
        assert!(guest.permit(&mut cx).is_ready());
        for _ in 0..4 {
            run(&mut guest, Duration::from_millis(1));
        }
        assert!(turns.were_needed());
        assert!(guest.permit(&mut cx).is_pending());
        run(&mut guest, Duration::ZERO);
        // Such as one that slept.
        let later = now + 2 * PAUSE;
        guest.ran(later, later);
        assert!(guest.permit(&mut cx).is_ready());
    }

    #[test]
    fn what_a_guest_returns_is_returned() {
        let turns = Arc::new(Turns::default());
        assert_eq!(taking(turns, 1, async { 7 }).now_or_never(), Some(7));
    }
}
