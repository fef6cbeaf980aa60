//! Calls that people make of what runs on this host: which functions there are, and calling one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use withe_host::elsewhere::Served;
use withe_host::{FunctionPath, InvokeError, wave};
use withe_wit::{ExternItem, World};

use crate::served::Applications;

/// Calls what runs on a host. Clones are of the same host; it may outlive it, and then calls nothing.
#[derive(Clone)]
pub struct Calls(pub(crate) Applications);

/// A function that can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallableFunction {
    /// The export that has it; `None` for a function of the world.
    pub interface: Option<String>,
    /// Its name.
    pub name: String,
    /// Its type, as WIT.
    pub wit: String,
    /// The names and types of its parameters, as WIT.
    pub params: Vec<(String, String)>,
    /// The type of its result, if it has one.
    pub result: Option<String>,
}

/// Why something was not called, or gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallsError {
    /// Nothing of the application runs here.
    #[error("this host runs nothing of an application `{0}`")]
    NoApplication(String),
    /// The component does not run in this process.
    #[error("this host has no component `{component}` of `{application}`")]
    NoComponent {
        /// The application.
        application: String,
        /// The component.
        component: String,
    },
    /// The component has no such function.
    #[error("`{component}` exports no function `{function}`")]
    NoFunction {
        /// The component.
        component: String,
        /// The function.
        function: String,
    },
    /// The call failed.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
}

impl Calls {
    /// The functions that a component exports.
    ///
    /// # Errors
    ///
    /// If it does not run here.
    pub fn functions(
        &self,
        application: &str,
        component: &str,
    ) -> Result<Vec<CallableFunction>, CallsError> {
        let served = self.served(application)?;
        Ok(functions(world(&served, component)?))
    }

    /// Calls a function with arguments in WAVE or JSON, without the parentheses around them; returns the result in WAVE, which is
    /// empty if there is none.
    ///
    /// # Errors
    ///
    /// If there is no such function, the arguments are not what it takes, or the call fails.
    pub async fn call(
        &self,
        application: &str,
        component: &str,
        path: FunctionPath,
        arguments: &str,
        limit: Duration,
    ) -> Result<String, CallsError> {
        let served = self.served(application)?;
        let no_function = || CallsError::NoFunction {
            component: component.to_owned(),
            function: path.function.clone(),
        };
        let world = world(&served, component)?;
        let mut exports = world.exports.iter();
        let function = exports.find_map(|export| {
            let is_meant = match (&export.item, &path.interface) {
                (ExternItem::Function(_), None) => export.name == path.function,
                (ExternItem::Function(_), Some(_)) | (_, None) => false,
                (_, Some(interface)) => export.name == *interface,
            };
            let mut functions = export.functions().iter().filter(|_| is_meant);
            functions.find(|function| function.name == path.function)
        });
        let function = function.ok_or_else(no_function)?;
        let arguments = wave::check(&format!("({arguments})"), function)?;
        let graph = (served.graph.as_ref())
            .ok_or_else(|| InvokeError::NoComponent(component.to_owned()))?;
        let deadline = Instant::now() + limit;
        Ok(wave::call(graph, component, &path, &arguments, deadline).await?)
    }

    fn served(&self, application: &str) -> Result<Arc<Served>, CallsError> {
        let served = self.0.get(application);
        served.ok_or_else(|| CallsError::NoApplication(application.to_owned()))
    }
}

fn world<'s>(served: &'s Served, component: &str) -> Result<&'s World, CallsError> {
    let mut planned = served.plan.components.iter();
    let is_here = planned.any(|planned| planned.name == component && !planned.elsewhere);
    let world = served.parts.world(component).filter(|_| is_here);
    world.ok_or_else(|| CallsError::NoComponent {
        application: served.plan.application.clone(),
        component: component.to_owned(),
    })
}

fn functions(world: &World) -> Vec<CallableFunction> {
    let exports = world.exports.iter();
    let all = exports.flat_map(|export| {
        let interface = match &export.item {
            ExternItem::Function(_) => None,
            _ => Some(export.name.clone()),
        };
        let functions = export.functions().iter();
        functions.map(move |function| CallableFunction {
            interface: interface.clone(),
            name: function.name.clone(),
            wit: function.to_string(),
            params: (function.params.iter())
                .map(|(name, ty)| (name.clone(), ty.to_string()))
                .collect(),
            result: function.result.as_ref().map(ToString::to_string),
        })
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_listed_with_their_types() {
        let wit = [
            "package shop:api@1.0.0; interface cart { record item { name: string } total: func(items: list<item>) -> u32; }",
            "package t:t; world w { export shop:api/cart@1.0.0; export run: func(); }",
        ];
        let world = World::from_wit(&wit, "w").unwrap();
        let mut all = functions(&world);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let [run, total] = all.as_slice() else {
            panic!("{all:#?}")
        };
        assert_eq!((run.interface.as_deref(), run.name.as_str()), (None, "run"));
        assert_eq!(total.interface.as_deref(), Some("shop:api/cart@1.0.0"));
        assert_eq!(total.result.as_deref(), Some("u32"));
        assert_eq!(total.params[0].0, "items");
        assert!(total.params[0].1.starts_with("list<"), "{total:#?}");
    }
}
