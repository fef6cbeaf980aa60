//! Calling an export with values written as text (WAVE), for the command line.
//!
//! The text can be checked before anything is compiled ([`check`]), with the types that were read from the component;
//! the call itself takes the text again, with Wasmtime's. Both ways go through one parser with one set of messages
//! (`arguments`). Scripts write JSON (`json`), which is turned to WAVE's text before the call, and back behind it.

mod arguments;
mod json;
mod row;
mod types;

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value as Json;
use wasmtime::component::Val;
use wasmtime::component::wasm_wave;
use wasmtime::component::wasm_wave::value::Value;
use wasmtime::component::wasm_wave::wasm::WasmFunc as _;
use withe_wit::{Function, Type};

use crate::core::Graph;
use crate::invoke::{FunctionPath, InvokeError, InvokeTarget};
pub use row::{RowCall, RowError, RowResult, call_in_row};

/// Calls `path` of the unit whose root is `component` with `args`, such as `(1, "a")`; returns the
/// result's text, empty if there is none.
///
/// # Errors
///
/// See [`InvokeError`].
pub async fn call(
    graph: &Arc<Graph>,
    component: &str,
    path: &FunctionPath,
    args: &str,
    deadline: Instant,
) -> Result<String, InvokeError> {
    let target = InvokeTarget::find(graph, component, path)?;
    let run = async |context| {
        let call = target.begin(context).await?;
        let ty = call.plain()?;
        let params: Vec<Val> = arguments::parse(args, &path.function, &ty)?;
        call.call(&params, &ty).await
    };
    match target.traced(path, deadline, run).await? {
        Some(result) => {
            wasm_wave::to_string(&result).map_err(|e| InvokeError::Types(e.to_string()))
        }
        None => Ok(String::new()),
    }
}

/// The arguments `args` of a call of `function`, such as `(1, "a")`, in WAVE: as they are written, or from JSON.
///
/// # Errors
///
/// If it cannot be called from outside, or they are not what it takes.
pub fn check(args: &str, function: &Function) -> Result<String, InvokeError> {
    let Some(ty) = types::function(function)? else {
        // WAVE has no text for some type of it: for the call to say, which knows all of them.
        return Ok(args.to_owned());
    };
    let as_wave: Result<Vec<Value>, _> = arguments::parse(args, &function.name, &ty);
    let refused = match as_wave {
        Ok(_) => return Ok(args.to_owned()),
        Err(refused) => refused,
    };
    let inner = args
        .strip_prefix('(')
        .and_then(|args| args.strip_suffix(')'));
    let Some(Ok(given)) = inner.map(|args| serde_json::from_str::<Vec<Json>>(&format!("[{args}]")))
    else {
        return Err(refused);
    };
    let params: Vec<_> = ty.params().collect();
    // Text that is valid in both counts as WAVE: `(1, "a")`.
    if given.len() != params.len() {
        return Err(refused);
    }
    let names = function.params.iter().map(|(name, _)| name);
    let mut written = Vec::new();
    for ((json, ty_of), name) in given.iter().zip(&params).zip(names) {
        let value = json::value(json, ty_of).map_err(|misfit| {
            let what = format!("`{name}`: {misfit}");
            match is_json_alone(json) {
                true => arguments::wrong(args, &function.name, &ty, &what),
                // Numbers and texts are the same in both, and WAVE's message has hints.
                false => refused.clone(),
            }
        })?;
        let text = wasm_wave::to_string(&value);
        written.push(text.map_err(|e| InvokeError::Types(e.to_string()))?);
    }
    Ok(format!("({})", written.join(", ")))
}

/// Whether JSON shows by itself that it is no WAVE: by the quotes around a member's name, or `null`.
fn is_json_alone(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::Object(members) => !members.is_empty(),
        Json::Array(items) => items.iter().any(is_json_alone),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

/// The result of a call as JSON: `result` is its text in WAVE, `ty` its type. `None` if it has no text.
pub fn to_json(result: &str, ty: &Type) -> Option<Json> {
    let ty = types::value(ty)?;
    let value: Value = wasm_wave::from_str(&ty, result).ok()?;
    Some(json::json(&value))
}
