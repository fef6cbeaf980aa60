//! The types that hold each other: a graph's units, their instances, what an instance's store holds, and what an
//! instance reaches over its links.
//!
//! They are one cycle by nature. An instance is a store with a state; the state holds the callees of the instance,
//! which hold instances; and the state holds the graph, whose units hold instances that are kept for later. So the
//! types are defined here together, with little more than access to them, and all that is done with them is in
//! modules above, which know this one and not each other in circles: [`crate::instance`] makes and calls instances,
//! [`crate::callee`] calls what is reached over a link, [`crate::link`] makes calls over links, [`crate::graph`] builds.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedSemaphorePermit};
use wasmtime::component::{Func, InstancePre, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use withe_rpc::{CallContext, Route, RouteSession, TraceContext};

use crate::blobs::early::EarlyBytes;
use crate::chosen::LatticeNames;
use crate::code::ImportedModule;
use crate::engine::Engines;
use crate::exports::Exports;
use crate::handles::{HandleTable, LinkedHandles, Numbers};
use crate::http::export::{HttpExports, P3Handler};
use crate::http::hooks::OutgoingHooks;
use crate::idle::IdleStack;
use crate::last_words::LastWords;
use crate::limits::{MemoryLimit, Streaming};
use crate::links::{Stub, UnitLinks};
use crate::metrics::{Listed, LiveInstance, UnitCounts};
use crate::needs::Needs;
use crate::observe::Observer;
use crate::quota::{Account, KeepsIdle, Nested, Slot};
use crate::spec::{Identity, Member, UnitGrants, UnitLimits};
use crate::stream::open::Streams;
use crate::task::InstanceTask;
use crate::turns;
use crate::wasi::{self, CommandLine};

/// Units that call each other; built once from a link plan and never changed: another plan makes another graph.
pub struct Graph {
    pub(crate) units: Vec<Unit>,
    /// They keep the clock going that stops runaway guests.
    pub(crate) engines: Engines,
    /// The links that are in compositions, where nothing is left of them but that they are listed.
    pub(crate) _fused: Vec<Arc<Listed>>,
}

impl KeepsIdle for Graph {
    fn drop_idle(&self) {
        for unit in &self.units {
            while unit.take_idle().is_some() {}
        }
    }
}

impl Graph {
    /// Where what runs is counted and traced.
    pub fn observer(&self) -> &Observer {
        self.engines.observer()
    }

    pub(crate) fn unit(&self, index: usize) -> &Unit {
        &self.units[index]
    }

    /// The index of the unit whose root is `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.units.iter().position(|u| u.name == name)
    }

    /// Keeps no instance for later any more: neither idle ones nor shared ones. Nothing is waited for: calls under
    /// way go on, and with the last of them the graph goes.
    pub fn retire(&self) {
        for unit in &self.units {
            unit.retire();
        }
    }
}

/// The parts that units of equal components share: code, types, and the definitions of their imports.
pub(crate) struct UnitCode {
    pub(crate) pre: InstancePre<InstanceState>,
    pub(crate) exports: Arc<Exports>,
    pub(crate) http: HttpExports,
    /// The functions imported over links.
    pub(crate) stubs: Arc<[Stub]>,
    /// The imports through which requests are sent: indices into [`crate::spec::UnitSpec::imports`].
    pub(crate) outgoing: Vec<usize>,
    /// The imports through which objects are kept, likewise.
    pub(crate) blobs: Vec<usize>,
    /// By import, which of the stubs opens its resources by name, where others hand them to exports.
    pub(crate) openers: HashMap<String, usize>,
    /// How many slots of the pool an instance needs.
    pub(crate) slots: u32,
    /// The modules that were compiled apart: their code is shared for as long as they are held.
    pub(crate) modules: Arc<[ImportedModule]>,
}

/// A unit ready to be instantiated.
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) code: Arc<UnitCode>,
    pub(crate) links: Arc<UnitLinks>,
    pub(crate) members: Vec<Member>,
    pub(crate) needs: Needs,
    pub(crate) limits: UnitLimits,
    pub(crate) grants: UnitGrants,
    pub(crate) concurrency: bool,
    pub(crate) counts: Arc<UnitCounts>,
    /// Where it counts what calls from outside need.
    pub(crate) account: Arc<Account>,
    shared: Lock<SharedCallee>,
    /// Instances that may serve another call from outside; `None` if none may.
    idle: Option<IdleStack<Box<Instance>>>,
    /// Whether an instance has served a second call.
    reused: AtomicBool,
    /// Whether instances failed at their second call, and none served one.
    once_only: AtomicBool,
    /// Whether nothing is kept for later any more.
    retired: AtomicBool,
}

