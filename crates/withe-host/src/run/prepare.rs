//! Makes all that a plan needs beside what runs, and touches nothing of that.
//!
//! Two things of what runs cannot stay as they are until the plan is committed. A link that starts at a provider and
//! gets another configuration is changed where it is, as it may have an address; and a provider that listens and cannot
//! hand its sockets to its successor makes room for it. Both come last, or are undone if the plan is given
//! up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use withe_linker::input::ComponentKind;
use withe_linker::plan::{Plan, PlannedComponent, PlannedLink};
use withe_load::ProviderSource;
use withe_provider::{CallTarget, FunctionName};
use withe_rpc::{LinkRequest, Route};
use withe_runtime::{CalledComponent, Callers, Engines, Graph, HttpEntry, HttpOfOthers};

use super::left::Patience;
use super::live::Live;
use super::providers::{HeldConfig, HeldEnd, HeldLink, LinkKey, RunningProvider, with_paths};
use super::switch::{SourceSwitch, SourceTarget};
use crate::away::{self, Away};
use crate::build::build;
use crate::claims::WithClaims;
use crate::error::{HostError, none_of};
use crate::grants::check_grants;
use crate::options::{HostOptions, Phase, Progress};
use crate::parts::Parts;
use crate::provider_source;
use crate::request::{http_handler, http_request, is_provider, request};
use crate::serve::Served;
use crate::units::{LinkEnd, units};
use crate::workers::Workers;

/// A plan that only has to be committed.
#[derive(Default)]
pub struct Prepared {
    /// All that will run, with what goes on of what runs.
    pub(crate) live: Live,
    /// The targets of the links that start at providers once the plan is committed.
    pub(crate) leads: Vec<(LinkKey, SourceTarget)>,
    /// The links that were made or changed, and start at providers.
    pub(crate) announced: Vec<LinkKey>,
    /// Links as they were before they were changed.
    changed: Vec<HeldLink>,
    /// Providers that stopped to make room.
    stopped: Vec<Arc<RunningProvider>>,
}

/// The inputs for preparing a plan.
pub(crate) struct Preparation<'a> {
    pub(crate) engines: &'a Engines,
    pub(crate) options: &'a HostOptions,
    pub(crate) plan: &'a Plan,
    pub(crate) parts: &'a Arc<Parts>,
    /// The ways to what runs elsewhere.
    pub(crate) away: &'a dyn Away,
    /// The plan that runs now.
    pub(crate) now: &'a Live,
}

