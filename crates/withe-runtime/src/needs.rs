//! The permits that an instance of a unit needs before it may run, and turns for those that wait.
//!
//! An instance of a unit is one of each component in it, and of one that is in it twice, two. If it took its
//! permits one by one as they come, two units with the same components in opposite orders could each hold what
//! the other waits for, and a component that is in a unit twice could hold its only permit and wait for it. So
//! all that a unit needs of one component is taken at once, and components have one order for all units.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;
use withe_rpc::CallError;

use crate::error::RuntimeError;
use crate::permits::InstanceLimit;
use crate::spec::Member;

/// The permits that an instance of a unit needs before it may run.
pub(crate) struct Needs(Vec<Need>);

struct Need {
    component: String,
    limit: Arc<InstanceLimit>,
    count: u32,
}

impl Needs {
    /// The needs of one instance of `unit`, made of `members`.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Instances`] if the unit needs more instances of a component than may ever run.
    pub(crate) fn of(unit: &str, members: &[Member]) -> Result<Self, RuntimeError> {
        let mut needs: Vec<Need> = Vec::new();
        for member in members {
            let Some(limit) = &member.instances else {
                continue;
            };
            match needs.iter_mut().find(|n| Arc::ptr_eq(&n.limit, limit)) {
                Some(need) => need.count += 1,
                None => needs.push(Need {
                    component: member.identity.component.clone(),
                    limit: limit.clone(),
                    count: 1,
                }),
            }
        }
        // The order in which all units take them: names are unique within a graph.
        needs.sort_by(|a, b| a.component.cmp(&b.component));
        match needs.iter().find(|need| need.count > need.limit.most()) {
            None => Ok(Self(needs)),
            Some(need) => Err(RuntimeError::Instances {
                unit: unit.to_owned(),
                component: need.component.clone(),
                needed: need.count,
                most: need.limit.most(),
            }),
        }
    }

    /// Waits until one more instance may run.
    pub(crate) async fn acquire(
        &self,
        deadline: Instant,
    ) -> Result<Vec<OwnedSemaphorePermit>, CallError> {
        let mut permits = Vec::with_capacity(self.0.len());
        for Need {
            component,
            limit,
            count,
        } in &self.0
        {
            match timeout_at(deadline.into(), limit.acquire(*count)).await {
                Ok(Ok(permit)) => permits.push(permit),
                Ok(Err(_)) => {
                    return Err(CallError::Unreachable(format!("`{component}` is stopping")));
                }
                Err(_) => {
                    return Err(CallError::Exhausted(format!(
                        "all instances of `{component}` stayed busy until the deadline"
                    )));
                }
            }
        }
        Ok(permits)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use withe_linker::input::ConfigMap;

    use super::*;
    use crate::spec::Identity;

    fn member(component: &str, limit: &Arc<InstanceLimit>) -> Member {
        Member {
            identity: Arc::new(Identity {
                application: "shop".into(),
                component: component.into(),
                config: ConfigMap::new(),
                secrets: Default::default(),
                env: Vec::new(),
            }),
            instances: Some(limit.clone()),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[tokio::test]
    async fn a_component_that_occurs_twice_gets_both_permits_or_none() {
        let limit = Arc::new(InstanceLimit::new(2));
        let twice = [member("a", &limit), member("a", &limit)];
        let needs = Needs::of("a", &twice).unwrap();
        let other = limit.acquire(1).await.unwrap();
        let waiting = needs.acquire(soon());
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(other);
        assert!(waiting.await.is_ok());
    }

    #[test]
    fn what_can_never_run_is_refused() {
        let limit = Arc::new(InstanceLimit::new(1));
        let members = [member("root", &limit), member("root", &limit)];
        let error = Needs::of("root", &members).map(drop).unwrap_err();
        insta::assert_snapshot!(error);
    }

    /// Each holds what the other waits for, unless both take them in one order.
    #[tokio::test]
    async fn units_with_opposite_orders_do_not_wait_for_each_other() {
        let (a, b) = (
            Arc::new(InstanceLimit::new(1)),
            Arc::new(InstanceLimit::new(1)),
        );
        let one = Needs::of("a", &[member("a", &a), member("b", &b)]).unwrap();
        let two = Needs::of("b", &[member("b", &b), member("a", &a)]).unwrap();
        let (held_a, held_b) = (a.acquire(1).await.unwrap(), b.acquire(1).await.unwrap());
        let (first, second) = (one.acquire(soon()), two.acquire(soon()));
        tokio::pin!(first, second);
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        // An instance that took permits one by one would have this one now.
        drop(held_b);
        assert!(futures::poll!(&mut second).is_pending());
        assert!(futures::poll!(&mut first).is_pending());
        drop(held_a);
        drop(first.await.unwrap());
        drop(second.await.unwrap());
    }
}
