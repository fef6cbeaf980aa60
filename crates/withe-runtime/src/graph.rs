//! Builds graphs: units compiled, linked to each other, and ready to be instantiated.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::code::CompiledPart;
use crate::components::{Compiled, Components};
use crate::core::{Graph, Unit, UnitCode, UnitParts};
use crate::define::{Wasi, define};
use crate::engine::Engines;
use crate::error::{LinkError, RuntimeError};
use crate::http;
use crate::http::failures::LinkFailures;
use crate::links::{
    BlobImport, BlobLink, LinkRoute, Numbering, OutgoingImport, OutgoingLink, UnitLinks, Via,
    labels,
};
use crate::metrics::LinkCounts;
use crate::needs::Needs;
use crate::spec::{ImportSource, ImportSpec, LinkSpec, LinkTarget, UnitSpec};

/// An event while a graph is built.
#[derive(Clone, Debug)]
pub enum BuildEvent<'a> {
    /// Compiling begins.
    Compiling(&'a str),
    /// Compiling a part of it begins: a large module, or what is left without those.
    Part {
        /// The component.
        component: &'a str,
        /// The part.
        part: CompiledPart,
    },
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
        on_event: &(dyn Fn(BuildEvent<'_>) + Sync),
    ) -> Result<Arc<Self>, Vec<RuntimeError>> {
        let compiled = compile(engines, &specs, on_event)?;
        let metrics = &engines.observer().metrics;
        let fused = specs.iter().flat_map(|spec| spec.fused.iter());
        let fused = fused.map(|link| metrics.fused(&link.labels())).collect();
        let units = link(engines, specs, &compiled)?;
        let graph = Arc::new(Self {
            units,
            engines: engines.clone(),
            _fused: fused,
        });
        let keeps_idle: Weak<Self> = Arc::downgrade(&graph);
        engines.quota().keeps_idle(keeps_idle);
        Ok(graph)
    }
}

fn compile(
    engines: &Engines,
    specs: &[UnitSpec],
    on_event: &(dyn Fn(BuildEvent<'_>) + Sync),
) -> Result<Vec<Arc<Compiled>>, Vec<RuntimeError>> {
    let mut components = Components::default();
    let (mut compiled, mut errors) = (Vec::new(), Vec::new());
    for spec in specs {
        if let Some(equal) = components.get(spec.concurrency, &spec.bytes) {
            compiled.push(equal);
            continue;
        }
        if let Err(cause) = engines.get(spec.concurrency) {
            errors.push(RuntimeError::Engine { cause });
            return Err(errors);
        }
        on_event(BuildEvent::Compiling(&spec.name));
        let start = Instant::now();
        let told = |part: CompiledPart| {
            on_event(BuildEvent::Part {
                component: &spec.name,
                part,
            });
        };
        match components.compile(engines, spec.concurrency, &spec.bytes, &told) {
            Ok((component, cached)) => {
                on_event(BuildEvent::Compiled {
                    component: &spec.name,
                    cached,
                    took: start.elapsed(),
                });
                compiled.push(component);
            }
            Err(cause) => errors.push(RuntimeError::Compile {
                component: spec.name.clone(),
                cause,
            }),
        }
    }
    if errors.is_empty() {
        Ok(compiled)
    } else {
        Err(errors)
    }
}

fn link(
    engines: &Engines,
    specs: Vec<UnitSpec>,
    compiled: &[Arc<Compiled>],
) -> Result<Vec<Unit>, Vec<RuntimeError>> {
    let mut linker = Linker {
        engines,
        wasi: Wasi::default(),
        compiled,
        codes: HashMap::new(),
    };
    let (mut units, mut errors) = (Vec::new(), Vec::new());
    for (i, spec) in specs.into_iter().enumerate() {
        match linker.unit(i, spec) {
            Ok(unit) => units.push(unit),
            Err(e) => errors.push(e),
        }
    }
    if errors.is_empty() {
        Ok(units)
    } else {
        Err(errors)
    }
}

/// An error of Wasmtime's with imports called as the components have them: those that a composition keeps apart
/// have names that nobody wrote.
fn as_imported(spec: &UnitSpec, error: LinkError) -> LinkError {
    let renamed = spec.imports.iter().filter(|i| i.name != i.original);
    let mut renamed = renamed.peekable();
    match error {
        LinkError::Wasmtime(error) if renamed.peek().is_some() => {
            let text = renamed.fold(format!("{error:#}"), |text, import| {
                let whose = spec.members.get(import.member);
                let whose = whose.map_or("", |member| member.identity.component.as_str());
                let original = format!("`{}` of `{whose}`", import.original);
                text.replace(&format!("`{}`", import.name), &original)
            });
            LinkError::Wasmtime(wasmtime::Error::msg(text))
        }
        other => other,
    }
}

struct Linker<'a> {
    engines: &'a Engines,
    wasi: Wasi,
    /// Of each unit.
    compiled: &'a [Arc<Compiled>],
    codes: HashMap<CodeKey, Arc<UnitCode>>,
}

/// The properties by which units share one [`UnitCode`].
#[derive(PartialEq, Eq, Hash)]
struct CodeKey {
    /// The component, which is kept as long as the graph is built.
    compiled: *const Compiled,
    imports: Vec<ImportKey>,
}

/// The part of an import's definition that depends on the unit.
#[derive(PartialEq, Eq, Hash)]
struct ImportKey {
    name: String,
    interface: Option<String>,
    member: usize,
    source: Discriminant<ImportSource>,
}

impl Linker<'_> {
    fn unit(&mut self, index: usize, spec: UnitSpec) -> Result<Unit, RuntimeError> {
        let needs = Needs::of(&spec.name, &spec.members)?;
        let of_unit = |cause| RuntimeError::Link {
            component: spec.name.clone(),
            cause: as_imported(&spec, cause),
        };
        let code = self.code(index, &spec).map_err(of_unit)?;
        let links = self.links(&spec, &code).map_err(of_unit)?;
        let metrics = &self.engines.observer().metrics;
        let root = spec.members.first();
        let application = root.map_or("", |root| &root.identity.application);
        let counts = metrics.unit(application, &spec.name);
        let account = self.engines.quota().account(application, &spec.name);
        let names = [application, &spec.name];
        for (level, of) in account.levels.iter().zip([&names[..], &names[..1]]) {
            metrics.level(of, level);
        }
        Ok(Unit::new(UnitParts {
            counts,
            account,
            needs,
            code,
            links: Arc::new(links),
            name: spec.name,
            members: spec.members,
            limits: spec.limits,
            grants: spec.grants,
            concurrency: spec.concurrency,
        }))
    }

    fn code(&mut self, index: usize, spec: &UnitSpec) -> Result<Arc<UnitCode>, LinkError> {
        let compiled = &self.compiled[index];
        let imports = spec.imports.iter().map(|import| ImportKey {
            name: import.name.clone(),
            interface: import.interface.clone(),
            member: import.member,
            source: discriminant(&import.source),
        });
        let key = CodeKey {
            compiled: Arc::as_ptr(compiled),
            imports: imports.collect(),
        };
        if let Some(code) = self.codes.get(&key) {
            return Ok(code.clone());
        }
        let (engines, wasi) = (self.engines, &mut self.wasi);
        let code = define(engines, wasi, compiled, spec.concurrency, &spec.imports)?;
        let code = Arc::new(code);
        self.codes.insert(key, code.clone());
        Ok(code)
    }

    /// Where what the unit imports over links leads.
    fn links(&self, spec: &UnitSpec, code: &UnitCode) -> Result<UnitLinks, LinkError> {
        let metrics = &self.engines.observer().metrics;
        let slots = Slots::new(spec);
        // Of the import whose functions come one behind the other.
        let mut counts: (usize, Vec<Arc<LinkCounts>>) = (usize::MAX, Vec::new());
        let mut all_routes = Vec::with_capacity(code.stubs.len());
        for stub in &*code.stubs {
            let import = &spec.imports[stub.import];
            let links = linked(import);
            let importer = &spec.members[import.member].identity;
            if counts.0 != stub.import {
                let of_links = links.iter().map(|link| {
                    let labels = labels(importer, link, &stub.interface);
                    if let LinkTarget::Remote { route, .. } = &link.target {
                        metrics.route(&labels, route);
                    }
                    metrics.link(&labels)
                });
                counts = (stub.import, of_links.collect());
            }
            let routes = links.iter().zip(&counts.1).map(|(link, counts)| {
                let via = self.via(import, link, &stub.function)?;
                let slot = slots.of(import.member, link);
                Ok(LinkRoute::new(link.clone(), slot, via, counts.clone()))
            });
            // Not every target has an import that is missing here: a resource that it opens cannot be handed over then.
            let routes: Result<_, LinkError> = match stub.is_imported {
                true => routes.collect(),
                false => Ok(routes.filter_map(Result::ok).collect()),
            };
            all_routes.push(routes?);
        }
        let outgoing = code.outgoing.iter().map(|number| {
            let import = &spec.imports[*number];
            // Its name was read when it was defined.
            let interface = import.interface.as_deref().unwrap_or_default();
            let interface = interface.split('@').next().unwrap_or_default();
            let importer = &spec.members[import.member].identity;
            let link = |link: &Arc<LinkSpec>| {
                let labels = labels(importer, link, interface);
                if let LinkTarget::Remote {
                    http: Some(route), ..
                } = &link.target
                {
                    metrics.route(&labels, route);
                }
                Ok(Arc::new(OutgoingLink {
                    export: self.http_export(import, link)?,
                    spec: link.clone(),
                    application: importer.application.clone(),
                    face: http::face::of_unversioned(interface),
                    counts: metrics.link(&labels),
                    tracer: self.engines.observer().tracer.clone(),
                    unread: Arc::default(),
                    failures: Arc::new(LinkFailures::new(link.clone())),
                }))
            };
            let links = linked(import).iter().map(link);
            Ok(OutgoingImport {
                interface: interface.to_owned(),
                member: import.member,
                links: links.collect::<Result<_, LinkError>>()?,
            })
        });
        let blobs = code.blobs.iter().map(|import| {
            let import = &spec.imports[*import];
            // Its name was read when it was defined.
            let interface = import.interface.as_deref().unwrap_or_default();
            let interface = interface.split('@').next().unwrap_or_default();
            let importer = &spec.members[import.member].identity;
            let link = |link: &Arc<LinkSpec>| {
                Arc::new(BlobLink {
                    spec: link.clone(),
                    importer: importer.clone(),
                    interface: interface.to_owned(),
                    counts: metrics.link(&labels(importer, link, interface)),
                    tracer: self.engines.observer().tracer.clone(),
                })
            };
            BlobImport {
                interface: interface.to_owned(),
                member: import.member,
                links: linked(import).iter().map(link).collect(),
            }
        });
        Ok(UnitLinks {
            blobs: blobs.collect(),
            stubs: code.stubs.clone(),
            routes: all_routes,
            members: spec.members.iter().map(|m| m.identity.clone()).collect(),
            outgoing: outgoing.collect::<Result<_, LinkError>>()?,
            numbering: slots.numbering(spec.members.len()),
            links: slots.links,
            tracer: self.engines.observer().tracer.clone(),
        })
    }

    /// The export that takes the requests of an import, if it is one of a unit's.
    fn http_export(
        &self,
        import: &ImportSpec,
        link: &LinkSpec,
    ) -> Result<Option<Arc<str>>, LinkError> {
        let LinkTarget::Unit(unit) = &link.target else {
            return Ok(None);
        };
        let mut exports = link.exports.iter();
        let export = exports.find(|(name, _)| *name == import.original);
        let export = export.map(|(_, export)| export.as_str());
        let target = self.compiled.get(*unit);
        match (export, target) {
            (Some(export), Some(target))
                if http::export::function(&target.component, export).is_some() =>
            {
                Ok(Some(export.into()))
            }
            _ => Err(LinkError::NoExport {
                target: link.target_name.clone(),
                interface: export.map(str::to_owned),
                function: http::export::function_name(&import.original).to_owned(),
            }),
        }
    }

    fn via(
        &self,
        import: &ImportSpec,
        link: &Arc<LinkSpec>,
        function: &str,
    ) -> Result<Via, LinkError> {
        let not_linked = || LinkError::NotLinked {
            target: link.target_name.clone(),
            import: import.original.clone(),
            function: function.to_owned(),
        };
        match &link.target {
            LinkTarget::Unit(unit) => {
                let mut exports = link.exports.iter();
                let export = exports.find(|(name, _)| *name == import.original);
                let export = export.map(|(_, export)| export.as_str());
                // A function of the world is exported under its own name.
                let (interface, function) = match &import.interface {
                    Some(_) => (export, function),
                    None => (None, export.unwrap_or(function)),
                };
                let target = self.compiled.get(*unit);
                let export = target.and_then(|target| target.exports.get(interface, function));
                let export = export.cloned().ok_or_else(|| LinkError::NoExport {
                    target: link.target_name.clone(),
                    interface: interface.map(str::to_owned),
                    function: function.to_owned(),
                })?;
                Ok(Via::Unit {
                    unit: *unit,
                    export,
                })
            }
            LinkTarget::Provider {
                provider,
                link: id,
                functions,
            } => {
                let interface = import.interface.as_deref().unwrap_or_default();
                let mut functions = functions.iter();
                let index =
                    functions.position(|f| f.interface == interface && f.function == function);
                Ok(Via::Provider {
                    provider: provider.clone(),
                    link: *id,
                    function: index.ok_or_else(not_linked)?,
                })
            }
            LinkTarget::Remote {
                route, functions, ..
            } => {
                // A function of the world is an import itself.
                let function = match &import.interface {
                    Some(_) => function,
                    None => &import.original,
                };
                let mut functions = functions.iter();
                let index =
                    functions.position(|(of, name)| *of == import.original && name == function);
                Ok(Via::Remote {
                    remote: route.clone(),
                    function: index.ok_or_else(not_linked)?,
                })
            }
        }
    }
}

fn linked(import: &ImportSpec) -> &[Arc<LinkSpec>] {
    match &import.source {
        ImportSource::Links(links) => links,
        ImportSource::Host | ImportSource::Missing => &[],
    }
}

/// The links of a unit, each once for each member that has it: every import over one link reaches the same callee.
struct Slots {
    links: Vec<Arc<LinkSpec>>,
    /// By member and link.
    slots: HashMap<(usize, *const LinkSpec), usize>,
}

impl Slots {
    fn new(spec: &UnitSpec) -> Self {
        let mut slots = Self {
            links: Vec::new(),
            slots: HashMap::new(),
        };
        for import in &spec.imports {
            for link in linked(import) {
                let next = slots.links.len();
                let slot = slots.slots.entry((import.member, Arc::as_ptr(link)));
                if *slot.or_insert(next) == next {
                    slots.links.push(link.clone());
                }
            }
        }
        slots
    }

    fn of(&self, member: usize, link: &Arc<LinkSpec>) -> usize {
        // All links of all imports were given one.
        self.slots[&(member, Arc::as_ptr(link))]
    }

    /// Whether a member's resources come over one link or over several.
    fn numbering(&self, members: usize) -> Vec<Numbering> {
        let mut only = vec![None; members];
        for ((member, _), slot) in &self.slots {
            only[*member] = match only[*member] {
                None => Some(Numbering::Target { slot: *slot }),
                Some(_) => Some(Numbering::Store),
            };
        }
        let numbering = only.into_iter();
        numbering.map(|n| n.unwrap_or(Numbering::Store)).collect()
    }
}
