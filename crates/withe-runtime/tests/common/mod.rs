//! Units made of components that are written here as text.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use withe_linker::input::{ConfigMap, Scope};
use withe_linker::plan::Binding;
use withe_runtime::invoke::{FunctionPath, InvokeError};
use withe_runtime::spec::{
    Identity, ImportSource, ImportSpec, InstanceLimit, LinkSpec, LinkTarget, Member, UnitGrants,
    UnitLimits, UnitSpec,
};
use withe_runtime::wave;
use withe_runtime::{EngineOptions, Engines, Graph, RuntimeError};
use withe_wit::{ExternItem, World};

pub(crate) const LONG: Duration = Duration::from_secs(30);

/// The component whose text is `wat`, as a unit of its own. `links` says which of its imports are linked.
pub(crate) fn unit(name: &str, wat: &str, links: &[(&str, Vec<Arc<LinkSpec>>)]) -> UnitSpec {
    let bytes = wat::parse_str(wat).unwrap_or_else(|e| panic!("{name}: {e}"));
    let world = World::read(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    let import = |import: &withe_wit::Extern| {
        let linked = links.iter().find(|(name, _)| *name == import.name);
        ImportSpec {
            rpc_errors: Vec::new(),
            name: import.name.clone(),
            member: 0,
            original: import.name.clone(),
            interface: match &import.item {
                ExternItem::Interface(i) => i.name.as_ref().map(ToString::to_string),
                ExternItem::Function(_) => None,
            },
            source: linked.map_or(ImportSource::Host, |(_, links)| {
                ImportSource::Links(links.clone())
            }),
        }
    };
    UnitSpec {
        name: name.into(),
        imports: world.imports.iter().map(import).collect(),
        bytes: bytes.into(),
        concurrency: false,
        members: vec![member(name, None)],
        fused: Vec::new(),
        limits: UnitLimits {
            reuse: 1,
            ..UnitLimits::default()
        },
        grants: UnitGrants::default(),
    }
}

pub(crate) fn member(name: &str, instances: Option<Arc<InstanceLimit>>) -> Member {
    let identity = Identity {
        application: "test".into(),
        component: name.into(),
        config: ConfigMap::new(),
        secrets: Default::default(),
        env: Vec::new(),
    };
    Member {
        identity: Arc::new(identity),
        instances,
    }
}

/// A link called `name` from `source` to `target`, for one interface that both call the same.
pub(crate) fn link(
    name: &str,
    source: &str,
    target_name: &str,
    interfaces: &[&str],
    scope: Scope,
    target: LinkTarget,
) -> Arc<LinkSpec> {
    Arc::new(LinkSpec {
        name: name.into(),
        source: source.into(),
        target_name: target_name.into(),
        binding: match target {
            LinkTarget::Provider { .. } => Binding::Host,
            _ => Binding::Local,
        },
        scope,
        timeout: LONG,
        timeout_given: false,
        exports: interfaces
            .iter()
            .map(|i| ((*i).to_owned(), (*i).to_owned()))
            .collect(),
        target,
    })
}

pub(crate) fn engines() -> Engines {
    Engines::new(&EngineOptions {
        instances: 20,
        ..EngineOptions::default()
    })
    .unwrap()
}

pub(crate) fn build(units: Vec<UnitSpec>) -> Result<Arc<Graph>, Vec<RuntimeError>> {
    Graph::build(&engines(), units, &|_| {})
}

/// Calls a function of the world of `component`.
pub(crate) async fn call(
    graph: &Arc<Graph>,
    component: &str,
    function: &str,
) -> Result<String, InvokeError> {
    let path = FunctionPath {
        interface: None,
        function: function.into(),
    };
    wave::call(graph, component, &path, "()", Instant::now() + LONG).await
}
