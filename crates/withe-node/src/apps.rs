//! One application on this host: what the deployment gives it is made to run, for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use withe_host::elsewhere::is_elsewhere;
use withe_host::{HostError, Parts, Running};
use withe_linker::Diagnostics;
use withe_linker::input::{ComponentKind, Placement};
use withe_linker::plan::{Binding, Plan, PlannedLink};
use withe_linker::secrets::SecretValues;
use withe_load::{LinkOptions, Loaded, ProviderSource};
use withe_rpc::BackOff;

use crate::admission::admit;
use crate::desired::{self, Desired, FetchError};
use crate::events::Event;
use crate::hosts::Hosts;
use crate::links::ChangeError;
use crate::placement::Seen;
use crate::policy::RefusedByPolicy;
use crate::programs::CannotRun;
use crate::records::{Deployment, RunningApp, RunningLink, RunningPart};
use crate::sealing::{self, SealedError};
use crate::table::Wanted;
use crate::this_host::ThisHost;
use crate::wasmcloud;

/// How long to wait before what failed is tried again: at first, and at most.
const PAUSES: BackOff = BackOff {
    first: Duration::from_millis(500),
    most: Duration::from_secs(15),
};

/// How long calls of wasmCloud v1 may go on with what was replaced.
const HIDING: Duration = Duration::from_secs(10);
/// How long calls that began before a part came here are waited for until others hear that it has.
const EARLIER: Duration = Duration::from_secs(3);

