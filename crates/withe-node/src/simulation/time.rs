//! The time of day in a simulation: that of Tokio's paused clock, which jumps when it is told to.

use std::cell::Cell;

use tokio::time::Instant;

/// Some time in 2026.
const BEGIN: u64 = 1_780_000_000_000;

thread_local! {
    static CLOCK: Cell<Option<SimulatedClock>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct SimulatedClock {
    began: Instant,
    /// How far it has jumped, in milliseconds.
    jumped: i64,
}

/// Sets the clock of this thread, which a simulation has for itself.
pub(super) fn start() {
    let began = Instant::now();
    CLOCK.set(Some(SimulatedClock { began, jumped: 0 }));
}

/// Lets the clock jump by so many milliseconds.
pub(super) fn jump(by: i64) {
    CLOCK.set(CLOCK.get().map(|clock| SimulatedClock {
        jumped: clock.jumped + by,
        ..clock
    }));
}

/// Milliseconds since 1970, if this thread has a simulation.
pub(crate) fn millis() -> Option<u64> {
    let clock = CLOCK.get()?;
    let passed = u64::try_from(clock.began.elapsed().as_millis()).unwrap();
    Some((BEGIN + passed).saturating_add_signed(clock.jumped))
}
