//! How a host takes part in a lattice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use withe_host::HostOptions;
use withe_trust::{MemberKey, SealKey, TrustRoot};

use crate::observation::Recent;
use crate::policy::AdmissionPolicy;
use crate::program_list::ProgramOptions;

/// How a host takes part in a lattice.
#[derive(Clone)]
pub struct NodeOptions {
    /// Its name, for people.
    pub name: String,
    /// Its labels, by which parts are placed.
    pub labels: BTreeMap<String, String>,
    /// Where it listens for other hosts; `None` if it cannot be reached directly.
    pub listen: Option<SocketAddr>,
    /// The addresses (`host:port`, or `host` for the port that it listens on) at which the others reach it,
    /// where they are not those that it finds itself.
    pub advertise: Vec<String>,
    /// Whether it listens at a Unix socket for the other hosts of its machine that are this user's.
    pub unix: bool,
    /// The URL of the lattice's NATS server, for providers of wasmCloud v1, which connect themselves.
    pub url: Option<String>,
    /// Whether hosts, providers and tools of wasmCloud v1 on the lattice may call the components here.
    pub wasmcloud: bool,
    /// The programs of providers that it runs.
    pub programs: ProgramOptions,
    /// The host's policy for the applications that it is given.
    pub policy: AdmissionPolicy,
    /// The lattice's key, where only records count that somebody who may has signed.
    pub trust: Option<TrustRoot>,
    /// The host's own key, with which it signs what it puts.
    pub key: Option<Arc<MemberKey>>,
    /// The lattice's key for secret values, without which applications that have some do not run here.
    pub seal_key: Option<Arc<SealKey>>,
    /// The last lines of its log and the last spans, for those on the lattice who look at it; `None` tells them what is
    /// counted, and no more.
    pub recent: Option<Recent>,
    /// How it runs applications.
    pub host: HostOptions,
}
