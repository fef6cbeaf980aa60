//! A lattice of each kind, and several who meet there.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use withe_lattice::embedded::serve;
use withe_lattice::nats::Options;
use withe_lattice::{Attached, Embedded, Nats, SharedLattice};
use withe_testing::nats::NatsServer;

/// How long leases live here: long enough to be renewed on a busy machine, and to be waited for.
pub(crate) const LEASE: Duration = Duration::from_millis(1500);

/// Two members of one lattice, which for some kinds are the same.
pub(crate) struct Fixture {
    pub(crate) a: SharedLattice,
    pub(crate) b: SharedLattice,
    /// The resources that the lattice depends on.
    _kept: Box<dyn Any + Send>,
}

impl Fixture {
    pub(crate) async fn memory() -> Self {
        Self::of(Embedded::in_memory("test").unwrap(), ())
    }

    pub(crate) async fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lattice.redb");
        Self::of(Embedded::open("test", path).unwrap(), folder)
    }

    /// One is attached to the other.
    pub(crate) async fn attached() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("lattice.sock");
        let lattice = Embedded::in_memory("test").unwrap().with_lease(LEASE);
        let serving = serve(lattice.clone(), &socket).await.unwrap();
        Self {
            a: Arc::new(Attached::connect(&socket).await.unwrap()),
            b: Arc::new(lattice),
            _kept: Box::new((folder, serving)),
        }
    }

    pub(crate) async fn nats() -> Self {
        let server = NatsServer::start().unwrap();
        let mut options = Options::new(server.url(), "test");
        options.lease = LEASE;
        Self {
            // Both make the buckets at once.
            a: Arc::new(Nats::connect(options.clone()).await.unwrap()),
            b: Arc::new(Nats::connect(options).await.unwrap()),
            _kept: Box::new(server),
        }
    }

    fn of(lattice: Embedded, kept: impl Send + 'static) -> Self {
        let lattice = lattice.with_lease(LEASE);
        Self {
            a: Arc::new(lattice.clone()),
            b: Arc::new(lattice),
            _kept: Box::new(kept),
        }
    }
}
