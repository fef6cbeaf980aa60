//! What the bindings are measured by: a pair composed with `wac`, and run by plain Wasmtime.

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};
use wasmtime::component::{Component, Linker, Val, wasm_wave};
use wasmtime::{Config, Engine, Store};

use crate::pair::{Pair, RUN};

pub(crate) struct Oracle(Engine);

impl Oracle {
    pub(crate) fn new() -> Self {
        let mut config = Config::new();
        config
            .wasm_component_model_map(true)
            .wasm_component_model_fixed_length_lists(true);
        Self(Engine::new(&config).unwrap())
    }

    /// Calls a pair; returns its result as text, or why there is none.
    pub(crate) fn call(&self, pair: &Pair, given: Val) -> Result<String, String> {
        let returned = self.returned(pair, given);
        returned.map_err(|error| format!("{error:?}"))
    }

    fn returned(&self, pair: &Pair, given: Val) -> anyhow::Result<String> {
        let component = Component::new(&self.0, composed(pair)?)?;
        let mut store = Store::new(&self.0, ());
        let instance = Linker::new(&self.0).instantiate(&mut store, &component)?;
        let (interface, function) = RUN.split_once('#').unwrap();
        let index = instance
            .get_export_index(&mut store, None, interface)
            .and_then(|index| instance.get_export_index(&mut store, Some(&index), function));
        let run = instance.get_func(&mut store, index.unwrap()).unwrap();
        let mut result = [Val::Bool(false)];
        run.call(&mut store, &[given], &mut result)?;
        Ok(wasm_wave::to_string(&result[0])?)
    }
}

/// What `wac plug IMPORTER --plug EXPORTER` makes.
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
