//! The half of a connection that client and server share: begin, write, serve streams, watch that the
//! peer is alive, and end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::budget::{Budget, Pool};
use crate::frame::{self, Frame, Kind, Parting, Violation};
use crate::hello::{self, Accepts};
use crate::inbox::Inbox;
use crate::outbox::{Outbox, STREAMS_AHEAD, Signal};
use crate::streams::{Handles, Side, Streams};
use crate::transport::{Duplex, KeepAlive};
use crate::{CallError, Limits};

/// How long saying good-bye may take.
const PARTING: Duration = Duration::from_secs(1);

/// How many streams are served before others have their turn to run.
const TURNS: usize = 64;

/// Why the other side cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    /// The peer broke the protocol.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The peer sent nothing in this time.
    #[error("the other side did not say who it is within {} s", .0.as_secs_f32())]
    Silent(Duration),
}

/// The parts of a connection that are the same on both sides.
pub(crate) struct Core {
    pub(crate) out: Outbox,
    pub(crate) streams: Streams,
    /// The payloads that have come and cannot be passed on yet.
    pub(crate) budget: Arc<Budget>,
    /// Answers that the other side has not taken.
    pub(crate) answers: Arc<Budget>,
    pub(crate) limits: Limits,
    /// The limits that the peer announced.
    pub(crate) accepts: Accepts,
    side: Side,
    signal: Arc<Signal>,
    started: Instant,
    /// When something came last, in milliseconds after `started`.
    heard: AtomicU64,
    pinged: AtomicBool,
}

impl Core {
    /// Exchanges first frames. A server's connections share a `pool`.
    ///
    /// # Errors
    ///
    /// Why the other side cannot be talked to.
    pub(crate) async fn begin(
        duplex: Duplex,
        side: Side,
        limits: &Limits,
        pool: Option<Arc<Pool>>,
    ) -> Result<(Self, Inbox), BeginError> {
        let limits = &watched(limits, duplex.keep_alive);
        let signal = Arc::new(Signal::default());
        let out = Outbox::new(duplex.writer, signal.clone(), limits.queue);
        let mut inbox = Inbox::new(duplex.reader);
        let begun = timeout(limits.connect, async {
            // The server waits to hear who is there, so that it tells strangers nothing.
            if side == Side::Client {
                out.push(|bytes| hello::put(bytes, limits));
                out.flush();
            }
            let accepts = first(&mut inbox).await?;
            if side == Side::Server {
                out.push(|bytes| hello::put(bytes, limits));
                out.flush();
            }
            Ok::<_, Violation>(accepts)
        });
        match begun.await {
            Ok(Ok(accepts)) => {
                let budget = || Arc::new(Budget::new(limits.unfinished, pool.clone()));
                let (budget, answers) = (budget(), budget());
                let streams = Streams::new(
                    side,
                    accepts.streams,
                    limits,
                    budget.clone(),
                    signal.clone(),
                );
                let core = Self {
                    out,
                    streams,
                    budget,
                    answers,
                    limits: limits.clone(),
                    accepts,
                    side,
                    signal,
                    started: Instant::now(),
                    heard: AtomicU64::new(0),
                    pinged: AtomicBool::new(false),
                };
                Ok((core, inbox))
            }
            Ok(Err(violation)) => {
                part(&out, violation.parting, &violation.text).await;
                Err(violation.into())
            }
            Err(_) => Err(BeginError::Silent(limits.connect)),
        }
    }

    /// Notes that something came.
    pub(crate) fn heard(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(now, Ordering::Relaxed);
        self.pinged.store(false, Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(heard)
    }

    /// Takes a frame that is treated alike on both sides; gives back any other.
    ///
    /// # Errors
    ///
    /// Returns the [`Violation`] when the frame breaks the protocol.
    pub(crate) fn on_frame<'a>(
        &self,
        header: &frame::Header,
        frame: Frame<'a>,
        handles: &dyn Handles,
    ) -> Result<Option<Frame<'a>>, Violation> {
        let (id, out) = (header.id, &self.out);
        match frame {
            Frame::Ping => {
                if out.len() > 2 * self.limits.queue {
                    return Err(Violation::exhausted("answers are asked for, but not taken"));
                }
                out.push_empty(Kind::Pong, id);
            }
            // Any frame proves that the peer is alive; these say nothing else.
            Frame::Pong | Frame::Unknown => {}
            Frame::Credit(n) => self.streams.on_credit(id, n)?,
            Frame::Close => self.streams.on_close(id, out)?,
            Frame::Failed(why) => self.streams.on_failed(id, why, out)?,
            Frame::Data(count, part) => {
                self.streams
                    .on_data(id, header.flags, count, part, out, handles)?;
            }
            frame => return Ok(Some(frame)),
        }
        Ok(None)
    }

    /// Writes, serves streams and watches, for as long as the connection lasts. Returns why it does not
    /// any more.
    pub(crate) async fn drive(&self, handles: &dyn Handles) -> String {
        let every = self.limits.keep_alive.min(self.limits.answer) / 2;
        let every = every.max(Duration::from_millis(1));
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch::new(every);
        loop {
            self.serve(handles).await;
            if let Some(why) = self.out.failed() {
                return why.to_owned();
            }
            tokio::select! {
                biased;
                () = self.signal.raised() => {}
                _ = ticks.tick() => {
                    if let Some(why) = watch.look(self) {
                        return why.into();
                    }
                }
            }
        }
    }

    async fn serve(&self, handles: &dyn Handles) {
        loop {
            let mut turns = 0;
            while turns < TURNS
                && self.out.len() < STREAMS_AHEAD
                && self.streams.serve_one(&self.out, handles)
            {
                turns += 1;
            }
            self.out.flush();
            if turns == 0 || self.out.failed().is_some() {
                return;
            }
            // There may be more streams to serve; but calls have their turn first.
            tokio::task::yield_now().await;
        }
    }

    /// Says why the connection ends, as far as the other side takes it in time, and ends it.
    pub(crate) async fn part(&self, parting: Parting, text: &str) {
        part(&self.out, parting, text).await;
    }

    /// The error for calls and streams under way when the connection ends.
    pub(crate) fn lost(&self, endpoint: &str, why: &str) -> CallError {
        CallError::Unreachable(format!("the connection to {endpoint} was lost: {why}"))
    }
}

