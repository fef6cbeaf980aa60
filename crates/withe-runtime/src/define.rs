//! Satisfies the imports of a component in a Wasmtime linker: host functions, and stubs that lead over links.
//!
//! Nothing that is defined knows which unit it is for ([`crate::stub`], [`crate::functions::host`]), so units that are
//! made of equal components, and import the same of the host and over links, are one [`UnitCode`].

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Linker, LinkerInstance, ResourceType};
use withe_wit::{InterfaceName, OPEN};

use crate::blobs;
use crate::components::Compiled;
use crate::core::{InstanceState, UnitCode};
use crate::engine::Engines;
use crate::error::LinkError;
use crate::exports::{Import, ImportItem};
use crate::functions::host;
use crate::http;
use crate::http::export::HttpExports;
use crate::links::Stub;
use crate::spec::{ImportSource, ImportSpec};
use crate::stub;

/// The definitions that Wasmtime itself supplies, for the engines that a graph's units need: made once for all of them.
#[derive(Default)]
pub(crate) struct Wasi {
    plain: Option<Linker<InstanceState>>,
    concurrent: Option<Linker<InstanceState>>,
}

impl Wasi {
    /// The definitions for components that do, or do not, use async types.
    ///
    /// # Errors
    ///
    /// If there can be no engine, or Wasmtime defines anything twice.
    fn linker(
        &mut self,
        engines: &Engines,
        concurrency: bool,
    ) -> wasmtime::Result<&Linker<InstanceState>> {
        let place = match concurrency {
            true => &mut self.concurrent,
            false => &mut self.plain,
        };
        let made = match place.take() {
            Some(made) => made,
            None => supplied(engines.get(concurrency)?, concurrency)?,
        };
        Ok(place.insert(made))
    }
}

fn supplied(engine: &Engine, concurrency: bool) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker: Linker<InstanceState> = Linker::new(engine);
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    if concurrency {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    Ok(linker)
}

/// Defines all that `compiled` imports, as `specs` say.
pub(crate) fn define(
    engines: &Engines,
    wasi: &mut Wasi,
    compiled: &Compiled,
    concurrency: bool,
    specs: &[ImportSpec],
) -> Result<UnitCode, LinkError> {
    let linker = wasi.linker(engines, concurrency)?;
    let mut definer = Definer {
        linker: linker.clone(),
        concurrency,
        stubs: Vec::new(),
        outgoing: Vec::new(),
        blobs: Vec::new(),
        openers: HashMap::new(),
        keeps_requests: specs
            .iter()
            .filter(|spec| is_linked_types(spec))
            .map(|spec| spec.member)
            .collect(),
    };
    for import in &compiled.imports {
        // Types and shared interfaces that only WASI's own functions mention may go unnamed.
        if let Some(index) = specs.iter().position(|spec| spec.name == import.name) {
            definer.import(import, index, &specs[index])?;
            let mut exports = compiled.exports.all();
            if exports.any(|(.., export)| export.first_of.as_deref() == Some(&*import.name)) {
                definer.opener(import, index, &specs[index]);
            }
        }
    }
    for imported in &*compiled.modules {
        let mut linker = definer.linker.root();
        linker.module(&imported.import, &imported.module)?;
    }
    let pre = definer.linker.instantiate_pre(&compiled.component)?;
    Ok(UnitCode {
        http: HttpExports::find(&pre, &compiled.component)?,
        pre,
        exports: compiled.exports.clone(),
        stubs: definer.stubs.into(),
        outgoing: definer.outgoing,
        blobs: definer.blobs,
        openers: definer.openers,
        slots: compiled.slots,
        modules: compiled.modules.clone(),
    })
}

/// A function that nothing provides.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0} was called, which nothing provides")]
struct MissingFunction(String);

impl MissingFunction {
    fn define(
        self,
        linker: &mut LinkerInstance<'_, InstanceState>,
        name: &str,
        is_async: bool,
    ) -> wasmtime::Result<()> {
        match is_async {
            true => linker.func_new_concurrent(name, move |_, _, _, _| {
                let called = self.clone();
                Box::pin(async move { Err(called.into()) })
            }),
            false => linker.func_new(name, move |_, _, _, _| Err(self.clone().into())),
        }
    }
}

struct Definer {
    linker: Linker<InstanceState>,
    concurrency: bool,
    stubs: Vec<Stub>,
    outgoing: Vec<usize>,
    blobs: Vec<usize>,
    openers: HashMap<String, usize>,
    /// The members that have requests over links, and not of the host: what handles them is called as all else is.
    keeps_requests: Vec<usize>,
}

/// Whether an import is `wasi:http/types`, of another component.
fn is_linked_types(spec: &ImportSpec) -> bool {
    let name = spec.interface.as_deref().and_then(|name| name.parse().ok());
    matches!(spec.source, ImportSource::Links(_)) && name.is_some_and(|name| http::is_types(&name))
}

