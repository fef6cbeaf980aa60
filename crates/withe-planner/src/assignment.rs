//! Hosts, and which of them run what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
