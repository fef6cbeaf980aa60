//! Links that end at a provider of this process.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::time::timeout_at;
use withe_provider::{Call, FunctionName, LinkId, Provider};
use withe_rpc::{CallContext, CallError, LinkRequest, Payload, ServedLink, ServedSession};
use withe_runtime::Tracer;
use withe_runtime::trace::Hop;

/// Serves the link that is requested, to `provider`, which knows it as `id` with the functions `known`.
pub(super) fn link(
    provider: &Arc<dyn Provider>,
    id: LinkId,
    request: &LinkRequest,
    known: &[FunctionName],
    tracer: &Tracer,
) -> Result<Arc<dyn ServedLink>, CallError> {
    let functions = (request.functions)
        .iter()
        .map(|wanted| {
            let same =
                |f: &FunctionName| f.interface == wanted.interface && f.function == wanted.function;
            let number = known.iter().position(same).ok_or_else(|| {
                CallError::Unlinked(format!(
                    "`{}` of `{}` is not part of the link",
                    wanted.function, wanted.interface
                ))
            })?;
            let LinkRequest {
                application,
                target,
                ..
            } = request;
            let interface = Some(wanted.interface.as_str()).filter(|name| !name.is_empty());
            Ok(Function {
                number,
                hop: Hop::served(application, target, interface, &wanted.function),
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Arc::new(ProviderLink(Arc::new(ProviderEnd {
        provider: provider.clone(),
        link: id,
        importer: request.importer.clone(),
        functions,
        tracer: tracer.clone(),
    }))))
}

/// A link that ends at a provider of this process.
struct ProviderLink(Arc<ProviderEnd>);

struct ProviderEnd {
    provider: Arc<dyn Provider>,
    link: LinkId,
    importer: String,
    functions: Vec<Function>,
    tracer: Tracer,
}

/// A function of the link.
struct Function {
    /// The provider's number of it.
    number: usize,
    /// The hop of its calls' spans.
    hop: Hop,
}

impl ServedLink for ProviderLink {
    fn session(&self) -> Arc<dyn ServedSession> {
        self.0.clone()
    }
}

/// A provider has no state of one caller but the resources that it gave it, which the connection keeps.
impl ServedSession for ProviderEnd {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            let Some(Function { number, hop }) = self.functions.get(function) else {
                let why = format!("the link has no function number {function}");
                return Err(CallError::TypeMismatch(why));
            };
            let deadline = context.deadline;
            let mut span = self.tracer.enter(context.trace, || hop.span());
            let call = Call {
                link: self.link,
                function: *number,
                params,
                deadline,
                caller: &self.importer,
                trace: span.context(),
            };
            let called = timeout_at(deadline.into(), self.provider.call(call))
                .await
                .unwrap_or(Err(CallError::Deadline));
            span.note(called.as_ref().err());
            called
        })
    }

    fn drop_handle(self: Arc<Self>, id: u32) -> BoxFuture<'static, ()> {
        self.provider.drop_resource(self.link, id);
        Box::pin(std::future::ready(()))
    }
}
