//! Components of this host, reached by their ids from wasmCloud v1 on the same lattice.

use std::sync::Arc;
use std::time::Duration;

use withe_lattice::LatticeError;
use withe_linker::input::{Application, ComponentKind, Scope};
use withe_provider::{FunctionName, IncomingHandler};
use withe_runtime::HttpEntry;
use withe_wasmcloud::{Exports, Limits, Served as Exposed, Wire, can_carry, serve_component};
use withe_wit::{Extern, Function};

use crate::serve::Served;
use crate::v1::ids;

/// How long a call of a v1 part may take. v1's callers give up after 10 s.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Opens what v1's calls come over.
///
/// # Errors
///
/// If the connection is closed.
pub(super) async fn open(client: async_nats::Client) -> Result<Wire, LatticeError> {
    let wire = Wire::open(client, Limits::default()).await;
    wire.map_err(|e| LatticeError::Unreachable(e.to_string()))
}

/// Makes the components that run here reachable; says in the log which cannot be.
pub(super) async fn expose(
    wire: &Wire,
    lattice: &str,
    application: &Application,
    served: &Arc<Served>,
) -> Vec<Exposed> {
    let ids = ids(application);
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

/// What v1 can call of a component; nothing if it exports nothing that v1 can.
fn exports(served: &Served, component: &str) -> Option<Exports> {
    let graph = served.graph.as_ref()?;
    let world = served.parts.world(component)?;
    let functions: Vec<(FunctionName, Function)> = world.exports.iter().flat_map(carried).collect();
    let http =
        HttpEntry::new(graph, component).map(|entry| Arc::new(entry) as Arc<dyn IncomingHandler>);
    if functions.is_empty() && http.is_none() {
        return None;
    }
    let names: Vec<_> = functions
        .iter()
        .map(|(name, _)| (Some(name.interface.clone()), name.function.clone()))
        .collect();
    let link = graph.serve(component, &names, Scope::Call).ok()?;
    Some(Exports {
        functions,
        link,
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
    functions
        .filter(|function| !is_http && can_carry(function).is_ok())
        .map(|function| {
            let name = FunctionName {
                interface: export.name.clone(),
                function: function.name.clone(),
            };
            (name, function.clone())
        })
        .collect()
}
