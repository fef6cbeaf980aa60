//! Calls of an object store over a link.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use wasmtime::Result;
use withe_provider::{BlobError, BlobErrorKind, BlobStore};
use withe_rpc::{BoxFuture, CallContext, CallError};

use crate::core::InstanceState;
use crate::failure::LinkFailure;
use crate::links::{BlobLink, labels};
use crate::metrics::ErrorKind;
use crate::quota::CallUnderWay;
use crate::spec::LinkTarget;
use crate::trace::Hop;

/// The result that a component is told: the interface's errors are texts.
pub(super) type Told<T> = Result<T, String>;

/// A call that is about to be made.
pub(super) struct Asked {
    pub(super) link: Arc<BlobLink>,
    function: &'static str,
    context: CallContext,
    under_way: CallUnderWay,
}

/// The link that a function of the import with this `number` takes.
pub(super) fn choose(state: &InstanceState, number: usize) -> Result<Arc<BlobLink>, LinkFailure> {
    let import = &state.links.blobs[number];
    if let [only] = import.links.as_slice() {
        return Ok(only.clone());
    }
    let chosen = state.lattice.chosen(import.member, &import.interface);
    let mut links = import.links.iter();
    let found = links.find(|link| link.spec.name == chosen).cloned();
    found.ok_or_else(|| {
        let importer = &state.identity(import.member).component;
        let why = format!(
            "no link of `{}` is named `{chosen}`; choose one of {} with `set-link-name`",
            import.interface,
            import
                .links
                .iter()
                .map(|link| format!("`{}`", link.spec.name))
                .collect::<Vec<_>>()
                .join(" and "),
        );
        LinkFailure::unlinked(importer, &import.interface, CallError::Unlinked(why))
    })
}

impl Asked {
    /// Takes from the caller's store all that a call of `function` over `link` needs of it.
    ///
    /// # Errors
    ///
    /// If the component has too many calls under way.
    pub(super) fn new(
        state: &InstanceState,
        link: Arc<BlobLink>,
        function: &'static str,
    ) -> Result<Self, LinkFailure> {
        let account = &state.nested.tenancy.account;
        let under_way = account.call().map_err(|e| {
            let function = format!("{}.{function}", link.interface);
            LinkFailure::new(&link.spec, &function, e.into_call_error())
        })?;
        let deadline = state.deadline_of_call(Instant::now(), link.spec.timeout);
        Ok(Self {
            function,
            context: CallContext {
                deadline,
                trace: state.trace,
            },
            under_way,
            link,
        })
    }

    /// Makes the call. The call counts as under way until `call` has ended.
    pub(super) async fn call<T>(
        self,
        call: impl FnOnce(Arc<dyn BlobStore>, CallContext) -> BoxFuture<'static, Result<T, BlobError>>,
    ) -> Told<T> {
        self.keep(call).await.map(|(value, _)| value)
    }

    /// As [`call`](Self::call), and returns what says that it is under way: what a call leaves open, such as a value
    /// that is read or written, counts as long as it is.
    pub(super) async fn keep<T>(
        self,
        call: impl FnOnce(Arc<dyn BlobStore>, CallContext) -> BoxFuture<'static, Result<T, BlobError>>,
    ) -> Told<(T, CallUnderWay)> {
        let Self {
            link,
            function,
            mut context,
            under_way,
        } = self;
        let counted = link.counts.call(Instant::now(), 0);
        let mut span = link.tracer.hop(context.trace, || {
            Hop::link(
                &labels(&link.importer, &link.spec, &link.interface),
                function,
            )
            .span()
        });
        context.trace = span.context();
        let called = match link.store() {
            Ok(store) => timeout_at(context.deadline.into(), call(store, context))
                .await
                .unwrap_or_else(|_| Err(late(function))),
            Err(error) => Err(error),
        };
        counted.ended(called.as_ref().err().map(ErrorKind::from), 0);
        let failed = called.as_ref().err().map(as_call);
        span.note(failed.as_ref());
        match called {
            Ok(value) => Ok((value, under_way)),
            Err(error) => Err(error.message),
        }
    }
}

impl BlobLink {
    /// The provider's store of objects.
    fn store(&self) -> Result<Arc<dyn BlobStore>, BlobError> {
        let store = match &self.spec.target {
            LinkTarget::Provider { provider, link, .. } => provider.blob_store(*link),
            LinkTarget::Unit(_) | LinkTarget::Remote { .. } => None,
        };
        store.ok_or_else(|| {
            let target = &self.spec.target_name;
            let text =
                format!("`{target}` keeps no objects for this component, or the link was removed");
            BlobError::new(BlobErrorKind::Unavailable, text)
        })
    }

    /// The longest that anything of a body may take to come or to be taken.
    pub(super) fn patience(&self) -> Duration {
        self.spec.timeout
    }
}

/// The error of a call that took too long.
pub(super) fn late(function: &str) -> BlobError {
    let text = format!(
        "the object store did not answer in time (`{function}`); what was to be changed may or may not be"
    );
    BlobError::new(BlobErrorKind::Deadline, text)
}

/// A failure as spans tell them.
fn as_call(error: &BlobError) -> CallError {
    let text = error.message.clone();
    match error.kind {
        BlobErrorKind::Deadline => CallError::Deadline,
        BlobErrorKind::Exhausted => CallError::Exhausted(text),
        BlobErrorKind::Unavailable => CallError::Unreachable(text),
        _ => CallError::Refused(text),
    }
}
