//! The oracle for the bindings: a pair composed with `wac`, and run by plain Wasmtime.

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};
use wasmtime::component::{Component, Linker, Val, wasm_wave};
use wasmtime::{Config, Engine, Store};

use crate::LONG;
use crate::pair::{Pair, RUN};

pub(crate) struct Oracle {
    engine: Engine,
    runtime: Runtime,
}

impl Oracle {
    pub(crate) fn new() -> Self {
        let mut config = Config::new();
        config
            .wasm_component_model_map(true)
            .wasm_component_model_fixed_length_lists(true);
        Self {
            engine: Engine::new(&config).unwrap(),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    /// Calls a pair; returns its result as text, or why there is none.
    pub(crate) fn call(&self, pair: &Pair, given: Val) -> Result<String, String> {
        let returned = async { timeout(LONG, self.returned(pair, given)).await? };
        let returned = self.runtime.block_on(returned);
        returned.map_err(|error| format!("{error:?}"))
    }

    async fn returned(&self, pair: &Pair, given: Val) -> anyhow::Result<String> {
        let component = Component::new(&self.engine, composed(pair)?)?;
        let mut store = Store::new(&self.engine, ());
        let linker = Linker::new(&self.engine);
        let instance = linker.instantiate_async(&mut store, &component).await?;
        let (interface, function) = RUN.split_once('#').unwrap();
        let index = instance
            .get_export_index(&mut store, None, interface)
            .and_then(|index| instance.get_export_index(&mut store, Some(&index), function));
        let run = instance.get_func(&mut store, index.unwrap()).unwrap();
        let mut result = [Val::Bool(false)];
        run.call_async(&mut store, &[given], &mut result).await?;
        Ok(wasm_wave::to_string(&result[0])?)
    }
}

/// The component that `wac plug IMPORTER --plug EXPORTER` makes.
fn composed(pair: &Pair) -> anyhow::Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let mut register = |name, bytes: &[u8]| {
        let package = Package::from_bytes(name, None, bytes.to_vec(), graph.types_mut())?;
        anyhow::Ok(graph.register_package(package)?)
    };
    let importer = register("importer", &pair.importer)?;
    let exporter = register("exporter", &pair.exporter)?;
    plug(&mut graph, vec![exporter], importer)?;
    Ok(graph.encode(EncodeOptions::default())?)
}
