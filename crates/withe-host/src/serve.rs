//! Serves units, providers, and ways to parts on other hosts to other processes.

mod ping;
mod provider;
mod relay;

use std::collections::HashMap;
use std::sync::Arc;

use withe_linker::plan::{Plan, PlannedLink};
use withe_provider::{blob_wire, http_wire};
use withe_rpc::{CallError, LinkFunction, LinkRequest, Serve, ServedLink};
use withe_runtime::{Callers, DROP, Graph, HttpEntry, Tracer};
use withe_wit::{ExternItem, Function};

use crate::counts;
use crate::parts::Parts;
use crate::request::{http_export, is_provider};
use crate::units::LinkEnd;

/// The parts that one process serves.
pub struct Served {
    /// Of which it carries out a part.
    pub plan: Arc<Plan>,
    /// The plan's parts.
    pub parts: Arc<Parts>,
    /// The units that run in the process.
    pub graph: Option<Arc<Graph>>,
    /// Where links lead that do not lead to units, by their places in the plan.
    pub ends: HashMap<usize, LinkEnd>,
    /// Whether those who ask take its ways to what runs elsewhere: the other processes of this host, which have
    /// none. Other hosts ask for what runs here.
    pub(crate) relays: bool,
    /// Where calls of providers are traced; units do that themselves.
    pub(crate) tracer: Tracer,
}

impl Serve for Served {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        if request.application != self.plan.application {
            return Err(CallError::Unlinked(format!(
                "this process serves `{}`, not `{}`",
                self.plan.application, request.application
            )));
        }
        if let Some(graph) = &self.graph
            && counts::is_asked(&request.functions)
        {
            return Ok(counts::link(&graph.observer().metrics));
        }
        let of = |link: &PlannedLink| {
            link.source == request.importer
                && link.target == request.target
                && link.name == request.name
        };
        let place = self.plan.links.iter().position(of).ok_or_else(|| {
            CallError::Unlinked(format!(
                "the plan has no link `{}` from `{}` to `{}`",
                request.name, request.importer, request.target
            ))
        })?;
        self.planned(place, &request)
    }
}

pub use ping::request as ping_request;

impl Served {
    /// Whether a part of the application runs in this process.
    fn is_here(&self, part: &str) -> Result<(), CallError> {
        let mut components = self.plan.components.iter();
        if components.any(|c| c.name == part && !c.elsewhere) {
            return Ok(());
        }
        let why = format!("`{part}` does not run on this host");
        Err(CallError::Unlinked(why))
    }

    /// Serves the link at `place` in the plan.
    fn planned(
        &self,
        place: usize,
        request: &LinkRequest,
    ) -> Result<Arc<dyn ServedLink>, CallError> {
        let LinkRequest {
            target, functions, ..
        } = request;
        let link = &self.plan.links[place];
        if ping::is_asked(functions) {
            return self.is_here(target).map(|()| ping::link());
        }
        match self.ends.get(&place) {
            Some(LinkEnd::Provider { provider, link: id }) if http_wire::is_http(functions) => {
                return Ok(http_wire::serve_outgoing(provider.clone(), *id));
            }
            Some(LinkEnd::Provider { provider, link: id }) if blob_wire::is_blobs(functions) => {
                return Ok(blob_wire::serve(provider.clone(), *id));
            }
            Some(LinkEnd::Provider { provider, link: id }) => {
                let known = self.parts.names(link);
                return provider::link(provider, *id, request, &known, &self.tracer);
            }
            Some(LinkEnd::Remote {
                http: Some(route), ..
            }) if self.relays && http_wire::is_http(functions) => {
                return Ok(relay::link(route.clone(), functions.len()));
            }
            Some(LinkEnd::Remote { route, .. }) if self.relays => {
                return Ok(relay::link(route.clone(), functions.len()));
            }
            Some(LinkEnd::Remote { .. }) | None => {}
        }
        let Some(graph) = &self.graph else {
            let why = format!("`{target}` does not run in this process");
            return Err(CallError::Unlinked(why));
        };
        if http_wire::is_http(functions) {
            let export = http_export(link);
            let entry = export.and_then(|export| HttpEntry::named(graph, target, export));
            let no_handler = || CallError::Unlinked(format!("`{target}` handles no HTTP here"));
            return Ok(http_wire::serve(Arc::new(entry.ok_or_else(no_handler)?)));
        }
        let exports: Vec<_> = functions
            .iter()
            .map(|function| self.export(target, function))
            .collect::<Result<_, _>>()?;
        let callers = match is_provider(&self.plan, &link.source) {
            true => Callers::Provider(link.scope),
            false => Callers::Components(link.scope),
        };
        graph.serve(target, &exports, callers)
    }

    /// The name under which `target` exports a function, if it has the type that the importer thinks.
    fn export(
        &self,
        target: &str,
        wanted: &LinkFunction,
    ) -> Result<(Option<String>, String), CallError> {
        let interface = Some(&wanted.interface).filter(|name| !name.is_empty());
        if interface.is_none() && wanted.function == DROP {
            return Ok((None, DROP.into()));
        }
        let name = interface.unwrap_or(&wanted.function);
        let export = self.parts.world(target);
        let export = export.and_then(|world| world.exports.iter().find(|e| e.name == *name));
        let function: Option<&Function> = match export.map(|e| &e.item) {
            Some(ExternItem::Interface(i)) => {
                i.functions.iter().find(|f| f.name == wanted.function)
            }
            Some(ExternItem::Function(f)) => Some(f),
            None => None,
        };
        let what = match interface {
            Some(interface) => format!("`{}` of `{interface}`", wanted.function),
            None => format!("`{}`", wanted.function),
        };
        match function {
            None => Err(CallError::Unlinked(format!("`{target}` exports no {what}"))),
            Some(f) if f.digest() != wanted.digest => Err(CallError::TypeMismatch(format!(
                "{what} has another type in `{target}` than the importer thinks"
            ))),
            Some(_) => Ok((interface.cloned(), wanted.function.clone())),
        }
    }
}
