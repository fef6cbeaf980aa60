//! Why a host does not join a lattice.

use std::net::SocketAddr;

use withe_host::HostError;
use withe_lattice::LatticeError;
use withe_rpc::identity::IdentityError;

/// Why a host does not join a lattice.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// It cannot run anything.
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
    /// It has no place for programs.
    #[error("there is no place for the lattice's programs: {0}")]
    Programs(std::io::Error),
    /// It has no identity.
    #[error("cannot make an identity for this host: {0}")]
    Identity(IdentityError),
}
