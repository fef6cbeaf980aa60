//! A row of calls, compared with what a component exports.

use anyhow::Context as _;
use withe_host::FunctionPath;
use withe_host::wave::{self, RowCall};
use withe_wit::{Function, ResourceRef, Type, World};

use super::expression::{CallExpression, CallRow};
use super::find::{FindError, FoundFunction, ends, find, find_on, returned, taken};

/// The functions to call: as found, or, for a component that could not be read, as written.
pub(super) struct CheckedRow {
    pub(super) component: String,
    pub(super) calls: Vec<RowCall>,
    /// The functions' names, as they were written.
    pub(super) names: Vec<String>,
    /// The types of their results, if they have one that can be printed.
    pub(super) results: Vec<Option<Type>>,
}

impl CheckedRow {
    /// The functions of `component`, whose world this is, that are meant.
    ///
    /// # Errors
    ///
    /// If there is none, or the arguments are not what it takes.
    pub(super) fn of(
        component: &str,
        world: Option<&World>,
        written: &CallRow,
    ) -> anyhow::Result<Self> {
        let mut row = Self {
            component: component.to_owned(),
            calls: Vec::new(),
            names: written.0.iter().map(|call| call.function.clone()).collect(),
            results: Vec::new(),
        };
        let Some(world) = world else {
            // Why it could not be read is said with all that is wrong.
            row.calls = written.0.iter().enumerate().map(unread).collect();
            return Ok(row);
        };
        let mut held: Option<ResourceRef> = None;
        for (at, call) in written.0.iter().enumerate() {
            let calling = || row.calling(at);
            let found = match &held {
                Some(resource) => find_on(world, resource, call),
                None if at == 0 => find(component, world, call),
                None => Err(FindError::NoResource {
                    written: call.function.clone(),
                }),
            };
            let found = found.with_context(calling)?;
            if at + 1 == written.0.len() {
                ends(world, found, call).with_context(calling)?;
            }
            let checked = check(found, call).with_context(calling)?;
            if let Some((_, Type::Own(_))) = found.function.params.first() {
                held = None;
            }
            held = returned(found.function).cloned().or(held);
            row.calls.push(checked);
            row.results.push(printed(found.function));
        }
        Ok(row)
    }

    /// The words for one of the calls.
    pub(super) fn calling(&self, at: usize) -> String {
        let name = self.names.get(at).map_or("", String::as_str);
        format!("calling `{name}` of `{}`", self.component)
    }
}

/// A call of a component that could not be read.
fn unread((at, call): (usize, &CallExpression)) -> RowCall {
    RowCall {
        path: FunctionPath {
            interface: call.interface.clone(),
            function: call.function.clone(),
        },
        arguments: format!("({})", call.arguments),
        takes_resource: at > 0,
    }
}

/// The type of a function's result, so far as it can be printed: in the place of a resource there may be an error, or nothing.
fn printed(function: &Function) -> Option<Type> {
    let result = function.result.clone()?;
    if returned(function).is_none() {
        return Some(result);
    }
    match result {
        Type::Result(_, error) => Some(Type::Result(None, error)),
        Type::Option(_) => Some(Type::Option(Type::Bool.into())),
        _ => None,
    }
}

/// Compares a call's arguments with the function.
fn check(found: FoundFunction<'_>, call: &CallExpression) -> anyhow::Result<RowCall> {
    let takes_resource = taken(found.function).is_some();
    // The part that people write, and the result that can be printed.
    let function = found.function;
    let written = Function {
        params: function.params[usize::from(takes_resource)..].to_vec(),
        result: printed(function),
        ..function.clone()
    };
    Ok(RowCall {
        path: FunctionPath {
            interface: found.interface.map(ToOwned::to_owned),
            function: function.name.clone(),
        },
        arguments: wave::check(&format!("({})", call.arguments), &written)?,
        takes_resource,
    })
}
