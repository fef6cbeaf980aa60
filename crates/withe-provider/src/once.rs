//! Doing something once on a lattice.
//!
//! A provider may run on several hosts, which know nothing of each other. Where its host is on a lattice, a link to a
//! component also has a function of the host: it says of a moment whether this host is the first that asks for it. So it
//! goes the way of the link's calls, and is there for a provider in a process of its own, too.

use std::time::Instant;

use withe_rpc::codec::Encode as _;
use withe_rpc::{CallContext, CallError};

use crate::{CalledInterface, Callee, FunctionName};

/// The host's interface, of which a link has the one function [`CLAIM`]. No package of WIT is called so.
const INTERFACE: &str = "withe:host/once@0.1.0";
const CLAIM: &str = "claim";

/// Asks the lattice for a moment.
#[derive(Clone, Debug)]
pub struct Once(CalledInterface);

impl Once {
    /// Decides among the hosts that have a link; `None` if there are no others.
    pub fn of(callee: &Callee) -> Option<Self> {
        callee.interface(INTERFACE, &[CLAIM]).map(Self)
    }

    /// The function that a host adds to those of a link: its parameters are a text and a `u64`, its result a `bool`.
    pub fn function() -> FunctionName {
        FunctionName {
            interface: INTERFACE.into(),
            function: CLAIM.into(),
        }
    }

    /// Whether this host is the first to ask for the moment `millis`, in milliseconds since 1970, of what the provider
    /// calls `what` among what it does for the link. A moment before one that somebody has asked for is gone.
    ///
    /// # Errors
    ///
    /// If the lattice cannot be asked.
    pub async fn claim(
        &self,
        what: &str,
        millis: u64,
        deadline: Instant,
    ) -> Result<bool, CallError> {
        let context = CallContext {
            deadline,
            trace: None,
        };
        let write = |w: &mut withe_rpc::codec::Writer| {
            what.encode(w);
            millis.encode(w);
        };
        let (is_first,): (bool,) = self.0.call(0, write, context).await?;
        Ok(is_first)
    }
}