impl Definer {
    fn import(
        &mut self,
        import: &Import,
        index: usize,
        spec: &ImportSpec,
    ) -> Result<(), LinkError> {
        if matches!(spec.source, ImportSource::Missing) {
            return self.missing(import, spec);
        }
        let is_linked = matches!(spec.source, ImportSource::Links(_));
        match &import.item {
            ImportItem::Other => Ok(()),
            ImportItem::Function(shape) if is_linked => {
                let number = self.stub(index, spec, &import.name, true);
                stub::function(&mut self.linker.root(), &import.name, *shape, number)?;
                Ok(())
            }
            ImportItem::Function(_) => Err(LinkError::Unsatisfied {
                import: spec.name.clone(),
            }),
            ImportItem::Interface {
                functions,
                resources,
            } => {
                let name = spec.interface.as_deref();
                let name = name.and_then(|name| name.parse::<InterfaceName>().ok());
                match name {
                    Some(name)
                        if is_linked
                            && http::is_sent(&name)
                            && !self.keeps_requests.contains(&spec.member) =>
                    {
                        let number = self.outgoing.len();
                        self.outgoing.push(index);
                        let mut linker = self.linker.instance(&spec.name)?;
                        http::define_outgoing(&mut linker, &name, number)?;
                    }
                    Some(name) if is_linked && blobs::is_blobs(&name) => {
                        let number = self.blobs.len();
                        self.blobs.push(index);
                        let mut linker = self.linker.instance(&spec.name)?;
                        blobs::define(&mut linker, &name, number)?;
                    }
                    _ if is_linked => {
                        for (function, shape) in functions {
                            if shape.is_async && !self.concurrency {
                                return Err(LinkError::Async {
                                    function: function.clone(),
                                });
                            }
                            let number = self.stub(index, spec, function, true);
                            let mut linker = self.linker.instance(&spec.name)?;
                            stub::function(&mut linker, function, *shape, number)?;
                        }
                        let mut linker = self.linker.instance(&spec.name)?;
                        for resource in resources {
                            stub::resource(&mut linker, resource, spec.member)?;
                        }
                    }
                    Some(name) => {
                        let functions: Vec<_> =
                            functions.iter().map(|(name, _)| name.clone()).collect();
                        // Types alone are no more than their structure.
                        let is_wasmtimes = (functions.is_empty() && resources.is_empty())
                            || self.is_wasmtimes(&spec.name);
                        let linker = &mut self.linker;
                        let (import, member) = (&spec.name, spec.member);
                        host::define(linker, import, &name, member, &functions, is_wasmtimes)?;
                    }
                    None => {
                        return Err(LinkError::Unsatisfied {
                            import: spec.name.clone(),
                        });
                    }
                }
                Ok(())
            }
        }
    }

    /// Notes what opens the resources of an import over links. The component need not import that function itself.
    fn opener(&mut self, import: &Import, index: usize, spec: &ImportSpec) {
        if !matches!(spec.source, ImportSource::Links(_)) {
            return;
        }
        let mut stubs = self.stubs.iter();
        let number = stubs.position(|stub| stub.import == index && &*stub.function == OPEN);
        let number = number.unwrap_or_else(|| self.stub(index, spec, OPEN, false));
        self.openers.insert(import.name.clone(), number);
    }

    /// Has all functions of an import trap that nothing provides.
    fn missing(&mut self, import: &Import, spec: &ImportSpec) -> Result<(), LinkError> {
        match &import.item {
            ImportItem::Other => {}
            ImportItem::Function(shape) => {
                let is_async = shape.is_async && self.concurrency;
                let function = MissingFunction(format!("`{}`", spec.original));
                function.define(&mut self.linker.root(), &spec.name, is_async)?;
            }
            ImportItem::Interface {
                functions,
                resources,
            } => {
                let interface = spec.interface.as_deref().unwrap_or(&spec.original);
                let mut linker = self.linker.instance(&spec.name)?;
                for (name, shape) in functions {
                    let is_async = shape.is_async && self.concurrency;
                    let function = MissingFunction(format!("`{interface}#{name}`"));
                    function.define(&mut linker, name, is_async)?;
                }
                for resource in resources {
                    // Nobody can make one, so that none is ever dropped.
                    let ty = ResourceType::host::<MissingFunction>();
                    linker.resource(resource, ty, |_, _| Ok(()))?;
                }
            }
        }
        Ok(())
    }

    /// Whether the import of this name is defined with Wasmtime's own: a release of WASI 0.2, or of 0.3 on the
    /// engine with concurrency, by the interface's own name.
    fn is_wasmtimes(&self, name: &str) -> bool {
        let name = name.parse::<InterfaceName>().ok();
        let version = name.and_then(|name| name.version);
        version.is_some_and(|v| v.pre.is_empty() && (v.minor == 2 || self.concurrency))
    }

    /// The number of a function that is called over links.
    fn stub(
        &mut self,
        import: usize,
        spec: &ImportSpec,
        function: &str,
        is_imported: bool,
    ) -> usize {
        let interface = spec.interface.as_deref();
        let name = interface.map_or_else(|| function.into(), |i| format!("{i}.{function}").into());
        let unversioned = interface.unwrap_or(function).split('@').next();
        self.stubs.push(Stub {
            import,
            member: spec.member,
            name,
            function: function.into(),
            interface: Arc::from(unversioned.unwrap_or_default()),
            is_imported,
            error_arm: spec.rpc_errors.iter().any(|name| name == function),
        });
        self.stubs.len() - 1
    }
}
