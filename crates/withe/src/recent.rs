//! The last lines of this process's log, of what its components print, and its last spans: for those who look at the host
//! (`withe ui`, here or elsewhere on the lattice).
//!
//! There is one log in a process, which begins before the command knows what will run; so there is one of these, which
//! keeps nothing until a command says that a host runs here.

mod kept;
mod log;
mod printed;
mod spans;

pub(crate) use kept::keep;
pub(crate) use log::RecentLog;
pub(crate) use printed::{PrintedPieces, printed_line};
pub(crate) use spans::RecentSpans;
