//! Why a host does not join a lattice.

use std::net::SocketAddr;

use withe_host::HostError;
use withe_lattice::LatticeError;
use withe_rpc::identity::IdentityError;

use crate::programs::ProgramsError;

/// Why a host does not join a lattice.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The host cannot run anything.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The lattice failed.
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    /// Other hosts cannot connect.
    #[error("cannot listen for other hosts at `{address}`: {why}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        why: std::io::Error,
    },
    /// The host cannot have the programs that it is to run.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// The host has no identity.
    #[error("cannot make an identity for this host: {0}")]
    Identity(IdentityError),
    /// The host cannot show its identity to hosts that call over NATS.
    #[error("cannot accept calls over NATS: {0}")]
    Tls(std::io::Error),
}
