//! What a store holds: everything that belongs to one instance of a unit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use withe_rpc::{CallContext, Route, RouteSession, TraceContext};

use crate::callee::Callee;
use crate::functions::{LatticeNames, LogStream};
use crate::graph::Graph;
use crate::handles::HandleTable;
use crate::holding::Holding;
use crate::http::OutgoingHooks;
use crate::stream::Streams;

pub(crate) struct State {
    pub(crate) graph: Arc<Graph>,
    /// Which of the graph's units this is an instance of.
    pub(crate) unit: usize,
    /// When the call under way must be over.
    pub(crate) deadline: Instant,
    /// The trace that it is part of.
    pub(crate) trace: Option<TraceContext>,
    /// Set while the instance handles an HTTP request.
    streaming: Option<Streaming>,
    pub(crate) table: ResourceTable,
    /// Most instances never use WASI's state; it is made when first asked for.
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
    pub(crate) hooks: OutgoingHooks,
    pub(crate) limits: MemoryLimit,
    /// Resources of this instance that its callers hold.
    pub(crate) handles: HandleTable,
    /// Streams and futures that lead out of it and into it.
    pub(crate) streams: Streams,
    /// What calls over the unit's links reach, for each link, made at the first call.
    callees: Vec<Option<Reached>>,
    /// What `wasmcloud:bus/lattice` chose.
    pub(crate) lattice: LatticeNames,
}

impl State {
    pub(crate) fn new(graph: Arc<Graph>, unit: usize, deadline: Instant) -> Self {
        let u = graph.unit(unit);
        Self {
            deadline,
            trace: None,
            streaming: None,
            table: ResourceTable::new(),
            wasi: None,
            http: WasiHttpCtx::new(),
            hooks: OutgoingHooks::default(),
            limits: MemoryLimit {
                used: 0,
                most: u.limits().memory.unwrap_or(u64::MAX),
                refused: false,
            },
            handles: HandleTable::default(),
            streams: Streams::default(),
            callees: (0..u.callee_slots()).map(|_| None).collect(),
            lattice: LatticeNames::default(),
            unit,
            graph,
        }
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

    /// Whether the instance goes on after its call: whoever is at the other end of what it streams
    /// watches that it does.
    fn is_streaming(&self) -> bool {
        let streaming = self.streaming.as_ref();
        streaming.is_some_and(|s| s.0.load(Ordering::Relaxed)) || self.streams.any()
    }

    /// The callee of the link that has `slot`, an instance of `unit` of its own.
    pub(crate) fn callee(&mut self, slot: usize, unit: usize) -> Arc<Callee> {
        let graph = &self.graph;
        let made = || Reached::Callee(Arc::new(graph.unit(unit).callee()));
        match self.callees[slot].get_or_insert_with(made) {
            Reached::Callee(callee) => callee.clone(),
            Reached::Holding(_) | Reached::Session(_) => unreachable!("{ONE_TARGET}"),
        }
    }

    /// What is held of the shared instance of `unit` over the link that has `slot`.
    pub(crate) fn holding(&mut self, slot: usize, unit: usize) -> Arc<Holding> {
        let graph = &self.graph;
        let made = || Reached::Holding(Arc::new(Holding::new(graph.unit(unit).shared())));
        match self.callees[slot].get_or_insert_with(made) {
            Reached::Holding(holding) => holding.clone(),
            Reached::Callee(_) | Reached::Session(_) => unreachable!("{ONE_TARGET}"),
        }
    }

    /// The session with what is at the end of `remote`, which has `slot`.
    pub(crate) fn session(&mut self, slot: usize, remote: &Arc<Route>) -> Arc<RouteSession> {
        let made = || Reached::Session(Arc::new(remote.session()));
        match self.callees[slot].get_or_insert_with(made) {
            Reached::Session(session) => session.clone(),
            Reached::Callee(_) | Reached::Holding(_) => unreachable!("{ONE_TARGET}"),
        }
    }

    fn wasi(&mut self) -> &mut WasiCtx {
        self.wasi.get_or_insert_with(|| {
            let unit = self.graph.unit(self.unit);
            let identity = &unit.members()[0].identity;
            let mut wasi = WasiCtxBuilder::new();
            wasi.stdout(LogStream::stdout(identity.clone()));
            wasi.stderr(LogStream::stderr(identity.clone()));
            wasi.envs(&identity.env);
            wasi.allow_tcp(unit.grants().network);
            wasi.allow_udp(unit.grants().network);
            if unit.grants().network {
                wasi.inherit_network().allow_ip_name_lookup(true);
            }
            for dir in &unit.grants().directories {
                let perms = if dir.read_only {
                    FsPerms::ReadOnly
                } else {
                    FsPerms::ReadWrite
                };
                if let Err(e) = wasi.preopened_dir(&dir.host, &dir.guest, perms) {
                    tracing::error!(
                        component = identity.component,
                        "granted directory `{}` cannot be opened: {e:#}",
                        dir.host.display()
                    );
                }
            }
            wasi.build()
        })
    }
}

/// Why a slot never holds another kind of target.
const ONE_TARGET: &str = "a slot belongs to one link, which has one target";

/// What calls over a link reach, for one instance that calls.
enum Reached {
    /// Its own callee, in this process.
    Callee(Arc<Callee>),
    /// The one that all share.
    Holding(Arc<Holding>),
    /// Its session with another process.
    Session(Arc<RouteSession>),
}

/// Whether the head of an HTTP response is out. From then on the one who takes the body watches that
/// it goes on; the guest may run as long as it does.
#[derive(Clone, Default)]
pub(crate) struct Streaming(Arc<AtomicBool>);

impl Streaming {
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi();
        // Just made.
        let Some(ctx) = &mut self.wasi else {
            unreachable!("the context was made in the line above")
        };
        WasiCtxView {
            ctx,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// Keeps a unit's linear memory within its limit. All memories of an instance count together.
pub(crate) struct MemoryLimit {
    used: u64,
    most: u64,
    /// Whether growth was refused: a trap soon after is then explained by it.
    pub(crate) refused: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self
            .used
            .saturating_add(desired.saturating_sub(current) as u64);
        if used > self.most {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Tables are bounded by the pool.
        Ok(true)
    }
}

/// At every tick of the epoch: stops a guest whose deadline has passed, and lets other tasks run.
pub(crate) fn at_epoch(cx: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    if Instant::now() >= cx.data().deadline && !cx.data().is_streaming() {
        return Err(wasmtime::Error::from(DeadlinePassed));
    }
    Ok(UpdateDeadline::Yield(1))
}

/// The error a guest is stopped with when its deadline has passed.
#[derive(Debug, thiserror::Error)]
#[error("the deadline passed")]
pub(crate) struct DeadlinePassed;
