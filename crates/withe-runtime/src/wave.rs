//! Calling an export with values written as text (WAVE), for the command line.

mod arguments;

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::wasm_wave;

use crate::core::Graph;
use crate::invoke::{FunctionPath, InvokeError, InvokeTarget};

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
        let params = arguments::parse(args, &path.function, &ty)?;
        call.call(&params, &ty).await
    };
    match target.traced(path, deadline, run).await? {
        Some(result) => {
            wasm_wave::to_string(&result).map_err(|e| InvokeError::Types(e.to_string()))
        }
        None => Ok(String::new()),
    }
}
