//! A component that a provider calls, and an interface of it.

use std::fmt;
use std::sync::Arc;

use withe_rpc::codec::{Decode, Writer};
use withe_rpc::{CallContext, CallError};

use crate::{CallTarget, FunctionName};

/// The component at the other end of a link of which the provider is the source.
///
/// Wherever the component is, each call is as a request from outside is: it has an instance of its own, which is
/// fresh or was kept (`reuse`), unless the link's scope is `shared`. A call that is dropped is cancelled. A call is
/// made again, on another replica, only if it was certainly not begun. The link's `timeout` bounds every call, whatever
/// deadline it is given.
#[derive(Clone)]
pub struct Callee {
    functions: Arc<[FunctionName]>,
    target: Arc<dyn CallTarget>,
}

/// An interface of a component that a provider calls. [`generate!`](crate::generate) makes a `Client` of one, which
/// has the interface's functions with their types.
#[derive(Clone)]
pub struct CalledInterface {
    name: &'static str,
    /// The functions' names, and their numbers over the link.
    functions: Arc<[(&'static str, usize)]>,
    target: Arc<dyn CallTarget>,
}

impl Callee {
    /// A component that exports `functions`, and takes their calls by their places in this list.
    pub fn new(functions: Arc<[FunctionName]>, target: Arc<dyn CallTarget>) -> Self {
        Self { functions, target }
    }

    /// The functions that can be called, as the provider's WIT names them. All of an interface are there, or none.
    pub fn functions(&self) -> &Arc<[FunctionName]> {
        &self.functions
    }

    /// Where a function is called by its place in [`functions`](Self::functions).
    pub fn target(&self) -> &Arc<dyn CallTarget> {
        &self.target
    }

    /// The interface `name`, which has these functions; `None` if the link does not carry it.
    pub fn interface(
        &self,
        name: &'static str,
        functions: &[&'static str],
    ) -> Option<CalledInterface> {
        let number = |function: &&'static str| {
            let mut all = self.functions.iter();
            let number = all.position(|f| f.interface == name && f.function == *function)?;
            Some((*function, number))
        };
        let functions: Option<Arc<[_]>> = functions.iter().map(number).collect();
        Some(CalledInterface {
            name,
            functions: functions?,
            target: self.target.clone(),
        })
    }
}

impl CalledInterface {
    /// Calls the function that has this place among those of the interface. `write` writes its parameters.
    ///
    /// # Errors
    ///
    /// How the component or the way to it failed; [`CallError::TypeMismatch`] if the result is not of the type `R`.
    pub async fn call<R: Decode>(
        &self,
        function: usize,
        write: impl FnOnce(&mut Writer),
        context: CallContext,
    ) -> Result<R, CallError> {
        let Some((function, number)) = self.functions.get(function) else {
            let name = self.name;
            let why = format!("the client of `{name}` has no function {function}");
            return Err(CallError::TypeMismatch(why));
        };
        let mut writer = Writer::default();
        write(&mut writer);
        let result = self.target.call(*number, writer.finish(), context).await?;
        result.take().map_err(|e| {
            let name = self.name;
            CallError::TypeMismatch(format!("the result of `{function}` of `{name}`: {e}"))
        })
    }
}

impl fmt::Debug for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Callee").field(&self.functions).finish()
    }
}

impl fmt::Debug for CalledInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CalledInterface").field(&self.name).finish()
    }
}
