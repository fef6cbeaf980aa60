//! Links that end at a provider of this process.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::time::timeout_at;
use withe_provider::{Call, FunctionName, LinkId, Provider};
use withe_rpc::{CallContext, CallError, LinkFunction, Payload, ServedLink, ServedSession};

/// Serves a link to `provider`, which knows it as `id` with the functions `known`.
pub(super) fn link(
    provider: &Arc<dyn Provider>,
    id: LinkId,
    importer: &str,
    known: &[FunctionName],
    functions: &[LinkFunction],
) -> Result<Arc<dyn ServedLink>, CallError> {
    let numbers = functions
        .iter()
        .map(|wanted| {
            let same =
                |f: &FunctionName| f.interface == wanted.interface && f.function == wanted.function;
            known.iter().position(same).ok_or_else(|| {
                CallError::Unlinked(format!(
                    "`{}` of `{}` is not part of the link",
                    wanted.function, wanted.interface
                ))
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Arc::new(ProviderLink(Arc::new(Linked {
        provider: provider.clone(),
        link: id,
        importer: importer.into(),
        numbers,
    }))))
}

/// A link that ends at a provider of this process.
struct ProviderLink(Arc<Linked>);

struct Linked {
    provider: Arc<dyn Provider>,
    link: LinkId,
    importer: String,
    /// The provider's number of each function of the link.
    numbers: Vec<usize>,
}

impl ServedLink for ProviderLink {
    fn session(&self) -> Arc<dyn ServedSession> {
        self.0.clone()
    }
}

/// A provider has no state of one caller but the resources that it gave it, which the connection keeps.
impl ServedSession for Linked {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            let Some(function) = self.numbers.get(function).copied() else {
                let why = format!("the link has no function number {function}");
                return Err(CallError::TypeMismatch(why));
            };
            let deadline = context.deadline;
            let call = Call {
                link: self.link,
                function,
                params,
                deadline,
                caller: &self.importer,
                trace: context.trace,
            };
            timeout_at(deadline.into(), self.provider.call(call))
                .await
                .unwrap_or(Err(CallError::Deadline))
        })
    }

    fn drop_handle(self: Arc<Self>, id: u32) -> BoxFuture<'static, ()> {
        self.provider.drop_resource(self.link, id);
        Box::pin(std::future::ready(()))
    }
}
