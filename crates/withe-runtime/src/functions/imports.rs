//! Satisfies a unit's imports in a Wasmtime linker: host functions, and stubs that lead over links.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem};
use wasmtime::component::{Linker, LinkerInstance, ResourceType};
use wasmtime::{Result, bail, format_err};
use withe_wit::InterfaceName;

use super::{LogStream, cli, config, lattice, logging, rpc, wasi};
use crate::Observer;
use crate::abi::Shape;
use crate::dispatch;
use crate::graph::{Compiled, export_of};
use crate::http::{self, OutgoingLink};
use crate::link::{LinkFn, ResourceDrop, Route, Via};
use crate::metrics::LinkLabels;
use crate::spec::{Identity, ImportSource, ImportSpec, LinkSpec, LinkTarget};
use crate::state::State;
use crate::trace::Hop;

/// Tells the resources of one component from those of another, for Wasmtime's type check. All that
/// come to a component over links are of one host type: within a component its own types keep them
/// apart, and interfaces may share one (`wasi:keyvalue/atomics` uses the bucket of `store`).
fn resource_type(member: usize) -> ResourceType {
    // Components number their members alone; a handle never crosses from one unit to another.
    ResourceType::host_dynamic(member as u32)
}

/// Defines all that `unit` imports. Returns how many callees an instance may have.
pub(crate) fn define(
    linker: &mut Linker<State>,
    unit: &Compiled,
    all: &[Compiled],
    observer: &Observer,
) -> Result<usize> {
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    if unit.spec.concurrency {
        wasmtime_wasi::p3::add_to_linker(linker)?;
        wasmtime_wasi_http::p3::add_to_linker(linker)?;
    }
    let mut definer = Definer {
        unit,
        all,
        observer,
        slots: HashMap::new(),
    };
    let engine = unit.component.engine().clone();
    for (name, import) in unit.component.component_type().imports(&engine) {
        // Types and shared interfaces that only WASI's own functions mention may go unnamed.
        let spec = unit.spec.imports.iter().find(|i| i.name == name);
        match (spec, import.ty) {
            (Some(spec), ComponentItem::ComponentInstance(ty)) => {
                definer.interface(linker, spec, &ty)?;
            }
            (Some(spec), ComponentItem::ComponentFunc(ty)) => {
                let ImportSource::Links(links) = &spec.source else {
                    bail!("nothing satisfies the imported function `{name}`");
                };
                let function = definer.link_fn(spec, links, None, name)?;
                dispatch::define(&mut linker.root(), name, Shape::of(&ty), Arc::new(function))?;
            }
            _ => {}
        }
    }
    Ok(definer.slots.len())
}

struct Definer<'a> {
    unit: &'a Compiled,
    all: &'a [Compiled],
    observer: &'a Observer,
    /// The slot of each callee: by member and link.
    slots: HashMap<(usize, *const LinkSpec), usize>,
}