/// The callee of scope `shared`.
enum SharedCallee {
    /// Nobody has called it yet.
    None,
    /// The unit keeps it, whether or not anybody calls.
    Kept(Arc<Callee>),
    /// The unit's graph was replaced: it lives as long as its callers.
    Left(Weak<Callee>),
}

/// The parts of a unit.
pub(crate) struct UnitParts {
    pub(crate) name: String,
    pub(crate) code: Arc<UnitCode>,
    pub(crate) links: Arc<UnitLinks>,
    pub(crate) members: Vec<Member>,
    pub(crate) needs: Needs,
    pub(crate) limits: UnitLimits,
    pub(crate) grants: UnitGrants,
    pub(crate) concurrency: bool,
    pub(crate) counts: Arc<UnitCounts>,
    pub(crate) account: Arc<Account>,
}

impl Unit {
    pub(crate) fn new(parts: UnitParts) -> Self {
        let UnitParts {
            name,
            code,
            links,
            members,
            needs,
            limits,
            grants,
            concurrency,
            counts,
            account,
        } = parts;
        Self {
            idle: (limits.reuse > 1).then(IdleStack::default),
            name,
            code,
            links,
            members,
            needs,
            limits,
            grants,
            concurrency,
            counts,
            account,
            shared: Lock::new(SharedCallee::None),
            reused: AtomicBool::new(false),
            once_only: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        }
    }

    /// The name of the application that it is part of.
    pub(crate) fn application(&self) -> &str {
        let root = self.members.first();
        root.map_or("", |root| &root.identity.application)
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.code.pre.engine()
    }

    /// A place for an instance of its own, of a caller that stands there; `None` for one from outside.
    pub(crate) fn callee(&self, nested: Option<Nested>) -> Callee {
        let slot = if self.concurrency {
            CalleeSlot::Concurrent(Mutex::default())
        } else {
            CalleeSlot::Single(Mutex::default())
        };
        Callee {
            nested,
            slot,
            numbers: Numbers::default(),
        }
    }

    /// A place for the instance that all callers share.
    fn shared_callee(&self) -> Arc<Callee> {
        let mut callee = self.callee(None);
        if !self.concurrency {
            callee.slot = CalleeSlot::Shared(Arc::default());
        }
        Arc::new(callee)
    }

    /// The callee that all callers share.
    pub(crate) fn shared(&self) -> Arc<Callee> {
        // Nothing panics while the lock is held.
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match &*shared {
            SharedCallee::Kept(callee) => callee.clone(),
            SharedCallee::Left(callee) => callee.upgrade().unwrap_or_else(|| {
                let callee = self.shared_callee();
                *shared = SharedCallee::Left(Arc::downgrade(&callee));
                callee
            }),
            SharedCallee::None => {
                let callee = self.shared_callee();
                *shared = SharedCallee::Kept(callee.clone());
                callee
            }
        }
    }

    /// Takes an idle instance.
    pub(crate) fn take_idle(&self) -> Option<Box<Instance>> {
        self.idle.as_ref()?.pop()
    }

    /// Whether an instance that has served `served` calls may serve one more.
    pub(crate) fn may_serve_more(&self, served: u32) -> bool {
        if served > 1 && !self.reused.load(Ordering::Relaxed) {
            self.reused.store(true, Ordering::Relaxed);
        }
        served < self.limits.reuse && !self.once_only.load(Ordering::Relaxed)
    }

    /// An instance failed that had served calls before. If none ever served a second one, the component is not made
    /// for that, and each would fail: from here on every call gets a new instance.
    pub(crate) fn failed_again(&self) {
        if self.reused.load(Ordering::Relaxed) || self.once_only.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(
            component = self.name,
            "an instance failed at its second call, and none has served one: the component can take only one, so \
             `reuse: {}` is not followed; set `reuse: 1`",
            self.limits.reuse
        );
        while self.take_idle().is_some() {}
    }

