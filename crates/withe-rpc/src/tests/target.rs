//! The target that the tests call.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::{
    BoxFuture, CallContext, CallError, HandleRef, LinkRequest, Payload, Serve, ServedLink,
    ServedSession,
};

/// Returns its parameters: bytes and streams.
pub(crate) const ECHO: usize = 0;
/// Never returns.
pub(crate) const HANG: usize = 1;
/// Gives out as many resources as its first byte says.
pub(crate) const MAKE: usize = 2;
/// Takes any handles and notes them.
pub(crate) const USE: usize = 3;
/// Notes its first byte.
pub(crate) const NOTE: usize = 4;
/// Notes its first byte, and returns when the gate is opened.
pub(crate) const GATED: usize = 5;
/// Fails with its parameters as text.
pub(crate) const TRAP: usize = 6;
/// Panics.
pub(crate) const PANIC: usize = 7;
/// Returns when the gate is opened as many resources as its first byte says.
pub(crate) const MAKE_GATED: usize = 8;
/// Gives out the handle 1, whether or not it is there.
pub(crate) const FORGE: usize = 9;
pub(crate) const FUNCTIONS: usize = 10;

/// The server's side of all tests.
pub(crate) struct Target {
    /// The events, in order.
    pub(crate) log: Mutex<Vec<String>>,
    /// Sessions that there are.
    pub(crate) sessions: AtomicUsize,
    /// Calls that were made and neither ended nor were dropped.
    pub(crate) running: AtomicUsize,
    /// A permit lets one gated call go on.
    pub(crate) gate: Semaphore,
    /// Links are refused while there is an error.
    pub(crate) refuse: Mutex<Option<CallError>>,
}

impl Target {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            log: Mutex::default(),
            sessions: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            gate: Semaphore::new(0),
            refuse: Mutex::default(),
        })
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    pub(crate) fn noted(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn has_noted(&self, what: &str) -> bool {
        self.log.lock().unwrap().iter().any(|entry| entry == what)
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::SeqCst)
    }
}

impl Serve for ArcTarget {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        if let Some(why) = self.0.refuse.lock().unwrap().clone() {
            return Err(why);
        }
        self.0.note(format!("link {}", request.target));
        Ok(Arc::new(TargetLink(self.0.clone())))
    }
}

/// The target, to be served.
pub(crate) struct ArcTarget(pub(crate) Arc<Target>);

struct TargetLink(Arc<Target>);

impl ServedLink for TargetLink {
    fn session(&self) -> Arc<dyn ServedSession> {
        self.0.sessions.fetch_add(1, Ordering::SeqCst);
        Arc::new(TargetSession {
            target: self.0.clone(),
            next: AtomicU32::new(1),
        })
    }
}

struct TargetSession {
    target: Arc<Target>,
    next: AtomicU32,
}

impl TargetSession {
    fn make(&self, n: u8) -> Payload {
        let n = u32::from(n);
        let first = self.next.fetch_add(n, Ordering::SeqCst);
        Payload {
            handles: (first..first + n)
                .map(|id| HandleRef { id, own: true })
                .collect(),
            ..Payload::default()
        }
    }
}

impl Drop for TargetSession {
    fn drop(&mut self) {
        self.target.sessions.fetch_sub(1, Ordering::SeqCst);
        self.target.note("session over");
    }
}

/// Counts a call for as long as it is there.
struct RunningCall(Arc<Target>);

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ServedSession for TargetSession {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        self.target.running.fetch_add(1, Ordering::SeqCst);
        let running = RunningCall(self.target.clone());
        let first = params.bytes.first().copied().unwrap_or(0);
        match function {
            NOTE | GATED => self.target.note(format!("call {first}")),
            USE => {
                for handle in &params.handles {
                    let how = if handle.own { "own" } else { "borrow" };
                    self.target.note(format!("{how} {}", handle.id));
                }
            }
            _ => {}
        }
        Box::pin(async move {
            let _running = running;
            match function {
                ECHO => Ok(Payload {
                    handles: Vec::new(),
                    ..params
                }),
                HANG => std::future::pending().await,
                MAKE => Ok(self.make(first)),
                GATED | MAKE_GATED => {
                    self.target.gate.acquire().await.unwrap().forget();
                    Ok(match function {
                        MAKE_GATED => self.make(first),
                        _ => params,
                    })
                }
                TRAP => Err(CallError::Trap(
                    String::from_utf8_lossy(&params.bytes).into_owned(),
                )),
                PANIC => panic!("as asked"),
                FORGE => Ok(Payload {
                    handles: vec![HandleRef { id: 1, own: true }],
                    ..Payload::default()
                }),
                _ => Ok(Payload::default()),
            }
        })
    }

    fn drop_handle(self: Arc<Self>, id: u32) -> BoxFuture<'static, ()> {
        self.target.note(format!("drop {id}"));
        Box::pin(async {})
    }
}
