//! What others run on a lattice of wasmCloud v1, called by a provider here. There it may be a component; here it is a
//! provider that stands for it, and has a link that starts at another provider.

use std::sync::Arc;

use withe_provider::{
    BoxFuture, Call, CallContext, CallError, CallTarget, LinkId, Payload, Provider,
};

/// A provider as the target of another's calls.
pub(crate) struct CalledProvider {
    pub(crate) provider: Arc<dyn Provider>,
    /// The link between the two, as the called one knows it.
    pub(crate) link: LinkId,
    /// The name of the one that calls.
    pub(crate) caller: String,
}

impl CallTarget for CalledProvider {
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        let call = Call {
            link: self.link,
            function,
            params,
            deadline: context.deadline,
            caller: &self.caller,
            trace: context.trace,
        };
        self.provider.call(call)
    }
}
