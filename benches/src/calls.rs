//! The cost of one call over a link: fused and local, beside the same pair composed with wac.
//!
//! The importer loops, so that what is measured is the call and not the way into the importer. All
//! three run on the same engine in turns. `local` is also put beside the best that a host can do by
//! hand: typed functions whose types were known when the host was compiled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use wac_graph::{CompositionGraph, EncodeOptions};
use wac_types::Package;
use wasmtime::component::{Component, ComponentType, Instance, Lift, Linker, Lower, TypedFunc};
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use withe_compose::{Constituent, FuseRequest, FuseWire, fuse};
use withe_linker::input::{ConfigMap, Scope};
use withe_linker::plan::Binding;
use withe_runtime::invoke::FunctionPath;
use withe_runtime::spec::{
    Identity, ImportSource, ImportSpec, LinkSpec, LinkTarget, Member, UnitGrants, UnitLimits,
    UnitSpec,
};
use withe_runtime::wave;
use withe_runtime::{EngineOptions, Engines, Graph, is_per_component};
use withe_wit::{ExternItem, World};

use crate::median;
use crate::servers::guest;

const OPS: &str = "t:bench/ops";
const RUN: &str = "t:bench/run";
const ROUNDS: usize = 9;

/// Function, its arguments behind the number of calls, calls in a round, name.
const CASES: &[(&str, &str, u32, &str)] = &[
    ("add-n", "", 200_000, "u32 add"),
    ("greet-n", ", 32", 50_000, "32 byte string"),
    ("bytes-n", ", 1024", 20_000, "1 KiB list<u8>"),
    ("bytes-n", ", 1048576", 40, "1 MiB list<u8>"),
    ("records-n", ", 100", 2_000, "100 records"),
];

pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let engines = Engines::new(&EngineOptions {
        instances: 20,
        ..EngineOptions::default()
    })?;
    let composed = graph(
        &engines,
        vec![unit("caller", composed_by_wac("caller", "ops")?, None)?],
    )?;
    let fused = graph(&engines, vec![unit("caller", fused_by_us()?, None)?])?;
    let link = LinkSpec {
        name: "default".into(),
        source: "caller".into(),
        target_name: "ops".into(),
        binding: Binding::Local,
        scope: Scope::Caller,
        timeout: Duration::from_secs(60),
        timeout_given: false,
        exports: vec![(OPS.into(), OPS.into())],
        target: LinkTarget::Unit(1),
    };
    let local = graph(
        &engines,
        vec![
            unit(
                "caller",
                std::fs::read(guest("caller"))?,
                Some(Arc::new(link)),
            )?,
            unit("ops", std::fs::read(guest("ops"))?, None)?,
        ],
    )?;
    let mut typed = TypedHost::new(engines.get(false)?)?;

    println!("Calls: nanoseconds a call, medians of {ROUNDS}, engine without concurrency support");
    println!(
        "  {:<16} {:>10} {:>10} {:>7} {:>10} {:>7} {:>10} {:>7}",
        "", "composed", "fused", "", "local", "/fused", "typed", "local/"
    );
    for (function, args, n, name) in CASES {
        let mut times = [const { Vec::new() }; 4];
        for round in 0..=ROUNDS {
            for (graph, times) in [&composed, &fused, &local].into_iter().zip(&mut times) {
                let start = Instant::now();
                let path = FunctionPath {
                    interface: Some(RUN.into()),
                    function: (*function).into(),
                };
                let deadline = start + Duration::from_secs(120);
                runtime
                    .block_on(wave::call(
                        graph,
                        "caller",
                        &path,
                        &format!("({n}{args})"),
                        deadline,
                    ))
                    .map_err(|e| anyhow!("{name}: {e}"))?;
                push(times, round, start.elapsed(), *n);
            }
            let took = typed.call(function, *n, args)?;
            push(&mut times[3], round, took, *n);
        }
        let [composed, fused, local, typed] = times.map(median);
        println!(
            "  {name:<16} {composed:>10.0} {fused:>10.0} {:>6.2}x {local:>10.0} {:>6.2}x {typed:>10.0} {:>6.2}x",
            fused / composed,
            local / fused,
            local / typed
        );
    }
    Ok(())
}

/// The first round warms up.
fn push(times: &mut Vec<f64>, round: usize, took: Duration, n: u32) {
    if round > 0 {
        times.push(took.as_nanos() as f64 / f64::from(n));
    }
}

fn graph(engines: &Engines, units: Vec<UnitSpec>) -> Result<Arc<Graph>> {
    Graph::build(engines, units, &|_| {}).map_err(|e| anyhow!("{e:?}"))
}

fn unit(name: &str, bytes: Vec<u8>, link: Option<Arc<LinkSpec>>) -> Result<UnitSpec> {
    let world = World::read(&bytes)?;
    let imports = world
        .imports
        .iter()
        .map(|import| {
            let linked = link.as_ref().filter(|_| import.name == OPS);
            ImportSpec {
                rpc_errors: Vec::new(),
                name: import.name.clone(),
                member: 0,
                original: import.name.clone(),
                interface: match &import.item {
                    ExternItem::Interface(i) => i.name.as_ref().map(ToString::to_string),
                    ExternItem::Function(_) => None,
                },
                source: linked.map_or(ImportSource::Host, |l| ImportSource::Links(vec![l.clone()])),
            }
        })
        .collect();
    let identity = Identity {
        application: "bench".into(),
        component: name.into(),
        config: ConfigMap::new(),
        secrets: Default::default(),
        env: Vec::new(),
    };
    Ok(UnitSpec {
        name: name.into(),
        bytes: bytes.into(),
        concurrency: false,
        members: vec![Member {
            identity: Arc::new(identity),
            instances: None,
        }],
        imports,
        fused: Vec::new(),
        limits: UnitLimits {
            reuse: u32::MAX,
            ..UnitLimits::default()
        },
        grants: UnitGrants::default(),
    })
}

