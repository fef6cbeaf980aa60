//! The hosts of the lattice as they are spoken of here: by id, by name, and by the way to them. `peers` keeps
//! track of them, and `placement` of the parts that run on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::records::HostRecord;

/// The hosts by id, with this one.
pub(crate) type Hosts = BTreeMap<String, Arc<HostRecord>>;

/// How a host is reached.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    /// Over TCP.
    pub(crate) tcp: bool,
    /// Over a Unix socket.
    pub(crate) unix: bool,
    pub(crate) same_machine: bool,
}

/// The names of hosts in messages, with their ids where two share a name.
pub(crate) struct Names<'a>(BTreeMap<&'a str, usize>);

impl<'a> Names<'a> {
    pub(crate) fn of(hosts: impl IntoIterator<Item = &'a HostRecord>) -> Self {
        let mut names = BTreeMap::new();
        for host in hosts {
            *names.entry(host.name.as_str()).or_default() += 1;
        }
        Self(names)
    }

    pub(crate) fn of_host(&self, host: &HostRecord) -> String {
        match self.0.get(host.name.as_str()) {
            Some(2..) => format!("{} ({})", host.name, host.id),
            _ => host.name.clone(),
        }
    }
}