impl Preparation<'_> {
    /// Makes everything; what is made is in `new` at once, so that it can be given up at any time.
    ///
    /// # Errors
    ///
    /// If anything cannot be made. All that is wrong in one step is said.
    pub(crate) async fn make(&self, new: &mut Prepared) -> Result<(), HostError> {
        let Self { plan, parts, .. } = *self;
        check_grants(plan, parts, self.options)?;
        self.providers(new).await?;
        let own = self.target_links(new).await?;
        // A link that is pinned to a wire leads there, also to a provider that runs here.
        let mut ends = own.clone();
        ends.extend(away::ends(plan, parts, self.away));
        new.live.workers = Workers::start(plan, parts, ends.clone(), self.options).await?;
        if let Some(workers) = &mut new.live.workers {
            ends.extend(workers.ends(plan, parts));
        }
        let specs = units(parts, plan, &plan.host_units, &ends).map_err(HostError::of)?;
        let began = Instant::now();
        let graph = build(self.engines, specs, self.options.progress.clone()).await?;
        self.options.took(Phase::Compile, began);
        // Calls over the wire are to reach the provider itself.
        ends.extend(own);
        new.live.served = Some(Arc::new(Served {
            plan: Arc::new(plan.clone()),
            parts: parts.clone(),
            graph: Some(graph.clone()),
            ends,
            relays: false,
            tracer: self.options.tracer.clone(),
        }));
        new.live.graph = Some(graph);
        self.source_links(new).await
    }

    /// The providers: those that run as they are wanted, and new ones.
    async fn providers(&self, new: &mut Prepared) -> Result<(), HostError> {
        let folder = &self.parts.folder;
        for component in providers(self.plan) {
            let name = &component.name;
            let source = (self.parts.providers.get(name))
                .ok_or_else(|| HostError::NoProvider(name.clone()))?;
            let before = self.now.providers.get(name);
            if let Some(before) = before.filter(|before| before.fits(source, component, folder)) {
                new.live.providers.insert(name.clone(), before.clone());
                continue;
            }
            (self.options.progress)(Progress::Starting {
                provider: name.clone(),
            });
            let config = with_paths(component.config.clone(), source, folder);
            let made =
                provider_source::create(source, name, self.plan, folder, config, self.options);
            let provider = RunningProvider::new(source.clone(), component, folder, made.await?);
            if let Some(before) = before
                && !before.hand_over(&provider)
            {
                new.stopped.push(before.clone());
                before.stop(self.options.grace).await;
            }
            let counts = &self.options.counts;
            counts.add_provider(&self.plan.application, name, provider.provider());
            let provider = Arc::new(provider);
            new.live.providers.insert(name.clone(), provider.clone());
            provider.start().await?;
        }
        Ok(())
    }

    /// Links that end at providers: they must be ready before a component calls. One that is no longer the same is
    /// made beside the other: instances that run know that one by its number, and its functions by theirs.
    async fn target_links(&self, new: &mut Prepared) -> Result<HashMap<usize, LinkEnd>, HostError> {
        let mut ends = HashMap::new();
        let mut errors = Vec::new();
        for (place, link) in self.plan.links.iter().enumerate() {
            let Some(provider) = new.live.providers.get(&link.target) else {
                continue;
            };
            let key = LinkKey::of(link);
            let functions = self.parts.names(link);
            let config = HeldConfig::of_target(link);
            let known = self.now.targets.get(&key);
            let known = known.filter(|known| known.is_target(provider, &functions, &config));
            let (held, is_new) = match known {
                Some(known) => (known.clone(), false),
                None => {
                    let end = HeldEnd::Target(functions);
                    let application = &self.plan.application;
                    let new = HeldLink::new(provider, application, key.clone(), config, end);
                    (new, true)
                }
            };
            let end = LinkEnd::Provider {
                provider: provider.provider().clone(),
                link: held.id,
            };
            ends.insert(place, end);
            new.live.targets.insert(key, held.clone());
            if is_new && let Err(error) = held.put().await {
                errors.push(error);
            }
        }
        none_of(errors).map(|()| ends)
    }

    /// Links that start at providers. New ones are made first, and lead nowhere until the plan is committed.
    async fn source_links(&self, new: &mut Prepared) -> Result<(), HostError> {
        let wanted: HashSet<_> = self.plan.links.iter().map(LinkKey::of).collect();
        let mut errors = Vec::new();
        let mut changed = Vec::new();
        for link in &self.plan.links {
            let Some(provider) = new.live.providers.get(&link.source).cloned() else {
                continue;
            };
            let target = match self.source_target(new, link) {
                Ok(target) => target,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            let (key, config) = (LinkKey::of(link), HeldConfig::of_source(link));
            let before = self.now.source_of(&key, &wanted);
            let before = before.filter(|before| before.can_lead(&provider, &target));
            let switch = SourceSwitch::closed(&target);
            new.leads.push((key.clone(), target));
            let Some(before) = before else {
                let end = HeldEnd::Source(switch);
                let application = &self.plan.application;
                let held = HeldLink::new(&provider, application, key.clone(), config, end);
                new.live.sources.insert(key.clone(), held.clone());
                new.announced.push(key);
                if let Err(error) = held.put().await {
                    errors.push(error);
                }
                continue;
            };
            let held = before.changed(key.clone(), config);
            if !held.is_as(before) {
                changed.push((before.clone(), held.clone()));
                new.announced.push(key.clone());
            }
            new.live.sources.insert(key, held);
        }
        none_of(std::mem::take(&mut errors))?;
        for (before, held) in changed {
            new.changed.push(before);
            if let Err(error) = held.put().await {
                errors.push(error);
            }
        }
        none_of(errors)
    }

    /// The target of a link that starts at a provider here.
    fn source_target(
        &self,
        new: &mut Prepared,
        link: &PlannedLink,
    ) -> Result<SourceTarget, HostError> {
        let graph = new.live.graph.as_ref();
        let graph = graph.ok_or_else(|| HostError::NoHandler(link.target.clone()))?;
        let graph = graph.clone();
        if is_provider(self.plan, &link.target) {
            return self.of_others(new, link, &graph);
        }
        if let Some(export) = http_handler(link) {
            let handler = match self.source_route(new, link, http_request(self.plan, link)) {
                Some(route) => away::handler(self.plan, link, route, graph, &self.options.tracer),
                None => {
                    let entry = HttpEntry::named(&graph, &link.target, export);
                    Box::new(entry.ok_or_else(|| HostError::NoHandler(link.target.clone()))?)
                }
            };
            return Ok(SourceTarget::Http(handler));
        }
        let functions = self.parts.functions(link);
        let names: Vec<_> = functions.iter().map(|f| f.name.clone()).collect();
        let interfaces: Vec<_> = functions.iter().map(|f| f.key.0.clone()).collect();
        let application = &self.plan.application;
        let asked = request(self.plan, self.parts, link);
        let component = match self.source_route(new, link, asked) {
            Some(route) => CalledComponent::away(&graph, application, link, &interfaces, route),
            None => {
                let exports: Vec<_> = functions.iter().map(|f| f.export.clone()).collect();
                let callers = Callers::Provider(link.scope);
                let served = graph.serve(&link.target, &exports, callers);
                let served = served.map_err(|why| HostError::NotCalled {
                    provider: link.source.clone(),
                    component: link.target.clone(),
                    why,
                })?;
                CalledComponent::here(&graph, application, link, &interfaces, &served)
            }
        };
        Ok(self.called(link, names, Box::new(component)))
    }

    /// The target of a link from a provider here to another provider: that one stands for a component which others run.
    fn of_others(
        &self,
        new: &mut Prepared,
        link: &PlannedLink,
        graph: &Arc<Graph>,
    ) -> Result<SourceTarget, HostError> {
        let application = &self.plan.application;
        let held = new.live.targets.get(&LinkKey::of(link)).cloned();
        if let Some(export) = http_handler(link) {
            let (provider, id) = match held {
                Some(held) => (held.provider.provider().clone(), held.id),
                None => {
                    let route = self.source_route(new, link, http_request(self.plan, link));
                    let route = route.ok_or_else(|| HostError::NoHandler(link.target.clone()))?;
                    away::http_provider(route)
                }
            };
            let handler = HttpOfOthers::new(graph, application, link, export, provider, id);
            return Ok(SourceTarget::Http(Box::new(handler)));
        }
        let names = self.parts.names(link);
        let called = match held {
            Some(held) => {
                let provider = held.provider.provider().clone();
                CalledComponent::of_others(graph, application, link, &names, provider, held.id)
            }
            None => {
                let asked = request(self.plan, self.parts, link);
                let route = self.source_route(new, link, asked);
                let route = route.ok_or_else(|| HostError::NoHandler(link.target.clone()))?;
                let interfaces: Vec<_> = names.iter().map(|f| f.interface.clone()).collect();
                CalledComponent::away(graph, application, link, &interfaces, route)
            }
        };
        Ok(self.called(link, names.to_vec(), Box::new(called)))
    }

    /// The functions that a provider calls over a link: these of `component`, and one of the host's.
    fn called(
        &self,
        link: &PlannedLink,
        mut names: Vec<FunctionName>,
        mut component: Box<dyn CallTarget>,
    ) -> SourceTarget {
        let source = self.parts.providers.get(&link.source);
        // A provider of v1 knows no function of a Withe host.
        let is_v1 = matches!(source, Some(ProviderSource::V1(_)));
        if let Some(claims) = self.away.claims().filter(|_| !is_v1) {
            let application = &self.plan.application;
            let with = WithClaims::add(&mut names, component, application, link, claims);
            component = Box::new(with);
        }
        SourceTarget::Functions(names.into(), component)
    }

    /// The way of a link that starts at a provider here and leads to another process.
    fn source_route(
        &self,
        new: &mut Prepared,
        link: &PlannedLink,
        request: LinkRequest,
    ) -> Option<Arc<Route>> {
        if link.leaves_host {
            return self.away.route(request, link);
        }
        let workers = new.live.workers.as_mut()?;
        workers.route(self.plan, link, request)
    }
}