impl Definer<'_> {
    fn interface(
        &mut self,
        linker: &mut Linker<State>,
        spec: &ImportSpec,
        ty: &ComponentInstance,
    ) -> Result<()> {
        let name = spec
            .interface
            .as_deref()
            .and_then(|name| name.parse::<InterfaceName>().ok());
        match (&spec.source, &name) {
            (ImportSource::Links(links), Some(name)) if http::is_outgoing(name) => {
                let interface = format!("wasi:http/{}", name.interface);
                let outgoing = |link: &Arc<LinkSpec>| OutgoingLink {
                    spec: link.clone(),
                    application: self.identity(spec).application.clone(),
                    place: {
                        let labels = self.labels(spec, link, &interface);
                        self.observer.metrics.link(&labels)
                    },
                    tracer: self.observer.tracer.clone(),
                };
                http::define_outgoing(
                    &mut linker.instance(&spec.name)?,
                    name,
                    spec.member,
                    links.iter().map(outgoing).collect(),
                )
            }
            (ImportSource::Links(links), _) => {
                self.linked(&mut linker.instance(&spec.name)?, spec, links, ty)
            }
            (ImportSource::Host, Some(name)) => self.host(linker, spec, name, ty),
            (ImportSource::Host, None) => {
                bail!("nothing satisfies the imported interface `{}`", spec.name)
            }
        }
    }

    /// Interfaces whose functions depend on who calls, and WASI's under names that Wasmtime does not know.
    fn host(
        &self,
        linker: &mut Linker<State>,
        spec: &ImportSpec,
        name: &InterfaceName,
        ty: &ComponentInstance,
    ) -> Result<()> {
        let who = self.identity(spec).clone();
        let engine = self.unit.component.engine();
        let functions: Vec<_> = ty.exports(engine).map(|(name, _)| name).collect();
        // Types alone are no more than their structure.
        let is_called = ty.exports(engine).any(|(_, item)| {
            matches!(
                item.ty,
                ComponentItem::ComponentFunc(_) | ComponentItem::Resource(_)
            )
        });
        let path = (
            name.namespace.as_str(),
            name.package.as_str(),
            name.interface.as_str(),
        );
        let is_p2 = name
            .version
            .as_ref()
            .is_some_and(|v| (v.major, v.minor) == (0, 2));
        match path {
            ("wasi", "cli", "environment") => {
                cli::environment(&mut linker.instance(&spec.name)?, who, &functions)
            }
            ("wasi", "cli", "stdout") if is_p2 => cli::output(
                &mut linker.instance(&spec.name)?,
                "get-stdout",
                LogStream::stdout(who),
            ),
            ("wasi", "cli", "stderr") if is_p2 => cli::output(
                &mut linker.instance(&spec.name)?,
                "get-stderr",
                LogStream::stderr(who),
            ),
            ("wasi", "config", _) => {
                config::define(&mut linker.instance(&spec.name)?, who, &functions)
            }
            ("wasi", "logging", "logging") => {
                logging::define(&mut linker.instance(&spec.name)?, who)
            }
            ("wrpc", "rpc", "error") => rpc::define(&mut linker.instance(&spec.name)?, &functions),
            ("wasmcloud", "bus", "lattice") => {
                let returns_result = name.version.as_ref().is_some_and(|v| v.major >= 2);
                lattice::define(
                    &mut linker.instance(&spec.name)?,
                    spec.member,
                    returns_result,
                )
            }
            ("wasi", ..) if is_called && !self.is_wasmtimes(&spec.name) => {
                wasi::define(&mut linker.instance(&spec.name)?, name)
            }
            _ => Ok(()),
        }
    }

    /// Whether the import of this name is defined with Wasmtime's own: a release of WASI 0.2, or of 0.3 on the
    /// engine with concurrency, by the interface's own name.
    fn is_wasmtimes(&self, name: &str) -> bool {
        let name = name.parse::<InterfaceName>().ok();
        let version = name.and_then(|name| name.version);
        version.is_some_and(|v| v.pre.is_empty() && (v.minor == 2 || self.unit.spec.concurrency))
    }

    fn linked(
        &mut self,
        linker: &mut LinkerInstance<'_, State>,
        spec: &ImportSpec,
        links: &[Arc<LinkSpec>],
        ty: &ComponentInstance,
    ) -> Result<()> {
        let engine = self.unit.component.engine();
        for (name, item) in ty.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(ty) => {
                    let function = self.function(spec, links, name, &ty)?;
                    dispatch::define(linker, name, Shape::of(&ty), function)?;
                }
                ComponentItem::Resource(_) => {
                    let drops: Vec<_> = links
                        .iter()
                        .map(|link| self.resource_drop(spec, link))
                        .collect();
                    let drops: Arc<[ResourceDrop]> = drops.into();
                    linker.resource_async(
                        name,
                        resource_type(spec.member),
                        move |mut cx, rep| {
                            let (route, id) = crate::link::split_handle(drops.len(), rep);
                            let run = drops.get(route).map(|drop| drop.run(cx.data_mut(), id));
                            Box::new(async move {
                                match run {
                                    Some(run) => run.await,
                                    None => Ok(()),
                                }
                            })
                        },
                    )?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn function(
        &mut self,
        spec: &ImportSpec,
        links: &[Arc<LinkSpec>],
        name: &str,
        ty: &ComponentFunc,
    ) -> Result<Arc<LinkFn>> {
        if ty.async_() && !self.unit.spec.concurrency {
            bail!(
                "`{name}` is async, but the component runs on the engine without concurrency support"
            );
        }
        Ok(Arc::new(self.link_fn(
            spec,
            links,
            spec.interface.as_deref(),
            name,
        )?))
    }

    fn link_fn(
        &mut self,
        spec: &ImportSpec,
        links: &[Arc<LinkSpec>],
        interface: Option<&str>,
        function: &str,
    ) -> Result<LinkFn> {
        if links.len() > 256 {
            bail!("more than 256 links serve the import `{}`", spec.name);
        }
        let unversioned = interface
            .unwrap_or(function)
            .split('@')
            .next()
            .unwrap_or_default();
        let routes = links
            .iter()
            .map(|link| {
                let via = self.via(spec, link, function)?;
                let labels = self.labels(spec, link, unversioned);
                if let LinkTarget::Remote { route, .. } = &link.target {
                    self.observer.metrics.route(&labels, route);
                }
                Ok(Route {
                    link: link.clone(),
                    via,
                    place: self.observer.metrics.link(&labels),
                    hop: Hop::link(&labels, function),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(LinkFn {
            name: interface.map_or_else(|| function.to_owned(), |i| format!("{i}.{function}")),
            interface: unversioned.to_owned(),
            member: spec.member,
            importer: self.identity(spec).clone(),
            error_arm: spec.rpc_errors.iter().any(|name| name == function),
            routes,
            tracer: self.observer.tracer.clone(),
        })
    }

    /// What counts and spans of a link are known by; `interface` has no version.
    fn labels<'b>(
        &'b self,
        spec: &ImportSpec,
        link: &'b LinkSpec,
        interface: &'b str,
    ) -> LinkLabels<'b> {
        LinkLabels {
            application: &self.identity(spec).application,
            source: &link.source,
            target: &link.target_name,
            name: &link.name,
            interface,
            binding: link.binding,
        }
    }

    fn via(&mut self, spec: &ImportSpec, link: &Arc<LinkSpec>, function: &str) -> Result<Via> {
        match &link.target {
            LinkTarget::Unit(unit) => {
                let export = link
                    .exports
                    .iter()
                    .find(|(import, _)| *import == spec.original);
                let export = export.map(|(_, export)| export.as_str());
                // A function of the world is exported under its own name.
                let (interface, function) = match &spec.interface {
                    Some(_) => (export, function),
                    None => (None, export.unwrap_or(function)),
                };
                let target =
                    export_of(self.all, &link.target, interface, function).ok_or_else(|| {
                        format_err!(
                            "`{}` exports no `{function}` in `{}`",
                            link.target_name,
                            interface.unwrap_or("its world")
                        )
                    })?;
                Ok(Via::Unit {
                    unit: *unit,
                    slot: self.slot(spec.member, link),
                    export: target.clone(),
                })
            }
            LinkTarget::Provider {
                provider,
                link: id,
                functions,
            } => {
                let interface = spec.interface.as_deref().unwrap_or_default();
                let index = functions
                    .iter()
                    .position(|f| f.interface == interface && f.function == function)
                    .ok_or_else(|| {
                        format_err!("`{interface}.{function}` is not part of the link")
                    })?;
                Ok(Via::Provider {
                    provider: provider.clone(),
                    link: *id,
                    function: index,
                })
            }
            LinkTarget::Remote {
                route, functions, ..
            } => {
                // A function of the world is an import itself.
                let function = match &spec.interface {
                    Some(_) => function,
                    None => &spec.original,
                };
                let index = functions
                    .iter()
                    .position(|(import, f)| *import == spec.original && f == function)
                    .ok_or_else(|| {
                        format_err!(
                            "`{function}` of `{}` is not part of the link",
                            spec.original
                        )
                    })?;
                Ok(Via::Remote {
                    remote: route.clone(),
                    slot: self.slot(spec.member, link),
                    function: index,
                })
            }
        }
    }

    fn resource_drop(&mut self, spec: &ImportSpec, link: &Arc<LinkSpec>) -> ResourceDrop {
        match &link.target {
            LinkTarget::Unit(unit) => ResourceDrop::Unit {
                unit: *unit,
                slot: self.slot(spec.member, link),
                scope: link.scope,
            },
            LinkTarget::Provider { provider, link, .. } => ResourceDrop::Provider {
                provider: provider.clone(),
                link: *link,
            },
            LinkTarget::Remote { route, drop, .. } => ResourceDrop::Remote {
                remote: route.clone(),
                slot: self.slot(spec.member, link),
                link: link.clone(),
                function: *drop,
            },
        }
    }

    /// Every import over one link reaches the same callee.
    fn slot(&mut self, member: usize, link: &Arc<LinkSpec>) -> usize {
        let next = self.slots.len();
        *self
            .slots
            .entry((member, Arc::as_ptr(link)))
            .or_insert(next)
    }

    fn identity(&self, spec: &ImportSpec) -> &Arc<Identity> {
        &self.unit.spec.members[spec.member].identity
    }
}
