//! Units compiled, linked to each other, and ready to be instantiated.
//!
//! Built once from a link plan and never changed: another plan makes another graph.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use withe_rpc::{CallContext, CallError};

use crate::abi::Shape;
use crate::callee::Callee;
use crate::dispatch::{ExportCall, ExportSpawn, export_call};
use crate::engine::Engines;
use crate::functions::imports;
use crate::http::HttpExport;
use crate::instance::Instance;
use crate::metrics::{Listed, UnitPlace};
use crate::spec::{LinkTarget, Member, UnitGrants, UnitLimits, UnitSpec};
use crate::state::State;
use crate::wave::{self, FunctionPath, WaveError};
use crate::{Observer, RuntimeError};

/// The most idle instances that a unit keeps for reuse.
const IDLE_INSTANCES: usize = 256;

/// Units that call each other. See the module.
pub struct Graph {
    units: Vec<Unit>,
    /// They keep the clock going that stops runaway guests.
    engines: Engines,
    /// The links that are in compositions, where nothing is left of them but that they are listed.
    _fused: Vec<Arc<Listed>>,
}

/// What happens while a graph is built.
#[derive(Clone, Debug)]
pub enum BuildEvent<'a> {
    /// Compiling begins.
    Compiling(&'a str),
    /// Compiling is done; `cached` if it was found in the cache.
    Compiled {
        /// The component.
        component: &'a str,
        /// Whether it came from the cache.
        cached: bool,
        /// How long it took.
        took: Duration,
    },
}

