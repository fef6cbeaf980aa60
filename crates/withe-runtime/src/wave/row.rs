//! Calls in a row: a function that returns a resource, and then functions of that resource.
//!
//! A resource ends with its instance, so a call by itself can neither take nor return one. The calls of a row share an
//! instance, which ends with the row. A session as processes have them (`serve`) was the other way: there are many callers, and handles have to
//! outlive calls that fail; here the first failure ends the row.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::types::ComponentFunc;
use wasmtime::component::wasm_wave;
use wasmtime::component::wasm_wave::wasm::WasmFunc;
use wasmtime::component::{ResourceAny, Type, Val};

use super::arguments;
use crate::core::Graph;
use crate::invoke::{FunctionPath, Invocation, InvokeError, InvokeTarget, handle};

/// One call of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowCall {
    /// The function.
    pub path: FunctionPath,
    /// Its arguments in WAVE, such as `(1, "a")`, without the resource that the call before it returned.
    pub arguments: String,
    /// Whether that resource is its first parameter.
    pub takes_resource: bool,
}

/// The outcome of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowResult {
    /// The call whose result it is: the last, or one that returned an error, or nothing, in the place of a resource.
    pub call: usize,
    /// The result's text; empty if there is none.
    pub text: String,
}

/// Why a row gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct RowError {
    /// The call that failed.
    pub call: usize,
    /// Why.
    #[source]
    pub error: InvokeError,
}

/// Makes `calls` one after the other, all on one instance of the unit whose root is `component`.
///
/// # Errors
///
/// If one of them fails: which, and why. No call behind it is made.
pub async fn call_in_row(
    graph: &Arc<Graph>,
    component: &str,
    calls: &[RowCall],
    deadline: Instant,
) -> Result<RowResult, RowError> {
    let at = |call| move |error| RowError { call, error };
    let find = |(call, made): (usize, &RowCall)| {
        InvokeTarget::find(graph, component, &made.path).map_err(at(call))
    };
    let targets = calls.iter().enumerate().map(find);
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    let (Some(first), Some(target)) = (calls.first(), targets.first()) else {
        let nothing = InvokeError::NoFunction("no function is named".into());
        return Err(at(0)(nothing));
    };
    let mut under_way = 0;
    let run = async |context| {
        let mut row = Row {
            invocation: target.begin(context).await?,
            held: None,
        };
        for (call, (target, made)) in targets.iter().zip(calls).enumerate() {
            under_way = call;
            row.invocation.turn_to(target)?;
            let is_last = call + 1 == calls.len();
            if let Some(text) = row.make(made, is_last).await? {
                return Ok(RowResult { call, text });
            }
        }
        Err(InvokeError::NoFunction("no function is named".into()))
    };
    let result = target.traced(&first.path, deadline, run).await;
    result.map_err(at(under_way))
}

/// A row whose calls are being made.
struct Row<'a> {
    invocation: Invocation<'a>,
    /// The resource that was returned last, unless a call took it.
    held: Option<ResourceAny>,
}

impl Row<'_> {
    /// Makes a call: its text, if the row ends with it.
    async fn make(&mut self, call: &RowCall, is_last: bool) -> Result<Option<String>, InvokeError> {
        let ty = self.invocation.ty();
        let name = &call.path.function;
        if let Some(kind) = ty.results().find_map(|ty| handle(&ty)).filter(|_| is_last) {
            return Err(InvokeError::Handles {
                function: name.clone(),
                kind,
            });
        }
        let mut params: Vec<Val> = Vec::new();
        let given = match call.takes_resource {
            true => {
                let (Some(held), Some((_, first))) = (self.held, ty.params().next()) else {
                    return Err(InvokeError::Types(format!(
                        "there is no resource for `{name}`"
                    )));
                };
                if matches!(first, Type::Own(_)) {
                    self.held = None;
                }
                params.push(Val::Resource(held));
                1
            }
            false => 0,
        };
        params.extend(arguments::parse::<Val, _>(
            &call.arguments,
            name,
            &Rest { ty: &ty, given },
        )?);
        let result = self.invocation.make(&params, &ty).await?;
        let Some(result) = result else {
            return Ok(is_last.then(String::new));
        };
        match resource(result) {
            Ok(returned) => {
                if let Some(before) = self.held.replace(returned) {
                    self.invocation.drop_resource(before).await?;
                }
                Ok(None)
            }
            Err(value) if is_last || ends(&value, &ty) => {
                let text = wasm_wave::to_string(&value);
                text.map(Some)
                    .map_err(|e| InvokeError::Types(e.to_string()))
            }
            Err(_) => Ok(None),
        }
    }
}

/// The resource that a result is, or holds where it might have held an error, or nothing.
fn resource(value: Val) -> Result<ResourceAny, Val> {
    match value {
        Val::Resource(resource) => Ok(resource),
        Val::Option(Some(held)) => resource(*held).map_err(|held| Val::Option(Some(held.into()))),
        Val::Result(Ok(Some(held))) => {
            resource(*held).map_err(|held| Val::Result(Ok(Some(held.into()))))
        }
        other => Err(other),
    }
}

/// Whether a value stands in the place of the resource that a result of its type may hold.
fn ends(value: &Val, ty: &ComponentFunc) -> bool {
    let holds = |ty: Option<Type>| matches!(ty, Some(Type::Own(_)));
    match (value, ty.results().next()) {
        (Val::Option(None), Some(Type::Option(option))) => holds(Some(option.ty())),
        (Val::Result(Err(_)), Some(Type::Result(result))) => holds(result.ok()),
        _ => false,
    }
}

/// A function without the first of its parameters, which are given.
#[derive(Clone)]
struct Rest<'a> {
    ty: &'a ComponentFunc,
    given: usize,
}

impl WasmFunc for Rest<'_> {
    type Type = Type;

    fn params(&self) -> Box<dyn Iterator<Item = Type> + '_> {
        Box::new(self.ty.params().map(|(_, ty)| ty).skip(self.given))
    }

    fn param_names(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        let names = self.ty.params().map(|(name, _)| Cow::from(name));
        Box::new(names.skip(self.given))
    }

    fn results(&self) -> Box<dyn Iterator<Item = Type> + '_> {
        Box::new(self.ty.results())
    }
}
