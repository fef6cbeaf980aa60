//! Events on a lattice, for people and programs that follow it (`withe events`).

use serde::{Deserialize, Serialize};

/// Something that happened, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// The name of the host that tells it.
    pub host: String,
    /// The host's id.
    pub host_id: String,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The host joined the lattice.
    Joined,
    /// The host leaves the lattice.
    Leaving,
    /// A host's lease ran out, or it left.
    HostGone {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
    },
    /// The host has become the one that decides where parts run.
    Controls,
    /// Where the parts of an application run was decided.
    Deployed {
        /// The application.
        application: String,
        /// The deployment's number.
        number: u64,
        /// The parts that no host may run, and why.
        unplaced: Vec<String>,
    },
    /// The host has linked its parts of an application; new calls take these links.
    Linked {
        /// The application.
        application: String,
        /// The number of the deployment that it follows.
        number: u64,
        /// How many links it has.
        links: usize,
    },
    /// The host could not do what it is to do for an application; it tries again.
    Failed {
        /// The application.
        application: String,
        /// Why.
        why: String,
    },
    /// The host ignores something in the lattice that concerns an application: nobody who may can have put it there.
    Ignored {
        /// The application.
        application: String,
        /// The entry that is ignored, and why.
        why: String,
    },
    /// The host ignores a record of the lattice that nobody who may has put, or removed.
    Untrusted {
        /// The record's key.
        record: String,
        /// Why it is ignored.
        why: String,
    },
    /// The lattice has lost an application that nobody has removed. The host goes on with its parts.
    Lost {
        /// The application.
        application: String,
    },
    /// The host has ended its parts of an application.
    Stopped {
        /// The application.
        application: String,
    },
}
