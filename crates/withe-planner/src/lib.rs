//! Where the parts of an application run: a pure function of what is desired and what is observed.
//!
//! [`Wish`] is what an application asks of its hosts, [`place`] finds hosts for it, and [`transition`] says
//! what to do next: hosts that are new to a part take it on before those leave it that it had.
//!
//! * A part whose scaler names labels runs on hosts that have them: a `daemonscaler`'s on every one, a
//!   `spreadscaler`'s on as many as its instances need.
//! * A component without such a scaler runs wherever those run that call it: there its links are cheapest.
//! * A provider without one, and a component that all its callers share, run on one host: what they hold
//!   is in one place.
//! * A part stays where it runs as long as it may.

mod assignment;
mod neighbours;
mod order;
mod place;
mod served;
mod share;
mod transition;
mod wish;

pub use assignment::{Assignment, HostView, Share};
pub use place::{NoHost, Placed, Unplaced, place};
pub use served::served;
pub use transition::transition;
pub use wish::{PartWish, Spread, Where, Wish};
