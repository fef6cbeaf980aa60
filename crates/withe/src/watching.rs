//! The work of a lattice's hosts now, for `withe ui` and `withe top`.
//!
//! A watcher asks: the lattice what is desired and runs there, whenever that changes, and each host, once a second,
//! what it has counted and what was said since. A host says how often something has happened; how often it happens in a
//! second is computed here ([`rates`]), so that hosts keep nothing for those who look. Nobody is asked while nobody
//! looks.

pub(crate) mod rates;
pub(crate) mod state;
pub(crate) mod traces;
pub(crate) mod watcher;

pub(crate) use state::LatticeState;
pub(crate) use watcher::{Wants, Watcher};
