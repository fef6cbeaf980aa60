//! The oracle for a case: its pair composed with `wac`, and run by plain Wasmtime with nothing but
//! WASI.

use std::path::Path;
use std::{env, fs};

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, PackageId, plug};
use wasmtime::component::{Component, Linker, ResourceTable, Val};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::LONG;
use crate::case::{Call, Case};

/// Set to anything, it makes what the oracle returns what is expected.
const BLESS: &str = "CONFORMANCE_BLESS";

/// The most that a component may write on standard error.
const STDERR: usize = 1 << 20;

/// Makes all calls of a case.
pub(crate) fn check(case: &str) {
    let case = Case::read(case);
    let engine = engine();
    let component = Component::new(&engine, composed(&case)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut differences = Vec::new();
    for call in &case.calls {
        let found = runtime.block_on(outcome(&engine, &component, call));
        match (env::var_os(BLESS), &found) {
            (Some(_), Ok(text)) => case.bless(&call.function, text),
            _ => differences.extend(call.difference(&found)),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

fn engine() -> Engine {
    let mut cache = CacheConfig::new();
    cache.with_directory(Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle"));
    let mut config = Config::new();
    config
        .cache(Some(Cache::new(cache).unwrap()))
        .wasm_component_model_map(true)
        .wasm_component_model_fixed_length_lists(true);
    Engine::new(&config).unwrap()
}

/// The result of a pair's function for these arguments: a text.
pub(crate) fn call(importer: &Path, exporter: &Path, function: &str, args: &[Val]) -> String {
    let engine = engine();
    let component = Component::new(&engine, plugged(importer, exporter)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stderr = MemoryOutputPipe::new(STDERR);
    let called = returned(&engine, &component, function, args, stderr);
    match runtime.block_on(async { tokio::time::timeout(LONG, called).await }) {
        Ok(Ok(Val::String(text))) => text,
        other => panic!("{other:?} is not a text that is returned in time"),
    }
}

/// The component that `wac plug IMPORTER --plug EXPORTER` makes.
fn plugged(importer: &Path, exporter: &Path) -> Vec<u8> {
    let mut graph = CompositionGraph::new();
    let [importer, exporter] = registered(&mut graph, importer, exporter);
    plug(&mut graph, vec![exporter], importer).unwrap();
    graph.encode(EncodeOptions::default()).unwrap()
}

fn registered(graph: &mut CompositionGraph, importer: &Path, exporter: &Path) -> [PackageId; 2] {
    [("importer", importer), ("exporter", exporter)].map(|(name, path)| {
        let bytes = fs::read(path).unwrap();
        let package = Package::from_bytes(name, None, bytes, graph.types_mut());
        graph.register_package(package.unwrap()).unwrap()
    })
}

/// The component that `wac plug` makes of a case, or `wac compose` where names differ.
fn composed(case: &Case) -> Vec<u8> {
    if case.pairs.is_empty() {
        return plugged(&case.importer, &case.exporter);
    }
    let mut graph = CompositionGraph::new();
    let [importer, exporter] = registered(&mut graph, &case.importer, &case.exporter);
    let [importing, exporting] = [importer, exporter].map(|package| graph.instantiate(package));
    for (import, export) in &case.pairs {
        let export = graph.alias_instance_export(exporting, export).unwrap();
        (graph.set_instantiation_argument(importing, import, export)).unwrap();
    }
    for call in &case.calls {
        let function = graph
            .alias_instance_export(importing, &call.function)
            .unwrap();
        graph.export(function, &call.function).unwrap();
    }
    graph.encode(EncodeOptions::default()).unwrap()
}

/// Calls a function of a new instance: the text that it returned, or the trap and what was written on
/// standard error.
async fn outcome(engine: &Engine, component: &Component, call: &Call) -> Result<String, String> {
    let stderr = MemoryOutputPipe::new(STDERR);
    let called = returned(engine, component, &call.function, &[], stderr.clone());
    let called = tokio::time::timeout(LONG, called).await;
    match called.unwrap_or_else(|_| panic!("`{}` does not end", call.function)) {
        Ok(Val::String(text)) => Ok(text),
        Ok(other) => panic!("`{}` returned {other:?}, not a string", call.function),
        Err(error) => {
            let stderr = String::from_utf8_lossy(&stderr.contents()).into_owned();
            Err(format!("{error:?}\n{stderr}"))
        }
    }
}

async fn returned(
    engine: &Engine,
    component: &Component,
    function: &str,
    args: &[Val],
    stderr: MemoryOutputPipe,
) -> wasmtime::Result<Val> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    let state = State {
        wasi: WasiCtx::builder().stderr(stderr).build(),
        table: ResourceTable::new(),
    };
    let mut store = Store::new(engine, state);
    let instance = linker.instantiate_async(&mut store, component).await?;
    let function = instance
        .get_func(&mut store, function)
        .unwrap_or_else(|| panic!("the importer exports no `{function}`"));
    let mut result = [Val::Bool(false)];
    function.call_async(&mut store, args, &mut result).await?;
    let [value] = result;
    Ok(value)
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}
