//! Calling an export with values written as text (WAVE), for the command line.
//!
//! The text can be checked before anything is compiled ([`check`]), with the types that were read from the component;
//! the call itself takes the text again, with Wasmtime's. Both ways go through one parser with one set of messages
//! (`arguments`). Scripts write JSON (`json`), which is turned to WAVE's text before the call, and back behind it.
//!
//! Calls in a row (`row`) may pass and return streams and resources. They go by the types that were read, and in the codec's
//! encoding (`values`), in which a stream is a pipe: the same way that a call over a link has. Wasmtime's own values would have been
//! the other way; their streams want the elements' type when *we* are compiled.

mod arguments;
mod feed;
mod input;
mod json;
mod parsed;
mod returned;
mod row;
mod types;
mod values;

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value as Json;
use wasmtime::component::Val;
use wasmtime::component::wasm_wave;
use wasmtime::component::wasm_wave::value::Value;
use withe_wit::{Function, Type};

use crate::core::Graph;
use crate::invoke::{FunctionPath, InvokeError, InvokeTarget};
pub use feed::Feed;
use parsed::{Parsed, parse};
pub use returned::{Elements, Returned, ReturnedStream, Shown};
pub use row::{Argument, RowCall, RowError, RowResult, Written, call_in_row, returns};
pub use types::is_input_stream;

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
        let params: Vec<Val> =
            arguments::parse(args, &arguments::signature(&path.function, &ty), &ty)?;
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
    let signature = arguments::signature(&function.name, &ty);
    match parse(args, function, &ty, &signature)? {
        Parsed::Wave(_) => Ok(args.to_owned()),
        Parsed::Json(values) => {
            let texts = values.iter().map(wasm_wave::to_string);
            let texts: Result<Vec<_>, _> = texts.collect();
            let texts = texts.map_err(|e| InvokeError::Types(e.to_string()))?;
            Ok(format!("({})", texts.join(", ")))
        }
    }
}

/// The result of a call as JSON: `result` is its text in WAVE, `ty` its type. `None` if it has no text.
pub fn to_json(result: &str, ty: &Type) -> Option<Json> {
    let ty = types::value(ty)?;
    let value: Value = wasm_wave::from_str(&ty, result).ok()?;
    Some(json::json(&value))
}