    /// Keeps an instance for another call, unless there are many, somebody waits for its slots, or the graph was
    /// replaced.
    pub(crate) fn put_idle(&self, instance: Box<Instance>) {
        let Some(idle) = &self.idle else { return };
        idle.push(instance, Instant::now());
        // An instance that is put there while the unit retires, or while somebody begins to wait, is seen by one of the two.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.retired.load(Ordering::Relaxed) || self.account.is_waited_for() {
            while idle.pop().is_some() {}
        }
    }

    /// Lets go of all instances kept for later: they keep the graph, so that it would keep itself.
    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::SeqCst);
        while self.take_idle().is_some() {}
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let left = match &*shared {
            SharedCallee::Kept(callee) => Arc::downgrade(callee),
            SharedCallee::None => Weak::new(),
            SharedCallee::Left(_) => return,
        };
        // Dropping the callee outside the lock matters: this may be its last holder, and the callee the last holder of
        // `self`.
        let kept = std::mem::replace(&mut *shared, SharedCallee::Left(left));
        drop(shared);
        drop(kept);
    }

    /// Runs a guest of it, which takes turns with others once it has run for long.
    pub(crate) fn in_turns<F: Future>(
        &self,
        engines: &Engines,
        guest: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        turns::taking(engines.turns().clone(), self.account.owner(), guest)
    }

    /// When a call from outside that should be over by `deadline` must be over.
    pub(crate) fn deadline(&self, deadline: Instant) -> Instant {
        match self.limits.time {
            Some(time) => deadline.min(Instant::now() + time),
            None => deadline,
        }
    }
}

/// One instance of a unit, with all that it holds.
pub(crate) struct Instance {
    pub(crate) store: Store<InstanceState>,
    pub(crate) instance: wasmtime::component::Instance,
    /// The function called last: mostly it is the next one, too.
    pub(crate) last: Option<(Arc<str>, Func)>,
    /// The same of the functions that take requests of WASI 0.3: comparing their types takes longer than finding them.
    pub(crate) last_handler: Option<(Arc<str>, P3Handler)>,
    /// Whether the last call came as far as the guest.
    pub(crate) is_entered: bool,
    /// Given back when the instance is dropped or idle.
    pub(crate) permits: Vec<OwnedSemaphorePermit>,
    /// Given back behind the store, whose slots of the pool it stands for.
    pub(crate) slot: Slot,
    pub(crate) _counted: LiveInstance,
}

/// An instance of a unit as its callers have it: made at the first call, and made anew after it failed.
pub(crate) struct Callee {
    /// Where its caller stands; `None` if it counts as entered from outside.
    pub(crate) nested: Option<Nested>,
    pub(crate) slot: CalleeSlot,
    /// The numbers of the resources that callers hold.
    pub(crate) numbers: Numbers,
}

/// The instance of a callee, if there is one.
pub(crate) enum CalleeSlot {
    /// The instance is out of its slot while it is called. If it fails, or the call is cancelled, it is dropped: it may
    /// be in the middle of anything.
    Single(Mutex<Option<Box<Instance>>>),
    /// The same for one that all callers share, but that a call goes on to its end when its caller goes away: what the
    /// others have of the instance must not go with it.
    Shared(Arc<Mutex<Option<Box<Instance>>>>),
    /// The instance has a task of its own.
    Concurrent(Mutex<Option<InstanceTask>>),
}

/// A caller's relation to a shared callee: the resources that it was given, which are dropped when it
/// goes, as its own callee's would be.
pub(crate) struct Holding {
    pub(crate) callee: Arc<Callee>,
    pub(crate) held: Lock<BTreeSet<u32>>,
}

/// The data of a store: everything that belongs to one instance of a unit.
pub(crate) struct InstanceState {
    pub(crate) graph: Arc<Graph>,
    /// Which of the graph's units this is an instance of.
    pub(crate) unit: usize,
    /// The unit's.
    pub(crate) links: Arc<UnitLinks>,
    /// When the call under way must be over.
    pub(crate) deadline: Instant,
    /// The trace that it is part of.
    pub(crate) trace: Option<TraceContext>,
    /// Calls from outside that the instance has served, with the one under way.
    pub(crate) served: u32,
    /// Set while the instance handles an HTTP request.
    streaming: Option<Streaming>,
    pub(crate) table: ResourceTable,
    /// Most instances never use WASI's state; it is made when first asked for.
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
    pub(crate) hooks: OutgoingHooks,
    /// The bytes that it has written of values of which nobody knows yet where they go.
    pub(crate) early_bytes: EarlyBytes,
    pub(crate) limits: MemoryLimit,
    /// On whose account it lives, and behind how many others.
    pub(crate) nested: Nested,
    /// Resources of this instance that its callers hold.
    pub(crate) handles: HandleTable,
    /// Resources of others that it holds, where they came over several links.
    pub(crate) linked: LinkedHandles,
    /// Streams and futures that lead out of it and into it.
    pub(crate) streams: Streams,
    /// The last lines of its standard error.
    pub(crate) last_words: LastWords,
    /// Its arguments and streams as a command of this process, if it is one.
    pub(crate) command: Option<Arc<CommandLine>>,
    /// The ends of calls over the unit's links, by the links' slots, made at the first call.
    reached: Vec<Option<Reached>>,
    /// The link names chosen through `wasmcloud:bus/lattice`.
    pub(crate) lattice: LatticeNames,
}