/// Why a host does not do what is wanted of it.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Load(#[from] ChangeError),
    /// Its secret values cannot be had.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// Loading panicked.
    #[error("loading stopped: {0}")]
    Stopped(#[source] JoinError),
    /// The parts cannot be linked as they are placed.
    #[error("{}", text_of(.0))]
    Link(Diagnostics),
    /// The operator does not let this host run it.
    #[error(transparent)]
    Refused(#[from] RefusedByPolicy),
    #[error(transparent)]
    Program(#[from] CannotRun),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// An application as this host has it.
pub(crate) struct Application {
    name: String,
    this: Arc<ThisHost>,
    running: Option<Running>,
    /// The put that was loaded last. Its revision would not tell: a lattice that has lost its data counts anew.
    loaded: Option<(Arc<Desired>, Arc<Loaded>)>,
    /// The secret values of what was read last.
    secrets: SecretValues,
    plan: Option<Plan>,
    /// The revision of the put that was prepared last.
    prepared: u64,
    /// The put that the host's policy accepted last.
    admitted: Option<Arc<Desired>>,
    /// Its components, as wasmCloud v1 reaches them.
    exposed: Vec<withe_wasmcloud::ServedComponent>,
    /// The highest number of a deployment that was followed, and the revision of its entry.
    number: u64,
    entry: u64,
    /// Whether the lattice has lost what it said of the application.
    is_lost: bool,
    /// When links that were served before are served no more, if there are any.
    forget: Option<Instant>,
}

impl Application {
    pub(crate) fn new(name: String, this: Arc<ThisHost>) -> Self {
        Self {
            name,
            this,
            running: None,
            loaded: None,
            secrets: SecretValues::default(),
            plan: None,
            prepared: 0,
            admitted: None,
            exposed: Vec::new(),
            number: 0,
            entry: 0,
            is_lost: false,
            forget: None,
        }
    }

    /// Follows what is wanted until `stop`, and then ends what runs.
    pub(crate) async fn run(
        mut self,
        mut wanted: watch::Receiver<Wanted>,
        stop: CancellationToken,
    ) {
        let mut hosts = self.this.peers.hosts();
        let mut failures = 1;
        loop {
            let now = wanted.borrow_and_update().clone();
            let seen = hosts.borrow_and_update().clone();
            let followed = self.follow(&now, &seen, &stop).await;
            if stop.is_cancelled() {
                break;
            }
            if followed && self.running.is_none() && now.desired.is_none() {
                self.this.library.forget(&self.name);
                // Nothing is left of it; it begins anew if it is put again.
                return;
            }
            let again = async {
                if followed {
                    std::future::pending::<()>().await;
                }
                sleep(PAUSES.after(failures)).await;
            };
            let forget = async {
                match self.forget {
                    Some(time) => sleep_until(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = forget => {
                    self.this.applications.forget(&self.name);
                    self.forget = None;
                }
                () = again => failures += 1,
                changed = wanted.changed() => {
                    failures = 1;
                    if changed.is_err() {
                        break;
                    }
                }
                _ = hosts.changed() => {}
                () = stop.cancelled() => break,
            }
        }
        self.end().await;
    }

    /// Makes this host do what is wanted of it; false if that failed, and is to be tried again.
    async fn follow(&mut self, wanted: &Wanted, hosts: &Hosts, stop: &CancellationToken) -> bool {
        self.note_lost(wanted.is_lost);
        let (Some(desired), Some((deployment, entry))) = (&wanted.desired, &wanted.deployment)
        else {
            // Where what was put again runs is decided soon.
            if !wanted.is_lost {
                self.end().await;
            }
            return true;
        };
        // A lattice that has lost its data counts anew.
        if deployment.number < self.number && *entry >= self.entry {
            tracing::warn!(
                application = self.name,
                "deployment {} is older than {}, and not followed",
                deployment.number,
                self.number
            );
            return true;
        }
        // This deployment places the parts of another revision; the one for this revision comes soon.
        if deployment.revision != desired.revision {
            return true;
        }
        (self.number, self.entry) = (deployment.number, *entry);
        let own = &self.this.id;
        if !deployment
            .hosts
            .values()
            .any(|hosts| hosts.contains_key(own))
        {
            self.end().await;
            return true;
        }
        match self.carry_out(desired, deployment, hosts, stop).await {
            Ok(()) => true,
            Err(_) if stop.is_cancelled() => false,
            Err(why) => {
                self.failed(desired, &why.to_string());
                false
            }
        }
    }

    /// Says so when the lattice has lost what it said, or has it again.
    fn note_lost(&mut self, is_lost: bool) {
        if std::mem::replace(&mut self.is_lost, is_lost) == is_lost || self.running.is_none() {
            return;
        }
        let application = self.name.clone();
        if is_lost {
            tracing::warn!(
                application,
                "the lattice has lost this application, and nobody has removed it: what runs of it here goes on; `withe \
                 up` puts it again, and `withe down` ends it"
            );
            self.this.tell(Event::Lost { application });
        }
        if let Some(report) = self.this.reported(&self.name) {
            let report = RunningApp {
                lost: is_lost,
                ..report
            };
            self.this.report(&self.name, Some(report));
        }
    }

    async fn carry_out(
        &mut self,
        desired: &Arc<Desired>,
        deployment: &Deployment,
        hosts: &Hosts,
        stop: &CancellationToken,
    ) -> Result<(), FollowError> {
        // Nothing of it is made yet, so that it may end anywhere.
        let loaded = tokio::select! {
            loaded = self.load(desired) => loaded?,
            () = stop.cancelled() => return Err(HostError::Cancelled.into()),
        };
        let surroundings = desired::surroundings(&*self.this.lattice);
        let linked = loaded.link(&LinkOptions {
            placement: self.placement(&loaded, deployment, hosts).await,
            ..desired::link_options(&desired.record, surroundings)
        });
        let Some(plan) = &linked.plan else {
            return Err(FollowError::Link(linked.diagnostics.clone()));
        };
        let is_same = self
            .plan
            .as_ref()
            .is_some_and(|current| is_same(current, plan));
        // A plan has the names of secrets that hosts fetch: who puts the same again may have changed their values.
        let is_put_again = desired.revision != self.prepared && plan.asks_for_secrets();
        let is_new = !is_same || is_put_again || self.running.is_none();
        // Another deployer may have put the same again.
        let is_admitted =
            (self.admitted.as_ref()).is_some_and(|admitted| Arc::ptr_eq(admitted, desired));
        if is_new || !is_admitted {
            if let Err(why) = self.may_run(desired, &loaded, plan).await {
                // The operator may put the program there meanwhile: then it is elsewhere than this reading has it.
                self.loaded = None;
                self.this.library.forget(&self.name);
                return Err(why);
            }
            self.admitted = Some(desired.clone());
        }
        if is_new {
            let running = match &mut self.running {
                Some(running) => running,
                None => self.running.insert(self.this.host.empty()),
            };
            let this = &self.this;
            if calls_itself(plan) {
                let served = Arc::new(this.applications.clone());
                let reached = this.peers.reach_itself(served).await;
                reached.map_err(HostError::Listen)?;
            }
            let parts = Arc::new(Parts::of(&loaded));
            let prepared = running.prepare(plan, &parts, &*this.peers, stop).await;
            running.commit(prepared?);
            self.prepared = desired.revision;
            let served = running.served();
            if this.applications.set(&self.name, served.clone()) {
                self.forget = Some(Instant::now() + this.host.grace());
            }
            if let (Some(wire), Some(served)) = (&this.wasmcloud, &served) {
                let lattice = this.lattice.name();
                let exposed = wasmcloud::expose(wire, lattice, served).await;
                hide(std::mem::replace(&mut self.exposed, exposed));
            }
            this.tell(Event::Linked {
                application: self.name.clone(),
                number: deployment.number,
                links: plan.links.iter().filter(|l| !l.incoming).count(),
            });
        }
        let before = self.plan.as_ref().filter(|_| is_new);
        if let (Some(running), Some(before)) = (&self.running, before)
            && comes_here(before, plan)
        {
            // Others give up the part when they hear that it is here, and calls that are under way have nobody else.
            running.earlier_calls(EARLIER).await;
        }
        let endpoints = self.running.as_ref().map(Running::endpoints);
        let report = RunningApp {
            lost: self.is_lost,
            ..report(plan, desired, deployment, endpoints.unwrap_or_default())
        };
        self.this.report(&self.name, Some(report));
        self.plan = Some(plan.clone());
        Ok(())
    }

    async fn load(&mut self, desired: &Arc<Desired>) -> Result<Arc<Loaded>, FollowError> {
        if let Some((same, loaded)) = &self.loaded
            && Arc::ptr_eq(same, desired)
        {
            return Ok(loaded.clone());
        }
        let this = &self.this;
        if let Some(loaded) = this.library.find(&desired.record) {
            return Ok(self.read(desired, loaded));
        }
        // Nothing of it is fetched that could not be run.
        let seal_key = this.seal_key.as_deref();
        let opened = sealing::open(&desired.record, this.lattice.name(), seal_key)?;
        let record = opened.into_owned();
        let known = self.known();
        let mut supplied = desired::fetch(&*this.lattice, &desired.record, &known).await?;
        for (provider, program) in &mut supplied.programs {
            if let Some(record) = desired.record.programs.get(provider) {
                let place = this.programs.place(record).await;
                // Starting the provider reports why its program is missing.
                program.path = place.unwrap_or_default();
            }
        }
        let registry = this.registry.clone();
        let load = move || desired::load(&record, &supplied, &registry);
        let loaded = tokio::task::spawn_blocking(load)
            .await
            .map_err(FollowError::Stopped)??;
        let loaded = Arc::new(loaded);
        (this.library).keep(desired.record.clone(), loaded.clone());
        Ok(self.read(desired, loaded))
    }

    /// Takes note of what was read.
    fn read(&mut self, desired: &Arc<Desired>, loaded: Arc<Loaded>) -> Arc<Loaded> {
        let application = loaded.application.as_ref();
        self.secrets = application.map_or_else(SecretValues::default, |app| SecretValues::of(app));
        self.loaded = Some((desired.clone(), loaded.clone()));
        loaded
    }

    /// Sees to it that what the plan runs here may run, and has the programs that it needs.
    async fn may_run(
        &self,
        desired: &Desired,
        loaded: &Loaded,
        plan: &Plan,
    ) -> Result<(), FollowError> {
        // All of it is refused before anything of it is fetched.
        admit(&self.this, desired, loaded, plan).await?;
        Ok(self.fetch_programs(desired, loaded, plan).await?)
    }

    /// Has the programs of those providers here that the plan runs here.
    async fn fetch_programs(
        &self,
        desired: &Desired,
        loaded: &Loaded,
        plan: &Plan,
    ) -> Result<(), CannotRun> {
        let this = &self.this;
        for part in plan.components.iter().filter(|part| !part.elsewhere) {
            let provider = loaded.part(&part.name).and_then(|part| part.provider());
            if let Some(path) = provider.and_then(ProviderSource::file) {
                let record = desired.record.programs.get(&part.name);
                let programs = &this.programs;
                (programs.ensure(&*this.lattice, &part.name, record, path)).await?;
            }
        }
        Ok(())
    }

    /// The bytes of components that are here already, by digest.
    fn known(&self) -> BTreeMap<String, Arc<[u8]>> {
        let parts = self.loaded.iter().flat_map(|(_, loaded)| &loaded.parts);
        parts
            .filter_map(|part| {
                let component = part.component()?;
                Some((component.digest.to_owned(), component.bytes.clone()))
            })
            .collect()
    }

    /// Where the parts run, as this host sees it.
    async fn placement(
        &self,
        loaded: &Loaded,
        deployment: &Deployment,
        hosts: &Hosts,
    ) -> Placement {
        let this = &self.this;
        let own = &this.id;
        let Some(application) = &loaded.application else {
            return Placement::default();
        };
        let seen = Seen {
            surroundings: desired::surroundings(&*this.lattice),
            hosts,
            assignment: &deployment.hosts,
            all_are_called: this.wasmcloud.is_some(),
        };
        let elsewhere = seen.elsewhere(application, own);
        let ids: BTreeSet<String> = elsewhere.into_values().flatten().collect();
        let reach = this.peers.reach(&ids).await;
        seen.placement(application, own, |id| reach.get(id).copied())
    }

    fn failed(&self, desired: &Desired, why: &str) {
        // All who can look at the lattice see the reason.
        let why = self.secrets.mask(why).into_owned();
        tracing::error!(application = self.name, "{why}");
        let mut report = self.this.reported(&self.name).unwrap_or_default();
        if report.failure.as_ref() != Some(&why) {
            self.this.tell(Event::Failed {
                application: self.name.clone(),
                why: why.clone(),
            });
        }
        report.failure = Some(why);
        report.number = self.number;
        if self.running.is_none() {
            report.revision = desired.revision;
        }
        self.this.report(&self.name, Some(report));
    }

    /// Ends what runs of it here.
    async fn end(&mut self) {
        // Others look elsewhere before it is gone.
        self.this.report(&self.name, None);
        if let Some(running) = self.running.take() {
            self.this.settle().await;
            hide(std::mem::take(&mut self.exposed));
            self.this.applications.set(&self.name, None);
            running.shutdown().await;
            self.this.tell(Event::Stopped {
                application: self.name.clone(),
            });
        }
        self.plan = None;
    }
}

/// Lets calls of wasmCloud v1 under way finish on what was replaced.
fn hide(exposed: Vec<withe_wasmcloud::ServedComponent>) {
    for one in exposed {
        // The component stops by itself within that time.
        tokio::spawn(one.stop(HIDING));
    }
}

/// Whether the host calls itself over TCP.
fn calls_itself(plan: &Plan) -> bool {
    let mut links = plan.links.iter();
    links.any(|link| {
        link.leaves_host && link.binding == Binding::Tcp && !is_elsewhere(plan, &link.target)
    })
}

/// Whether a part runs here now that was called on other hosts before.
fn comes_here(before: &Plan, now: &Plan) -> bool {
    let mut links = before.links.iter().filter(|link| !link.incoming);
    links.any(|link| is_elsewhere(before, &link.target) && !is_elsewhere(now, &link.target))
}

/// Whether two plans make the same of an application; they may give other reasons.
fn is_same(one: &Plan, other: &Plan) -> bool {
    let without_reasons = |plan: &Plan| {
        let mut plan = plan.clone();
        plan.links.iter_mut().for_each(|link| link.why.clear());
        plan
    };
    without_reasons(one) == without_reasons(other)
}

fn text_of(diagnostics: &Diagnostics) -> String {
    let errors = (diagnostics.0.iter()).filter(|d| d.severity == withe_linker::Severity::Error);
    let text = |d: &withe_linker::Diagnostic| {
        let text = format!("{}: {}", d.code.0, d.message);
        match d.notes.as_slice() {
            [] => text,
            notes => format!("{text} ({})", notes.join("; ")),
        }
    };
    errors.map(text).collect::<Vec<_>>().join("; ")
}

fn report(
    plan: &Plan,
    desired: &Desired,
    deployment: &Deployment,
    endpoints: Vec<String>,
) -> RunningApp {
    let here = plan.components.iter().filter(|part| !part.elsewhere);
    let parts = here.map(|part| RunningPart {
        name: part.name.clone(),
        id: part.id.clone(),
        kind: match part.kind {
            ComponentKind::Component if !part.provider => "component".into(),
            // A manifest's provider is one, also if it is a component.
            ComponentKind::Component | ComponentKind::Provider => "provider".into(),
        },
        digest: part.digest.clone(),
        instances: part.instances,
    });
    let link = |link: &PlannedLink| RunningLink {
        source: link.source.clone(),
        target: link.target.clone(),
        name: link.name.clone(),
        interfaces: link
            .interfaces
            .iter()
            .map(|i| i.interface.clone())
            .collect(),
        binding: link.binding,
        why: link.why.clone(),
    };
    RunningApp {
        number: deployment.number,
        revision: desired.revision,
        parts: parts.collect(),
        links: plan
            .links
            .iter()
            .filter(|l| !l.incoming)
            .map(link)
            .collect(),
        endpoints,
        failure: None,
        lost: false,
    }
}
