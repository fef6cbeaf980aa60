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
//! * What runs somewhere stays there as long as it may.

mod place;
mod transition;
mod wish;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use place::{Placed, Unplaced, place};
pub use transition::transition;
pub use wish::{PartWish, Spread, Where, Wish};

/// A host as placing sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    /// Its id, which no other host has.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How many parts of other applications it runs.
    pub load: usize,
}

/// On which hosts each part runs, by the part's name and the host's id.
pub type Assignment = BTreeMap<String, BTreeMap<String, Share>>;

/// A host's share of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How many instances may run there at a time; `None` is as many as fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
}

/// Parts that other hosts call on `host`: where a part's caller runs somewhere that the part does not.
/// `links` are pairs of source and target.
pub fn served(assignment: &Assignment, links: &[(String, String)], host: &str) -> BTreeSet<String> {
    let hosts = |part: &String| assignment.get(part).into_iter().flat_map(BTreeMap::keys);
    let runs = |part: &String, host: &str| {
        assignment
            .get(part)
            .is_some_and(|hosts| hosts.contains_key(host))
    };
    links
        .iter()
        .filter(|(_, target)| runs(target, host))
        .filter(|(source, target)| hosts(source).any(|other| !runs(target, other)))
        .map(|(_, target)| target.clone())
        .collect()
}