impl Graph {
    /// Compiles and links `specs`. Blocks for as long as compiling takes.
    ///
    /// # Errors
    ///
    /// All that is wrong with any of the units.
    pub fn build(
        engines: &Engines,
        specs: Vec<UnitSpec>,
        on_event: &dyn Fn(BuildEvent<'_>),
    ) -> Result<Arc<Self>, Vec<RuntimeError>> {
        let mut errors = Vec::new();
        let mut compiled = Vec::new();
        for spec in specs {
            on_event(BuildEvent::Compiling(&spec.name));
            let (hits, start) = (engines.cache_hits(), Instant::now());
            match Component::new(engines.get(spec.concurrency), &spec.bytes) {
                Ok(component) => {
                    let cached = engines.cache_hits() > hits;
                    on_event(BuildEvent::Compiled {
                        component: &spec.name,
                        cached,
                        took: start.elapsed(),
                    });
                    compiled.push(Compiled::new(spec, component));
                }
                Err(e) => errors.push(RuntimeError::Compile {
                    component: spec.name,
                    why: format!("{e:#}"),
                }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut units = Vec::new();
        for unit in &compiled {
            match Unit::link(engines, unit, &compiled) {
                Ok(unit) => units.push(unit),
                Err(e) => errors.push(RuntimeError::Link {
                    component: unit.spec.name.clone(),
                    why: as_imported(&unit.spec, format!("{e:#}")),
                }),
            }
        }
        if errors.is_empty() {
            let metrics = &engines.observer().metrics;
            let fused = compiled.iter().flat_map(|unit| unit.spec.fused.iter());
            Ok(Arc::new(Self {
                units,
                engines: engines.clone(),
                _fused: fused.map(|link| metrics.fused(&link.labels())).collect(),
            }))
        } else {
            Err(errors)
        }
    }

    /// Where what runs is counted and traced.
    pub fn observer(&self) -> &Observer {
        self.engines.observer()
    }

    pub(crate) fn unit(&self, index: usize) -> &Unit {
        &self.units[index]
    }

    /// The index of the unit whose root is `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.units.iter().position(|u| u.name() == name)
    }

    /// Drops every instance that is kept for later. Calls under way go on. Without this a graph that
    /// keeps instances would keep itself.
    pub async fn retire(&self) {
        for unit in &self.units {
            while unit.idle.pop().is_some() {}
            unit.shared.clear().await;
        }
    }
}

/// A text of Wasmtime's with imports called as the components have them: those that a composition keeps apart
/// have names that nobody wrote.
fn as_imported(spec: &UnitSpec, text: String) -> String {
    let renamed = spec.imports.iter().filter(|i| i.name != i.original);
    renamed.fold(text, |text, import| {
        let whose = spec.members.get(import.member);
        let whose = whose.map_or("", |member| member.identity.component.as_str());
        let original = format!("`{}` of `{whose}`", import.original);
        text.replace(&format!("`{}`", import.name), &original)
    })
}

/// A unit whose code is compiled, and whose exports are therefore known.
pub(crate) struct Compiled {
    pub(crate) spec: UnitSpec,
    pub(crate) component: Component,
    pub(crate) exports: Exports,
}

/// An export's functions by export name (`None`: of the world) and function name.
pub(crate) type Exports = HashMap<(Option<String>, String), ExportFn>;

/// How to call one exported function.
#[derive(Clone)]
pub(crate) struct ExportFn {
    pub(crate) name: Arc<str>,
    pub(crate) index: ComponentExportIndex,
    /// On a store of its own.
    pub(crate) call: ExportCall,
    /// Beside other calls.
    pub(crate) spawn: ExportSpawn,
}

impl Compiled {
    fn new(spec: UnitSpec, component: Component) -> Self {
        let engine = component.engine().clone();
        let mut exports = Exports::new();
        for (name, item) in component.component_type().exports(&engine) {
            match item.ty {
                ComponentItem::ComponentFunc(ty) => {
                    if let Some(index) = component.get_export_index(None, name) {
                        let (call, spawn) = export_call(Shape::of(&ty));
                        let f = ExportFn {
                            name: name.into(),
                            index,
                            call,
                            spawn,
                        };
                        exports.insert((None, name.to_owned()), f);
                    }
                }
                ComponentItem::ComponentInstance(ty) => {
                    let Some(instance) = component.get_export_index(None, name) else {
                        continue;
                    };
                    for (func, item) in ty.exports(&engine) {
                        let ComponentItem::ComponentFunc(ty) = item.ty else {
                            continue;
                        };
                        if let Some(index) = component.get_export_index(Some(&instance), func) {
                            let (call, spawn) = export_call(Shape::of(&ty));
                            let f = ExportFn {
                                name: format!("{name}.{func}").into(),
                                index,
                                call,
                                spawn,
                            };
                            exports.insert((Some(name.to_owned()), func.to_owned()), f);
                        }
                    }
                }
                _ => {}
            }
        }
        Self {
            spec,
            component,
            exports,
        }
    }
}

/// A unit ready to be instantiated.
pub(crate) struct Unit {
    name: String,
    members: Vec<Member>,
    limits: UnitLimits,
    grants: UnitGrants,
    engine: Engine,
    pre: InstancePre<State>,
    exports: Exports,
    http: Option<HttpExport>,
    callee_slots: usize,
    concurrency: bool,
    /// The instance of scope `shared`.
    shared: Arc<Callee>,
    /// Instances that may serve another call from outside.
    idle: ArrayQueue<Box<Instance>>,
    place: Arc<UnitPlace>,
}

impl Unit {
    fn link(engines: &Engines, unit: &Compiled, all: &[Compiled]) -> wasmtime::Result<Self> {
        let spec = &unit.spec;
        let engine = engines.get(spec.concurrency).clone();
        let mut linker = Linker::new(&engine);
        let observer = engines.observer();
        let callee_slots = imports::define(&mut linker, unit, all, observer)?;
        let pre = linker.instantiate_pre(&unit.component)?;
        Ok(Self {
            name: spec.name.clone(),
            members: spec.members.clone(),
            limits: spec.limits,
            grants: spec.grants.clone(),
            http: HttpExport::find(&pre, &unit.component)?,
            exports: unit.exports.clone(),
            engine,
            pre,
            callee_slots,
            shared: Arc::new(Callee::new(spec.concurrency)),
            concurrency: spec.concurrency,
            idle: ArrayQueue::new(IDLE_INSTANCES),
            place: observer
                .metrics
                .unit(application(&spec.members), &spec.name),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name of the application that it is part of.
    pub(crate) fn application(&self) -> &str {
        application(&self.members)
    }

    /// Where its instances and requests are counted.
    pub(crate) fn place(&self) -> &Arc<UnitPlace> {
        &self.place
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn limits(&self) -> &UnitLimits {
        &self.limits
    }

    pub(crate) fn grants(&self) -> &UnitGrants {
        &self.grants
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn pre(&self) -> &InstancePre<State> {
        &self.pre
    }

    /// The function exported under an interface (`None`: by the world) and a name.
    pub(crate) fn export(&self, name: &(Option<String>, String)) -> Option<&ExportFn> {
        self.exports.get(name)
    }

    /// The export that a person means by `path`.
    pub(crate) fn find_export(&self, path: &FunctionPath) -> Result<&ExportFn, WaveError> {
        let matching = |(interface, function): &&(Option<String>, String)| {
            *function == path.function
                && match (&path.interface, interface) {
                    (None, None) => true,
                    (Some(written), Some(export)) => wave::means(written, export),
                    _ => false,
                }
        };
        let mut found: Vec<_> = self.exports.keys().filter(matching).collect();
        found.sort();
        if found
            .iter()
            .any(|(interface, _)| *interface == path.interface)
        {
            found.retain(|(interface, _)| *interface == path.interface);
        }
        match found.as_slice() {
            [only] => Ok(&self.exports[*only]),
            [] => {
                // As they would have to be written.
                let written = |(interface, function): &(Option<String>, String)| match interface {
                    Some(interface) => format!("{interface}#{function}"),
                    None => function.clone(),
                };
                let mut all: Vec<_> = self.exports.keys().map(written).collect();
                all.sort_unstable();
                Err(WaveError::NoFunction(format!(
                    "`{}` exports no function `{}`; it exports: {}",
                    self.name,
                    path.interface.as_ref().map_or_else(
                        || path.function.clone(),
                        |interface| format!("{interface}#{}", path.function)
                    ),
                    if all.is_empty() {
                        "none".to_owned()
                    } else {
                        all.join(", ")
                    }
                )))
            }
            several => Err(WaveError::NoFunction(format!(
                "`{}` is ambiguous; say which version: {}",
                path.function,
                several
                    .iter()
                    .filter_map(|(i, _)| i.as_deref())
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        }
    }

    pub(crate) fn http(&self) -> Option<&HttpExport> {
        self.http.as_ref()
    }

    pub(crate) fn callee_slots(&self) -> usize {
        self.callee_slots
    }

    pub(crate) fn shared(&self) -> Arc<Callee> {
        self.shared.clone()
    }

    /// A place for an instance of its own.
    pub(crate) fn callee(&self) -> Callee {
        Callee::new(self.concurrency)
    }

    /// Waits until every member may have one more instance.
    pub(crate) async fn acquire(
        &self,
        deadline: Instant,
    ) -> Result<Vec<OwnedSemaphorePermit>, CallError> {
        let mut permits = Vec::new();
        for member in &self.members {
            let Some(semaphore) = &member.permits else {
                continue;
            };
            let name = &member.identity.component;
            let acquired = timeout_at(deadline.into(), semaphore.clone().acquire_owned()).await;
            match acquired {
                Ok(Ok(permit)) => permits.push(permit),
                Ok(Err(_)) => return Err(CallError::Unreachable(format!("`{name}` is stopping"))),
                Err(_) => {
                    return Err(CallError::Exhausted(format!(
                        "all instances of `{name}` stayed busy until the deadline"
                    )));
                }
            }
        }
        Ok(permits)
    }

    /// An instance for a call from outside: one that may be used again, or a fresh one.
    pub(crate) async fn checkout(
        graph: &Arc<Graph>,
        unit: usize,
        context: CallContext,
    ) -> Result<Box<Instance>, CallError> {
        let deadline = context.deadline;
        let mut instance = match graph.unit(unit).idle.pop() {
            Some(mut instance) => {
                instance.permits = graph.unit(unit).acquire(deadline).await?;
                instance
            }
            None => Instance::create(graph, unit, deadline).await?,
        };
        instance.served += 1;
        instance.store.data_mut().begin(context);
        Ok(instance)
    }

    /// Takes back an instance whose call succeeded.
    pub(crate) fn checkin(&self, mut instance: Box<Instance>) {
        if instance.served < self.limits.reuse {
            // An idle instance must not keep others from running.
            instance.permits.clear();
            // If the queue is full the instance is dropped.
            _ = self.idle.push(instance);
        }
    }

    /// The longest that one call from outside may run, if the component has such a limit.
    pub(crate) fn time(&self) -> Option<Duration> {
        self.limits.time
    }

    /// When a call from outside that should be over by `deadline` must be over.
    pub(crate) fn deadline(&self, deadline: Instant) -> Instant {
        match self.limits.time {
            Some(time) => deadline.min(Instant::now() + time),
            None => deadline,
        }
    }
}

/// The application that all members of a unit are of.
fn application(members: &[Member]) -> &str {
    members
        .first()
        .map_or("", |root| &root.identity.application)
}

/// The export of `target` that an import over a link leads to.
pub(crate) fn export_of<'a>(
    all: &'a [Compiled],
    target: &LinkTarget,
    export: Option<&str>,
    function: &str,
) -> Option<&'a ExportFn> {
    let LinkTarget::Unit(unit) = target else {
        return None;
    };
    all.get(*unit)?
        .exports
        .get(&(export.map(str::to_owned), function.to_owned()))
}