impl Prepared {
    /// Gives it up: what runs `now` is as it was.
    pub(crate) async fn give_up(self, now: &Live, patience: Patience) {
        for before in &self.changed {
            if let Err(error) = before.put().await {
                tracing::error!("a link could not be put back as it was: {error}");
            }
        }
        drop(self.leads);
        // Calls over links that never led anywhere wait no longer: their callers can make them elsewhere.
        let runs: HashSet<_> = now.links().map(|link| link.id).collect();
        let new = self
            .live
            .sources
            .values()
            .filter(|link| !runs.contains(&link.id));
        new.filter_map(HeldLink::switch).for_each(SourceSwitch::end);
        self.live.without(now).end(patience).await;
        for provider in self.stopped {
            if let Err(error) = come_back(&provider, now).await {
                tracing::error!("a provider that had made room did not come back: {error}");
            }
        }
    }
}

/// Starts a provider again that had stopped, with the links that it has in what runs `now`.
async fn come_back(provider: &Arc<RunningProvider>, now: &Live) -> Result<(), HostError> {
    provider.start().await?;
    let mut errors = Vec::new();
    for link in now.links().filter(|l| Arc::ptr_eq(&l.provider, provider)) {
        errors.extend(link.put().await.err());
    }
    none_of(errors)
}

/// The providers that run on this host.
fn providers(plan: &Plan) -> impl Iterator<Item = &PlannedComponent> {
    let components = plan.components.iter();
    components.filter(|c| c.kind == ComponentKind::Provider && !c.elsewhere)
}
