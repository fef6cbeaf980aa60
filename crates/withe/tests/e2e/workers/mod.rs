//! Components that other processes serve: what happens when one of the processes dies, hangs or is
//! replaced, and that nothing is left of what is over.

mod callers;
mod chain;
mod death;
mod leaks;
mod relink;
mod start;
mod stop;

use crate::support::rig::{Rig, eventually, is_busy, kill, kill_now, proc, send, stop_now};
