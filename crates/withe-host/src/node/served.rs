//! What a host serves to the others of its lattice: the parts of its applications, as they are now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use withe_rpc::{CallContext, CallError, LinkRequest, Payload, Serve, ServedLink, ServedSession};

use crate::serve::Served;

/// The applications that run here, by name. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Applications(Arc<ArcSwap<HashMap<String, Arc<Served>>>>);

impl Applications {
    /// From now on new sessions reach this of an application; none, if nothing of it runs here.
    pub(super) fn set(&self, name: &str, served: Option<Arc<Served>>) {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            match &served {
                Some(served) => all.insert(name.to_owned(), served.clone()),
                None => all.remove(name),
            };
            all
        });
    }

    /// What runs of an application.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Served>> {
        self.0.load().get(name).cloned()
    }
}

impl Serve for Applications {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        let link = LiveLink {
            applications: self.clone(),
            made: Mutex::default(),
            request,
        };
        // What is not there now may be there when it is called; what does not fit is said at once.
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

/// The link, and what it was made of.
struct Made {
    of: Arc<Served>,
    link: Arc<dyn ServedLink>,
}

impl LiveLink {
    fn now(&self) -> Result<Arc<dyn ServedLink>, CallError> {
        let served = self
            .applications
            .get(&self.request.application)
            .ok_or_else(|| {
                CallError::Unlinked(format!(
                    "nothing of `{}` runs on this host",
                    self.request.application
                ))
            })?;
        // Nothing panics while the lock is held.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made
            && Arc::ptr_eq(&made.of, &served)
        {
            return Ok(made.link.clone());
        }
        let link = served.link(self.request.clone())?;
        *made = Some(Made {
            of: served,
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
