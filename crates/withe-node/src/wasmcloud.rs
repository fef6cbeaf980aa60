//! Exposes this host to wasmCloud v1 on the same lattice: its components, reached by their ids, and the state
//! that v1's tools show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use withe_host::elsewhere::{Served, ids};
use withe_lattice::LatticeError;
use withe_linker::input::{ComponentKind, Scope};
use withe_provider::{FunctionName, IncomingHandler};
use withe_runtime::{Callers, HttpEntry};
use withe_wasmcloud::{
    ControlInterface, Exports, HostState, Ids, Inquiry, Limits, LinkState, PartState,
    ServedComponent, V1Wire, can_carry, is_watcher, serve_component,
};
use withe_wit::{Extern, Function};

use crate::clock::millis;
use crate::records::RunningPart;
use crate::this_host::ThisHost;

/// How long a call of a v1 part may take. v1's callers give up after 10 s.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Opens what v1's calls come over.
///
/// # Errors
///
/// If the connection is closed.
pub(crate) async fn open(client: async_nats::Client) -> Result<V1Wire, LatticeError> {
    let wire = V1Wire::open(client, Limits::default()).await;
    wire.map_err(|e| LatticeError::unreachable(e.to_string()))
}

/// Makes the components that run here reachable; says in the log which cannot be.
pub(crate) async fn expose(
    wire: &V1Wire,
    lattice: &str,
    served: &Arc<Served>,
) -> Vec<ServedComponent> {
    let ids = ids(&served.plan);
    let mut exposed = Vec::new();
    for component in &served.plan.components {
        if component.kind != ComponentKind::Component || component.elsewhere {
            continue;
        }
        let id = ids.of(&served.plan.application, &component.name);
        let Some(exports) = exports(served, &component.name) else {
            continue;
        };
        match serve_component(wire, lattice, &id, exports).await {
            Ok(one) => exposed.push(one),
            Err(error) => tracing::warn!(component = component.name, "{error}"),
        }
    }
    exposed
}

/// The exports of a component that v1 can call; `None` if there are none.
fn exports(served: &Served, component: &str) -> Option<Exports> {
    let graph = served.graph.as_ref()?;
    let world = served.parts.world(component)?;
    let functions: Vec<(FunctionName, Function)> = world.exports.iter().flat_map(carried).collect();
    let http =
        HttpEntry::new(graph, component).map(|entry| Arc::new(entry) as Arc<dyn IncomingHandler>);
    let watching: Vec<(FunctionName, Function)> = world.exports.iter().flat_map(watching).collect();
    if functions.is_empty() && watching.is_empty() && http.is_none() {
        return None;
    }
    let serve = |functions: &[(FunctionName, Function)], callers| {
        let names = functions.iter();
        let names: Vec<_> = names
            .map(|(name, _)| (Some(name.interface.clone()), name.function.clone()))
            .collect();
        graph.serve(component, &names, callers)
    };
    let link = serve(&functions, Callers::Components(Scope::Call)).ok()?;
    let watcher = match watching.is_empty() {
        true => None,
        // The name of a bucket comes in its place, as from a provider.
        false => match serve(&watching, Callers::Provider(Scope::Call)) {
            Ok(link) => Some(link),
            Err(why) => {
                tracing::warn!(component, "wasmCloud v1 cannot tell it of changes: {why}");
                None
            }
        },
    };
    Some(Exports {
        functions,
        link,
        watching,
        watcher,
        http,
        timeout: TIMEOUT,
    })
}

/// The functions of an export that v1 can carry; HTTP has a way of its own.
fn carried(export: &Extern) -> Vec<(FunctionName, Function)> {
    let Some(interface) = export.interface() else {
        return Vec::new();
    };
    let is_http = (interface.name.as_ref())
        .is_some_and(|name| name.namespace == "wasi" && name.package == "http");
    let functions = interface.functions.iter();
    named(
        export,
        functions.filter(|function| !is_http && can_carry(function).is_ok()),
    )
}

/// The functions of an export by which v1's providers tell of changes in key-value stores.
fn watching(export: &Extern) -> Vec<(FunctionName, Function)> {
    match export.interface() {
        Some(interface) if is_watcher(&export.name) => named(export, interface.functions.iter()),
        _ => Vec::new(),
    }
}

/// Functions of an export with their names.
fn named<'a>(
    export: &Extern,
    functions: impl Iterator<Item = &'a Function>,
) -> Vec<(FunctionName, Function)> {
    functions
        .map(|function| {
            let name = FunctionName {
                interface: export.name.clone(),
                function: function.name.clone(),
            };
            (name, function.clone())
        })
        .collect()
}

/// Takes what v1's tools ask.
///
/// # Errors
///
/// If the lattice has a name that v1 has no subjects for, or the connection is closed.
pub(crate) async fn listen_to_tools(
    wire: &V1Wire,
    this: &ThisHost,
) -> Result<ControlInterface, LatticeError> {
    let lattice = this.lattice.name();
    let tools = ControlInterface::open(wire.client().clone(), lattice, &this.id).await;
    tools.map_err(|e| LatticeError::unreachable(e.to_string()))
}

/// Answers v1's tools until `stop`.
pub(crate) async fn answer_tools(
    this: Arc<ThisHost>,
    tools: ControlInterface,
    stop: CancellationToken,
) {
    tokio::select! {
        () = tools.answer(&*this) => {}
        () = stop.cancelled() => {}
    }
}

impl Inquiry for ThisHost {
    fn host(&self) -> HostState {
        let record = self.lock();
        let parts = |kind: &str| {
            let apps = record.apps.iter();
            let parts = apps.flat_map(|(app, running)| running.parts.iter().map(move |p| (app, p)));
            let of_kind = parts.filter(|(_, part)| part.kind == kind);
            of_kind.map(|(app, part)| state(app, part)).collect()
        };
        HostState {
            name: record.name.clone(),
            labels: record.labels.clone(),
            version: record.version.clone(),
            uptime: Duration::from_secs((millis() / 1_000).saturating_sub(record.started)),
            components: parts("component"),
            providers: parts("provider"),
        }
    }

    fn links(&self) -> BTreeSet<LinkState> {
        let hosts = self.peers.hosts().borrow().clone();
        let apps = || hosts.values().flat_map(|host| &host.apps);
        let known: BTreeMap<_, _> = apps()
            .flat_map(|(app, running)| running.parts.iter().map(move |p| ((app, &p.name), &p.id)))
            .collect();
        // A part that nobody runs, such as one that only v1 has, has the id that it would have.
        let id = |app: &String, name: &String| match known.get(&(app, name)) {
            Some(id) => (*id).clone(),
            None => Ids::default().of(app, name),
        };
        let links = apps().flat_map(|(app, running)| running.links.iter().map(move |l| (app, l)));
        links
            .flat_map(|(app, link)| {
                let (source, target) = (id(app, &link.source), id(app, &link.target));
                let interfaces = link.interfaces.iter().map(String::as_str);
                LinkState::of(&source, &target, &link.name, interfaces)
            })
            .collect()
    }
}

fn state(application: &str, part: &RunningPart) -> PartState {
    PartState {
        id: part.id.clone(),
        image_ref: format!("{application}/{}@{}", part.name, part.digest),
        name: part.name.clone(),
        max_instances: part.instances.unwrap_or_default(),
        revision: 0,
    }
}