/// The limits, with what the transport asks for.
fn watched(limits: &Limits, keep_alive: Option<KeepAlive>) -> Limits {
    let mut limits = limits.clone();
    if let Some(KeepAlive { after, answer }) = keep_alive {
        limits.keep_alive = limits.keep_alive.min(after);
        limits.answer = limits.answer.min(answer);
    }
    limits
}

/// Watches whether the other side is there.
struct Watch {
    /// How often it looks, and when it did last.
    every: Duration,
    looked: Instant,
    /// When it was asked.
    asked: Instant,
    /// How much it had taken, and when that was last more than before.
    written: u64,
    taken: Instant,
}

impl Watch {
    fn new(every: Duration) -> Self {
        let now = Instant::now();
        Self {
            every,
            looked: now,
            asked: now,
            written: 0,
            taken: now,
        }
    }

    /// Asks if it is time to; says why the connection is dead, if it is.
    fn look(&mut self, core: &Core) -> Option<&'static str> {
        let limits = &core.limits;
        let since = std::mem::replace(&mut self.looked, Instant::now()).elapsed();
        if since > 3 * self.every {
            // This process was stopped, or its machine: frames from meanwhile are still to be read.
            core.heard();
            self.taken = Instant::now();
            return None;
        }
        let written = core.out.written();
        if written != self.written || core.out.is_empty() {
            (self.written, self.taken) = (written, Instant::now());
        }
        if self.taken.elapsed() > limits.silence() {
            return Some("the other side takes nothing any more");
        }
        let silent = core.silent_for();
        if core.side == Side::Server {
            return (silent > limits.silence()).then_some("the other side has gone silent");
        }
        if core.pinged.load(Ordering::Relaxed) {
            let overdue = self.asked.elapsed() > limits.answer;
            return overdue.then_some("the other side does not answer any more");
        }
        if silent > limits.keep_alive {
            self.asked = Instant::now();
            core.pinged.store(true, Ordering::Relaxed);
            core.out.push_empty(Kind::Ping, 0);
            core.out.flush();
        }
        None
    }
}

async fn part(out: &Outbox, parting: Parting, text: &str) {
    out.push(|bytes| frame::put_goodbye(bytes, parting, text));
    // A peer that takes nothing does not have to be told.
    _ = timeout(PARTING, out.shut_down()).await;
}

/// Reads the other side's first frame.
async fn first(inbox: &mut Inbox) -> Result<Accepts, Violation> {
    loop {
        if let Some(header) = inbox.peek() {
            if header.kind == Kind::Goodbye as u8 {
                // A side that cannot talk to us says why.
                if let Some((header, body)) = inbox.next()? {
                    let Frame::Goodbye(parting, text) = Frame::read(&header, body)? else {
                        return Err(Violation::protocol("the first frame is none"));
                    };
                    return Err(Violation { parting, text });
                }
            } else if !hello::is_plausible(&header) {
                return Err(Violation::protocol(
                    "the other side does not speak this protocol",
                ));
            } else if let Some((header, body)) = inbox.next()? {
                return hello::read(&header, body);
            }
        }
        if !fill(inbox).await? {
            return Err(Violation::protocol(
                "the other side ended the connection before it said who it is",
            ));
        }
    }
}

async fn fill(inbox: &mut Inbox) -> Result<bool, Violation> {
    inbox
        .fill()
        .await
        .map_err(|e| Violation::protocol(describe(&e)))
}

/// Why reading failed, in words.
pub(crate) fn describe(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => "it ended in the middle of a frame".into(),
        _ => e.to_string(),
    }
}
