//! Work that is done once, though several hosts have the same link: the function that a host adds to the links of its
//! providers ([`withe_provider::Once`]), and what decides it.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::timeout_at;
use withe_linker::plan::PlannedLink;
use withe_provider::{BoxFuture, CallContext, CallError, CallTarget, FunctionName, Once, Payload};

/// The most things of a link that are claimed: each has an entry in the lattice.
const MOST: usize = 4_096;

/// Decides among the hosts that run the same provider.
#[async_trait]
pub trait Claims: Send + Sync + 'static {
    /// Whether nobody has claimed the moment `millis` of `claimed`, or a later one, before.
    ///
    /// # Errors
    ///
    /// Why that cannot be known.
    async fn claim(&self, claimed: &Claimed, millis: u64) -> Result<bool, CallError>;
}

/// The name of the claimed work: the same on all hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claimed {
    /// The application.
    pub application: String,
    /// The provider, the component and the link's name.
    pub link: [String; 3],
    /// The name of the link's work, as the provider calls it.
    pub what: String,
}

/// A component that a provider calls, with the host's own function behind those of the component.
pub(crate) struct WithClaims {
    component: Box<dyn CallTarget>,
    /// The number of the host's function.
    own: usize,
    application: String,
    link: [String; 3],
    claims: Arc<dyn Claims>,
    known: Known,
}

/// The things of a link that were claimed, by their hashes.
#[derive(Default)]
struct Known {
    hasher: RandomState,
    hashes: Mutex<HashSet<u64>>,
}

impl Known {
    /// Whether `what` was claimed before, or may be besides.
    fn has_room_for(&self, what: &str) -> bool {
        // Nothing panics while it is held.
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = self.hasher.hash_one(what);
        hashes.contains(&hash) || hashes.len() < MOST && hashes.insert(hash)
    }
}

impl WithClaims {
    /// Adds the function to `names`, those of `component`.
    pub(crate) fn add(
        names: &mut Vec<FunctionName>,
        component: Box<dyn CallTarget>,
        application: &str,
        link: &PlannedLink,
        claims: Arc<dyn Claims>,
    ) -> Self {
        let own = names.len();
        names.push(Once::function());
        Self {
            component,
            own,
            application: application.to_owned(),
            link: [&link.source, &link.target, &link.name].map(String::clone),
            claims,
            known: Known::default(),
        }
    }

    async fn claim(&self, params: Payload, context: CallContext) -> Result<Payload, CallError> {
        let (what, millis) = params
            .read::<(String, u64)>()
            .map_err(|e| CallError::TypeMismatch(e.to_string()))?;
        if !self.known.has_room_for(&what) {
            return Err(CallError::Exhausted(format!(
                "a provider claims more than {MOST} things of one link"
            )));
        }
        let claimed = Claimed {
            application: self.application.clone(),
            link: self.link.clone(),
            what,
        };
        let claim = self.claims.claim(&claimed, millis);
        let is_first = timeout_at(context.deadline.into(), claim).await;
        let is_first = is_first.unwrap_or(Err(CallError::Deadline))?;
        Ok(Payload::of(&(is_first,)))
    }
}

impl CallTarget for WithClaims {
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        match function == self.own {
            true => Box::pin(self.claim(params, context)),
            false => self.component.call(function, params, context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_claims_so_many_things_and_each_again_and_again() {
        let known = Known::default();
        for _ in 0..2 {
            assert!((0..MOST).all(|n| known.has_room_for(&n.to_string())));
        }
        assert!(!known.has_room_for("one more"));
    }
}
