//! The host on a lattice: it tells what it is and runs, hears what is desired, makes its part of that run,
//! and calls and is called by the other hosts.
//!
//! Everything here is level-triggered: a task looks at what is there and does what is missing, and does so
//! again whenever something changes. Nothing depends on having seen a change.
//!
//! * [`records`]: what is in the lattice; [`desired`]: putting and changing it; [`links`]: changes of links.
//! * `table` and `peers`: what this host has heard, of applications and of other hosts; `hosts`: how these are
//!   spoken of.
//! * [`placement`]: what follows from where parts run for each host.
//! * `library`: the applications that were read here.
//! * `controller`: where parts run; one host at a time decides it. `quarantine`: which parts no further host is given for
//!   a while.
//! * `apps`: what this host runs of each application; `served`: what others may call of it.
//! * [`policy`]: which applications this host accepts, and what it lets them have; `admission`: what they
//!   ask for; `real_path`: where that leads.
//! * [`sealing`]: the secret values of records, which are sealed there.
//! * [`secrets`]: secrets that the lattice keeps, each version sealed.
//! * `vouching`: which records this host acts on, and how it signs its own.
//! * [`program_list`]: the programs of providers that an operator lets a host run; [`programs`]: how it has them.
//! * `wasmcloud`: what wasmCloud v1 has of this host: components here, and what its tools show.
//! * [`events`]: events for listeners; [`requests`]: requests to a host; [`observation`]: its answers to observers;
//!   [`calls`]: calls that people make of what runs here.
//! * `this_host`: what the tasks have in common; `tasks`: those that hear and tell; `node`: all of it, from joining
//!   to leaving.

mod address;
mod admission;
mod apps;
mod beside;
pub mod calls;
mod claims;
mod clock;
mod controller;
pub mod desired;
mod error;
pub mod events;
mod hosts;
mod library;
pub mod links;
mod node;
pub mod observation;
mod options;
mod peers;
pub mod placement;
pub mod policy;
pub mod program_list;
pub mod programs;
mod quarantine;
mod real_path;
pub mod records;
pub mod requests;
pub mod sealing;
pub mod secrets;
mod served;
#[cfg(test)]
mod simulation;
mod table;
mod tasks;
mod this_host;
mod vouching;
mod wasmcloud;

pub use error::NodeError;
pub use node::Node;
pub use options::NodeOptions;