fn fused_by_us() -> Result<Vec<u8>> {
    let constituent = |name: &str| -> Result<Constituent> {
        Ok(Constituent {
            label: name.into(),
            name: name.into(),
            bytes: std::fs::read(guest(name))?.into(),
        })
    };
    let request = FuseRequest {
        constituents: vec![constituent("caller")?, constituent("ops")?],
        wires: vec![FuseWire {
            importer: 0,
            import: OPS.into(),
            exporter: 1,
            export: OPS.into(),
        }],
    };
    let separate = |import: &str| import.parse().map_or(true, |name| is_per_component(&name));
    Ok(fuse(&request, &separate)?.bytes)
}

/// The pair as `wac plug` composes it: the floor.
pub(crate) fn composed_by_wac(socket: &str, plug: &str) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let mut register = |name: &str| -> Result<_> {
        let bytes =
            std::fs::read(guest(name)).with_context(|| format!("reading guest `{name}`"))?;
        let package = Package::from_bytes(&format!("t:{name}"), None, bytes, graph.types_mut())?;
        Ok(graph.register_package(package)?)
    };
    let socket = register(socket)?;
    let plug = register(plug)?;
    wac_graph::plug(&mut graph, vec![plug], socket)?;
    Ok(graph.encode(EncodeOptions::default())?)
}

/// The pair linked by hand: host functions of static types that forward to typed exports.
struct TypedHost {
    store: Store<Host>,
    caller: Instance,
}

struct Host {
    table: ResourceTable,
    wasi: WasiCtx,
    ops: Option<Ops>,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

struct Ops {
    store: Store<Host>,
    add: TypedFunc<(u32, u32), (u32,)>,
    greet: TypedFunc<(String,), (String,)>,
    bytes: TypedFunc<(Vec<u8>,), (Vec<u8>,)>,
    records: TypedFunc<(Vec<Item>,), (Vec<Item>,)>,
}

#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
struct Item {
    id: u32,
    name: String,
    price: f64,
}

fn new_store(engine: &Engine, ops: Option<Ops>) -> Store<Host> {
    let mut store = Store::new(
        engine,
        Host {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            ops,
        },
    );
    // The engine interrupts; this measures no deadline.
    store.set_epoch_deadline(u64::MAX / 2);
    store
}

impl TypedHost {
    fn new(engine: &Engine) -> Result<Self> {
        let mut linker = Linker::<Host>::new(engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        let component = Component::from_file(engine, guest("ops"))?;
        let mut store = new_store(engine, None);
        let instance = linker.instantiate(&mut store, &component)?;
        let export = instance
            .get_export_index(&mut store, None, OPS)
            .context("no ops")?;
        let mut index = |name: &str| {
            instance
                .get_export_index(&mut store, Some(&export), name)
                .context("no such function")
        };
        let (add, greet, bytes, records) = (
            index("add")?,
            index("greet")?,
            index("bytes")?,
            index("records")?,
        );
        let ops = Ops {
            add: instance.get_typed_func(&mut store, add)?,
            greet: instance.get_typed_func(&mut store, greet)?,
            bytes: instance.get_typed_func(&mut store, bytes)?,
            records: instance.get_typed_func(&mut store, records)?,
            store,
        };
        let component = Component::from_file(engine, guest("caller"))?;
        let mut by_hand = linker.instance(OPS)?;
        macro_rules! forward {
            ($name:literal, $field:ident, $params:ty) => {
                by_hand.func_wrap(
                    $name,
                    |mut cx: StoreContextMut<'_, Host>, params: $params| {
                        let ops = cx
                            .data_mut()
                            .ops
                            .as_mut()
                            .ok_or_else(|| wasmtime::format_err!("no ops"))?;
                        ops.$field.call(&mut ops.store, params)
                    },
                )?;
            };
        }
        forward!("add", add, (u32, u32));
        forward!("greet", greet, (String,));
        forward!("bytes", bytes, (Vec<u8>,));
        forward!("records", records, (Vec<Item>,));
        linker.define_unknown_imports_as_traps(&component)?;
        let mut store = new_store(engine, Some(ops));
        let caller = linker.instantiate(&mut store, &component)?;
        Ok(Self { store, caller })
    }

    fn call(&mut self, function: &str, n: u32, args: &str) -> Result<Duration> {
        let run = self
            .caller
            .get_export_index(&mut self.store, None, RUN)
            .context("no run")?;
        let index = self
            .caller
            .get_export_index(&mut self.store, Some(&run), function)
            .context("no such function")?;
        let start = Instant::now();
        match args.trim_start_matches(", ").parse::<u32>() {
            Err(_) => {
                let f: TypedFunc<(u32,), (u32,)> =
                    self.caller.get_typed_func(&mut self.store, index)?;
                f.call(&mut self.store, (n,))?;
            }
            Ok(size) => {
                let f: TypedFunc<(u32, u32), (u64,)> =
                    self.caller.get_typed_func(&mut self.store, index)?;
                f.call(&mut self.store, (n, size))?;
            }
        }
        Ok(start.elapsed())
    }
}
