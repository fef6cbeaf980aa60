//! The functions of a provider's world, and what a link has of them.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use withe_rpc::codec::{DecodeError, Reader};
use withe_rpc::{BoxFuture, CallError, Payload, TraceContext};
use withe_wit::InterfaceName;

use crate::resources::{Borrow, Own, Resources};
use crate::{Call, FunctionName, Link, Peer, ProviderError};

/// The context of a call, besides its parameters.
#[derive(Debug)]
pub struct Context<'a> {
    /// When the caller stops waiting; the call is dropped then.
    pub deadline: Instant,
    /// The component that calls.
    pub caller: &'a str,
    /// The trace that the call is part of.
    pub trace: Option<TraceContext>,
    /// The function's interface, as the provider's WIT names it.
    pub interface: &'static str,
    /// The function.
    pub function: &'static str,
    resources: &'a Resources,
}

impl Context<'_> {
    /// Gives a resource to the component. The resource is kept until the component drops it, or the link is gone: make it the
    /// last thing that can fail.
    ///
    /// # Errors
    ///
    /// [`CallError::Exhausted`] if the component holds too many.
    pub fn own<T: Send + Sync + 'static>(&self, resource: T) -> Result<Own<T>, CallError> {
        self.resources.add(resource)
    }

    /// The resource that the component lends.
    ///
    /// # Errors
    ///
    /// [`CallError::TypeMismatch`] if it has no such resource.
    pub fn get<T: Send + Sync + 'static>(&self, handle: &Borrow<T>) -> Result<Arc<T>, CallError> {
        self.resources.get(handle)
    }

    /// The resource that the component hands over.
    ///
    /// # Errors
    ///
    /// [`CallError::TypeMismatch`] if it has no such resource.
    pub fn take<T: Send + Sync + 'static>(&self, handle: Own<T>) -> Result<Arc<T>, CallError> {
        self.resources.take(handle)
    }

    /// Reads the function's parameters.
    ///
    /// # Errors
    ///
    /// [`CallError::TypeMismatch`] if they are others.
    pub fn read<P>(
        &self,
        params: Payload,
        read: impl FnOnce(&mut Reader<'_>) -> Result<P, DecodeError>,
    ) -> Result<P, CallError> {
        params.take_with(read).map_err(|e| {
            let (interface, function) = (self.interface, self.function);
            CallError::TypeMismatch(format!("parameters of `{function}` of `{interface}`: {e}"))
        })
    }
}

/// Calls a function of `L`, what a provider has of a link: reads the parameters, and writes the result.
pub type Handler<L> =
    for<'a> fn(&'a L, &'a Context<'a>, Payload) -> BoxFuture<'a, Result<Payload, CallError>>;

/// The functions that a provider exports, which `L`, what it has of a link, implements.
///
/// [`generate!`](crate::generate) makes them from WIT.
pub struct Functions<L>(Vec<Function<L>>);

struct Function<L> {
    interface: &'static str,
    name: &'static str,
    handler: Handler<L>,
}

// Not derived, since `L` need not be what a pointer to its functions is.
impl<L> Clone for Function<L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Function<L> {}

impl<L> fmt::Debug for Function<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.interface, self.name)
    }
}

impl<L> fmt::Debug for Functions<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl<L> Default for Functions<L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L> Functions<L> {
    /// None yet.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a function: its interface with its version, and its name there, `[method]resource.name` for a method.
    pub fn add(&mut self, interface: &'static str, name: &'static str, handler: Handler<L>) {
        self.0.push(Function {
            interface,
            name,
            handler,
        });
    }

    /// The functions that a link's component imports.
    ///
    /// # Errors
    ///
    /// If the provider is not the link's target, or one of them is not there.
    pub fn of(&self, link: &Link) -> Result<Imported<L>, ProviderError> {
        let Peer::Importer(names) = &link.peer else {
            return Err(ProviderError(
                "the provider calls nothing: it must be the link's target".into(),
            ));
        };
        let found = names.iter().map(|name| self.find(name));
        found.collect::<Result<_, _>>().map(Imported)
    }

    /// The function that an importer means, which may have been built with another version of the interface.
    fn find(&self, wanted: &FunctionName) -> Result<Function<L>, ProviderError> {
        let wanted_interface: Option<InterfaceName> = wanted.interface.parse().ok();
        let is_it = |interface: &str| match (&wanted_interface, interface.parse()) {
            (Some(wanted), Ok(export)) => wanted.is_satisfied_by(&export),
            _ => wanted.interface == interface,
        };
        let found = (self.0.iter())
            .find(|function| function.name == wanted.function && is_it(function.interface));
        found.copied().ok_or_else(|| {
            let FunctionName {
                interface,
                function,
            } = wanted;
            ProviderError(format!("the provider has no `{function}` in `{interface}`"))
        })
    }
}

/// The functions that a link's component imports, by the numbers that its calls carry.
#[derive(Debug)]
pub struct Imported<L>(Vec<Function<L>>);

impl<L> Imported<L> {
    /// The link, with what the provider has of it.
    pub fn with(self, state: L) -> Linked<L> {
        Linked {
            state,
            functions: self.0,
            resources: Arc::default(),
        }
    }
}

/// One link of which a provider is the target.
#[derive(Debug)]
pub struct Linked<L> {
    /// The provider's state of it.
    pub state: L,
    functions: Vec<Function<L>>,
    resources: Arc<Resources>,
}

impl<L> Linked<L> {
    /// Takes over the resources that the component has of the link as it was before.
    pub fn replace(&mut self, before: &Self) {
        self.resources = before.resources.clone();
    }

    /// Serves a call.
    ///
    /// # Errors
    ///
    /// The function's own error, and one if the call is not one of the functions with its parameters.
    pub async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let function = self.functions.get(call.function).ok_or_else(|| {
            CallError::TypeMismatch(format!("the link has no function {}", call.function))
        })?;
        let context = Context {
            deadline: call.deadline,
            caller: call.caller,
            trace: call.trace,
            interface: function.interface,
            function: function.name,
            resources: &self.resources,
        };
        (function.handler)(&self.state, &context, call.params).await
    }

    /// The component dropped a resource.
    pub fn drop_resource(&self, number: u32) {
        self.resources.remove(number);
    }
}
