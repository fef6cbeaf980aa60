//! Compiling and linking units, off the threads that answer calls.

use std::sync::Arc;

use withe_runtime::graph::BuildEvent;
use withe_runtime::spec::UnitSpec;
use withe_runtime::{Engines, Graph, RuntimeError};

use crate::error::HostError;
use crate::options::Progress;

/// Builds the graph of `specs`, and tells `progress` what is compiled.
pub(crate) async fn build(
    engines: &Engines,
    specs: Vec<UnitSpec>,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<Arc<Graph>, HostError> {
    let engines = engines.clone();
    let build = move || {
        Graph::build(&engines, specs, &|event| match event {
            BuildEvent::Compiling(component) => {
                progress(Progress::Compiling {
                    component: component.into(),
                });
            }
            BuildEvent::Part { component, part } => {
                progress(Progress::CompilingPart {
                    component: component.into(),
                    module: part.name.as_deref().map(str::to_owned),
                    size: part.size as u64,
                    number: part.number,
                    of: part.of,
                });
            }
            BuildEvent::Compiled {
                component,
                cached,
                took,
            } => {
                progress(Progress::Compiled {
                    component: component.into(),
                    cached,
                    took,
                });
            }
        })
    };
    let errors = match tokio::task::spawn_blocking(build).await {
        Ok(Ok(graph)) => return Ok(graph),
        Ok(Err(errors)) => errors.into_iter().map(HostError::from).collect(),
        Err(e) => vec![HostError::Runtime(RuntimeError::Stopped(e))],
    };
    Err(HostError::of(errors))
}
