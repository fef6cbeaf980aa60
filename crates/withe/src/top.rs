//! The views of `withe top`: the figures of a lattice on a terminal.
//!
//! * [`figures`]: tables of links, parts and hosts, sorted.
//! * [`screen`]: one frame of them, as large as the terminal, and what keys change of it.
//! * [`console`]: the terminal itself: its size, its keys, and that it is left as it was found.
//!
//! A frame is drawn anew with a few control sequences that every terminal has had since 1978. A library for that (ratatui with
//! crossterm) would bring a layout engine and twenty crates for three tables.

pub(crate) mod console;
pub(crate) mod figures;
pub(crate) mod screen;