/// Why a slot never holds another kind of target.
const ONE_TARGET: &str = "a slot belongs to one link, which has one target";

/// The end of calls over a link, for one calling instance.
enum Reached {
    /// Its own callee, in this process.
    Callee(Arc<Callee>),
    /// The one that all share.
    Holding(Arc<Holding>),
    /// Its session with another process.
    Session(Arc<RouteSession>),
}

impl InstanceState {
    pub(crate) fn new(graph: Arc<Graph>, unit: usize, nested: Nested, deadline: Instant) -> Self {
        let u = graph.unit(unit);
        Self {
            deadline,
            trace: None,
            served: 0,
            streaming: None,
            table: ResourceTable::new(),
            wasi: None,
            http: WasiHttpCtx::new(),
            hooks: OutgoingHooks::default(),
            early_bytes: EarlyBytes::default(),
            limits: MemoryLimit::new(u.limits.memory, nested.clone()),
            nested,
            handles: HandleTable::default(),
            linked: LinkedHandles::default(),
            streams: Streams::default(),
            last_words: LastWords::default(),
            command: None,
            reached: u.links.links.iter().map(|_| None).collect(),
            lattice: LatticeNames::default(),
            links: u.links.clone(),
            unit,
            graph,
        }
    }

    /// The unit that this is an instance of.
    pub(crate) fn of(&self) -> &Unit {
        self.graph.unit(self.unit)
    }

    /// The identity of the unit's member.
    pub(crate) fn identity(&self, member: usize) -> &Arc<Identity> {
        &self.of().members[member].identity
    }

    /// The instance stands there from now on, on the same account.
    pub(crate) fn stands(&mut self, nested: Nested) {
        self.limits.stands(nested.clone());
        self.nested = nested;
    }

    /// A call begins.
    pub(crate) fn begin(&mut self, context: CallContext) {
        self.deadline = context.deadline;
        self.trace = context.trace;
    }

    /// When a call made `now` must be over, if it may take at most `timeout`.
    pub(crate) fn deadline_of_call(&self, now: Instant, timeout: Duration) -> Instant {
        let own = now + timeout;
        if self.is_streaming() {
            own
        } else {
            own.min(self.deadline)
        }
    }

    /// Begins an HTTP request: until its response's head is out, the deadline holds.
    pub(crate) fn begin_streaming(&mut self) -> Streaming {
        self.streaming.insert(Streaming::default()).clone()
    }

    /// Whether the instance goes on after its call: the other ends of its streams watch that it does.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming.as_ref().is_some_and(Streaming::has_begun) || self.streams.any()
    }

    /// The callee of the link that has `slot`, an instance of `unit` of its own.
    pub(crate) fn callee(&mut self, slot: usize, unit: usize) -> Arc<Callee> {
        let (graph, nested) = (&self.graph, &self.nested);
        let made = || {
            let callee = graph.unit(unit).callee(Some(nested.clone()));
            Reached::Callee(Arc::new(callee))
        };
        match self.reached[slot].get_or_insert_with(made) {
            Reached::Callee(callee) => callee.clone(),
            Reached::Holding(_) | Reached::Session(_) => unreachable!("{ONE_TARGET}"),
        }
    }

    /// The instance's holding of the shared instance of `unit`, over the link that has `slot`.
    pub(crate) fn holding(&mut self, slot: usize, unit: usize) -> Arc<Holding> {
        let graph = &self.graph;
        let made = || {
            Reached::Holding(Arc::new(Holding {
                callee: graph.unit(unit).shared(),
                held: Lock::default(),
            }))
        };
        match self.reached[slot].get_or_insert_with(made) {
            Reached::Holding(holding) => holding.clone(),
            Reached::Callee(_) | Reached::Session(_) => unreachable!("{ONE_TARGET}"),
        }
    }

    /// The session with what is at the end of `remote`, which has `slot`.
    pub(crate) fn session(&mut self, slot: usize, remote: &Arc<Route>) -> Arc<RouteSession> {
        let made = || Reached::Session(Arc::new(remote.session()));
        match self.reached[slot].get_or_insert_with(made) {
            Reached::Session(session) => session.clone(),
            Reached::Callee(_) | Reached::Holding(_) => unreachable!("{ONE_TARGET}"),
        }
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let unit = self.graph.unit(self.unit);
        let words = &self.last_words;
        let account = &self.nested.tenancy.account;
        let command = self.command.as_deref();
        let who = &unit.members[0].identity;
        let output = self.graph.engines.output();
        let made = || wasi::context(who, account, &unit.grants, words, command, output);
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(made),
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}
