//! Serves the parts of this host's applications, as they are now, to the other hosts of its lattice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use withe_host::elsewhere::{LinkKey, Served};
use withe_rpc::{CallContext, CallError, LinkRequest, Payload, Serve, ServedLink, ServedSession};

/// The applications that run here, by name. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Applications(Arc<ArcSwap<HashMap<String, Arc<Current>>>>);

/// The served parts of one application.
struct Current {
    served: Arc<Served>,
    /// The last server of each link that no longer exists: other hosts may have instances that began when it did.
    former: BTreeMap<LinkKey, Arc<Served>>,
}

impl Applications {
    /// From now on new sessions reach this of an application; none, if nothing of it runs here. True if there are
    /// links that were served before and are no more; they go on until they are [forgotten](Self::forget).
    pub(crate) fn set(&self, name: &str, served: Option<Arc<Served>>) -> bool {
        let current = served.map(|served| Arc::new(self.current(name, served)));
        let has_former = current.as_ref().is_some_and(|c| !c.former.is_empty());
        self.replace(name, current);
        has_former
    }

    /// Serves no links of an application any more but those that there are now.
    pub(crate) fn forget(&self, name: &str) {
        if let Some(served) = self.get(name) {
            let former = BTreeMap::new();
            self.replace(name, Some(Arc::new(Current { served, former })));
        }
    }

    /// The running part of an application.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Served>> {
        let all = self.0.load();
        all.get(name).map(|current| current.served.clone())
    }

    /// Only an application's own task sets it, so that nothing comes in between.
    fn replace(&self, name: &str, current: Option<Arc<Current>>) {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            match &current {
                Some(current) => all.insert(name.to_owned(), current.clone()),
                None => all.remove(name),
            };
            all
        });
    }

    fn current(&self, name: &str, served: Arc<Served>) -> Current {
        let incoming = |served: &Served| -> BTreeSet<LinkKey> {
            let links = served.plan.links.iter().filter(|link| link.incoming);
            links.map(LinkKey::of).collect()
        };
        let mut former = BTreeMap::new();
        if let Some(before) = self.0.load().get(name) {
            former.clone_from(&before.former);
            let links = incoming(&before.served);
            former.extend(links.into_iter().map(|link| (link, before.served.clone())));
        }
        let links = incoming(&served);
        former.retain(|link, _| !links.contains(link));
        Current { served, former }
    }
}

impl Current {
    fn link(&self, request: &LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        let served = match self.served.link(request.clone()) {
            Err(why @ CallError::Unlinked(_)) => why,
            served => return served,
        };
        let key = LinkKey {
            source: request.importer.clone(),
            target: request.target.clone(),
            name: request.name.clone(),
        };
        match self.former.get(&key) {
            Some(former) => former.link(request.clone()),
            None => Err(served),
        }
    }
}

impl Serve for Applications {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        let link = LiveLink {
            applications: self.clone(),
            made: Mutex::default(),
            request,
        };
        // A target that is missing now may be there at the call; a type mismatch is reported at once.
        match link.now() {
            Err(why @ CallError::TypeMismatch(_)) => Err(why),
            _ => Ok(Arc::new(link)),
        }
    }
}

/// A link to what runs here under its name: an application may be replaced while the link is used. Sessions
/// stay with what they began with.
struct LiveLink {
    applications: Applications,
    request: LinkRequest,
    made: Mutex<Option<Made>>,
}

/// The link, and what it was made of. The weak reference keeps no plan alive: a link that nobody uses is not
/// asked for again.
struct Made {
    of: Weak<Current>,
    link: Arc<dyn ServedLink>,
}

impl LiveLink {
    fn now(&self) -> Result<Arc<dyn ServedLink>, CallError> {
        let application = &self.request.application;
        let current = self.applications.0.load().get(application).cloned();
        let current = current.ok_or_else(|| {
            CallError::Unlinked(format!("nothing of `{application}` runs on this host"))
        })?;
        // Nothing panics while the lock is held.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made
            && std::ptr::eq(made.of.as_ptr(), &*current)
        {
            return Ok(made.link.clone());
        }
        let link = current.link(&self.request)?;
        *made = Some(Made {
            of: Arc::downgrade(&current),
            link: link.clone(),
        });
        Ok(link)
    }
}

impl ServedLink for LiveLink {
    fn session(&self) -> Arc<dyn ServedSession> {
        match self.now() {
            Ok(link) => link.session(),
            Err(why) => Arc::new(Refusing(why)),
        }
    }
}

/// A session with what is not there.
struct Refusing(CallError);

impl ServedSession for Refusing {
    fn call(
        self: Arc<Self>,
        _: usize,
        _: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(std::future::ready(Err(self.0.clone())))
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
