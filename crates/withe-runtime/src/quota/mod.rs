//! Shares the pool out, so that one tenant cannot take the host from another.
//!
//! Instances come from one pool, and a component that is called often enough, or that calls enough others, would
//! have all of it. So what is shared is counted at three levels: the component's, its application's and the host's
//! ([`ShareLevel`]). Each may have so much, and a component or an application no more than a share of the host's.
//!
//! All that calls cause is put down to the component that was entered from outside ([`Tenancy`]): its callees, and
//! theirs, count as its own. Rejected: counting each callee for itself, for then a component that everybody calls would
//! have a small share when it is called by everybody, and one that makes others work would have theirs.
//!
//! A component that finds its share taken waits in a line (`queue`), in which those come first whose component has
//! least; behind as many as may wait, it is refused, and told which limit that was. Two things never wait for long:
//! memory, since a guest that asks for it holds some already, and an instance for a nested call, whose caller holds
//! one.
//!
//! A call whose callees need instances while all are held by such calls would wait for ever. So each call keeps as
//! many slots from its beginning as calls of its component needed of late (`account::Account`).

mod account;
mod level;
mod limits;
mod log;
mod machine;
mod queue;
mod tenancy;

pub(crate) use account::{Account, CallUnderWay, HostQuota, KeepsIdle};
pub(crate) use level::{QuotaExceeded, Resource, ShareLevel};
pub use limits::ShareLimits;
pub(crate) use log::LineFate;
pub use machine::available_memory;
pub(crate) use tenancy::{GoesOn, Nested, Slot};

#[cfg(test)]
mod tests;
