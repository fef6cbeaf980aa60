//! A call's arguments from either text that people write: WAVE, or JSON.

use serde_json::Value as Json;
use wasmtime::component::wasm_wave::value::{FuncType, Value};
use wasmtime::component::wasm_wave::wasm::WasmFunc as _;
use withe_wit::Function;

use super::{arguments, json};
use crate::invoke::InvokeError;

/// Arguments, and which text they were.
pub(super) enum Parsed {
    Wave(Vec<Value>),
    Json(Vec<Value>),
}

/// The arguments `args`, such as `(1, "a")`, of a call of `function`, whose type in WAVE is `ty`; its signature is for messages.
///
/// # Errors
///
/// If they are not what it takes.
pub(super) fn parse(
    args: &str,
    function: &Function,
    ty: &FuncType,
    signature: &str,
) -> Result<Parsed, InvokeError> {
    let as_wave: Result<Vec<Value>, _> = arguments::parse(args, signature, ty);
    let refused = match as_wave {
        Ok(values) => return Ok(Parsed::Wave(values)),
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
    let mut values = Vec::new();
    for ((json, ty_of), name) in given.iter().zip(&params).zip(names) {
        let value = json::value(json, ty_of).map_err(|misfit| {
            let what = format!("`{name}`: {misfit}");
            match is_json_alone(json) {
                true => arguments::wrong(args, signature, &what),
                // Numbers and texts are the same in both, and WAVE's message has hints.
                false => refused.clone(),
            }
        })?;
        values.push(value);
    }
    Ok(Parsed::Json(values))
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
