//! The servers, the callers and the faults of one seed.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::network::{Dial, Wire};
use crate::tests::{payload, request};
use crate::{
    BoxFuture, CallContext, CallError, Chunk, Client, Distance, Limits, LinkRequest, Payload,
    PipeReader, Proximity, Replica, Route, RouteRules, RouteSession, Serve, ServedLink,
    ServedSession, StreamKind, pipe, serve,
};

/// Notes its number, takes its time, and returns its parameters.
const RECORD: usize = 0;
/// Notes its number, reads its stream to the end, and returns how many bytes came.
const COUNT: usize = 1;

/// How long things break.
const FAULTS: Duration = Duration::from_secs(40);
/// How long it may take until all is well after the last fault: more than all pauses, keep-alives and deadlines.
const RECOVERY: Duration = Duration::from_secs(120);
/// How late a call may end after its deadline.
const LATE: Duration = Duration::from_millis(50);
/// How often a call over an idempotent route is made at most.
const MADE: u32 = 3;

/// Counts of what happened in simulations.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) returned: u64,
    pub(super) failed: u64,
    /// Calls that took place more than once, over idempotent routes.
    pub(super) repeated: u64,
    /// Streams that came whole.
    pub(super) streamed: u64,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.returned += other.returned;
        self.failed += other.failed;
        self.repeated += other.repeated;
        self.streamed += other.streamed;
    }
}

/// The calls that took place on the servers.
#[derive(Default)]
struct Ledger {
    /// How often each call was begun.
    begun: Mutex<BTreeMap<u32, u32>>,
    running: AtomicUsize,
    sessions: AtomicUsize,
    rng: Mutex<Option<Rng>>,
}

impl Ledger {
    fn begins(&self, id: u32) -> u32 {
        self.begun.lock().unwrap().get(&id).copied().unwrap_or(0)
    }
}

/// One server and the way to it.
struct Host {
    name: String,
    wire: Arc<Wire>,
    client: Arc<Client>,
    running: Option<RunningHost>,
}

struct RunningHost {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

/// All that there is.
pub(super) struct World {
    rng: Rng,
    hosts: Vec<Host>,
    ledger: Arc<Ledger>,
    routes: Vec<Arc<Route>>,
    /// Servers that are on their way out, and may take their time.
    stopping: JoinSet<()>,
    seed: u64,
}

impl World {
    /// Runs the world of a seed to its end.
    ///
    /// # Panics
    ///
    /// If something does not hold.
    pub(super) fn run(seed: u64) -> Seen {
        // For what draws without being given a generator.
        fastrand::seed(seed);
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(Self::new(seed).live())
    }

    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let ledger = Arc::new(Ledger::default());
        *ledger.rng.lock().unwrap() = Some(Rng::with_seed(rng.u64(..)));
        let hosts = (0..rng.usize(1..=4)).map(|i| {
            let name = format!("host {i}");
            let wire = Wire::new(&name, rng.u64(..));
            let client = Client::new(Arc::new(Dial(wire.clone())), limits());
            Host {
                name,
                wire,
                client,
                running: None,
            }
        });
        let hosts: Vec<Host> = hosts.collect();
        let routes = [false, true].map(|idempotent| {
            let route = Route::new(request(), RouteRules { idempotent });
            route.set(hosts.iter().map(replica).collect());
            route
        });
        Self {
            rng,
            hosts,
            ledger,
            routes: routes.into(),
            stopping: JoinSet::new(),
            seed,
        }
    }

    async fn live(mut self) -> Seen {
        for i in 0..self.hosts.len() {
            self.start(i);
        }
        let mut callers = JoinSet::new();
        for caller in 0..self.rng.u32(2..=6) {
            let route = self.routes[usize::from(self.rng.bool())].clone();
            callers.spawn(Caller::new(&self, caller, route).call_until(Instant::now() + FAULTS));
        }
        let end = Instant::now() + FAULTS;
        while Instant::now() < end {
            let pause = Duration::from_micros(self.rng.u64(..4_000_000));
            sleep(pause).await;
            self.break_something();
        }
        let mut seen = Seen::default();
        // Each ends with its last call's deadline.
        while let Some(caller) = callers.join_next().await {
            seen += caller.unwrap();
        }
        self.heals().await;
        self.forgets().await;
        seen
    }

    fn start(&mut self, i: usize) {
        let host = &mut self.hosts[i];
        if host.running.is_some() {
            return;
        }
        let (stop, accepted) = (CancellationToken::new(), host.wire.up());
        let serving = serve(
            accepted,
            Arc::new(Served(self.ledger.clone())),
            limits(),
            stop.clone().cancelled_owned(),
        );
        host.running = Some(RunningHost {
            task: tokio::spawn(serving),
            stop,
        });
    }

    fn break_something(&mut self) {
        let i = self.rng.usize(..self.hosts.len());
        match self.rng.u8(..9) {
            // The server crashes.
            0 | 1 => {
                self.hosts[i].wire.down();
                if let Some(running) = self.hosts[i].running.take() {
                    running.task.abort();
                }
            }
            // The server is stopped, and lets calls end.
            2 => {
                self.hosts[i].wire.stops();
                if let Some(running) = self.hosts[i].running.take() {
                    running.stop.cancel();
                    self.stopping.spawn(async { running.task.await.unwrap() });
                }
            }
            3..=5 => self.start(i),
            6 => self.hosts[i].wire.open(false),
            7 => self.hosts[i].wire.open(true),
            _ => {
                let chosen = |rng: &mut Rng| rng.u8(..4) > 0;
                for route in &self.routes {
                    let hosts = self.hosts.iter().filter(|_| chosen(&mut self.rng));
                    route.set(hosts.map(replica).collect());
                }
            }
        }
    }

    /// Ends all faults; then calls have to get through.
    async fn heals(&mut self) {
        for i in 0..self.hosts.len() {
            self.hosts[i].wire.open(true);
            self.start(i);
        }
        for route in self.routes.clone() {
            route.set(self.hosts.iter().map(replica).collect());
            let begun = Instant::now();
            let mut id = u32::MAX;
            loop {
                let session = route.session();
                let result = Caller::record(&session, id, Duration::from_secs(10)).await;
                if result.is_ok() {
                    break;
                }
                id -= 1;
                assert!(
                    begun.elapsed() < RECOVERY,
                    "seed {}: no call gets through after the faults: {result:?}",
                    self.seed
                );
            }
        }
    }

    /// Ends what callers have; then nothing is left of them.
    async fn forgets(mut self) {
        self.routes.clear();
        for host in &self.hosts {
            host.client.close().await;
        }
        let left = || {
            let (running, sessions) = (&self.ledger.running, &self.ledger.sessions);
            (
                running.load(Ordering::SeqCst),
                sessions.load(Ordering::SeqCst),
            )
        };
        let begun = Instant::now();
        while left() != (0, 0) {
            assert!(
                begun.elapsed() < RECOVERY,
                "seed {}: (calls, sessions) {:?} are left",
                self.seed,
                left()
            );
            sleep(Duration::from_secs(1)).await;
        }
        for host in &mut self.hosts {
            if let Some(running) = host.running.take() {
                running.stop.cancel();
                self.stopping.spawn(async { running.task.await.unwrap() });
            }
        }
        let ended = timeout(RECOVERY, async {
            while let Some(ended) = self.stopping.join_next().await {
                ended.unwrap();
            }
        });
        assert!(
            ended.await.is_ok(),
            "seed {}: a server does not stop",
            self.seed
        );
    }
}

fn replica(host: &Host) -> Replica {
    Replica {
        id: host.name.clone(),
        name: host.name.clone(),
        client: host.client.clone(),
        distance: Distance {
            brokered: false,
            place: Proximity::Elsewhere,
        },
    }
}

fn limits() -> Limits {
    Limits {
        keep_alive: Duration::from_secs(3),
        answer: Duration::from_secs(2),
        connect: Duration::from_secs(2),
        grace: Duration::from_secs(3),
        ..Limits::default()
    }
}

/// One who calls, in sessions one after the other.
struct Caller {
    rng: Rng,
    route: Arc<Route>,
    ledger: Arc<Ledger>,
    idempotent: bool,
    next: u32,
    seed: u64,
    seen: Seen,
}

impl Caller {
    fn new(world: &World, number: u32, route: Arc<Route>) -> Self {
        Self {
            rng: Rng::with_seed(world.seed ^ u64::from(number + 1) << 32),
            idempotent: Arc::ptr_eq(&route, &world.routes[1]),
            route,
            ledger: world.ledger.clone(),
            next: number << 16,
            seed: world.seed,
            seen: Seen::default(),
        }
    }

    async fn call_until(mut self, end: Instant) -> Seen {
        while Instant::now() < end {
            let session = self.route.session();
            for _ in 0..self.rng.u8(1..20) {
                let pause = Duration::from_micros(self.rng.u64(..300_000));
                sleep(pause).await;
                self.call(&session).await;
            }
        }
        self.seen
    }

    /// Makes a call, and looks at what became of it.
    async fn call(&mut self, session: &RouteSession) {
        let id = self.next;
        self.next += 1;
        let within = Duration::from_micros(self.rng.u64(1_000..3_000_000));
        let begun = Instant::now();
        let streams = self.rng.u8(..4) == 0;
        let patience = match self.rng.u8(..10) {
            // The caller does not wait for it.
            0 => Duration::from_micros(self.rng.u64(..50_000)),
            _ => Duration::MAX,
        };
        let called = if streams {
            timeout(patience, self.count(session, id, within)).await
        } else {
            timeout(patience, Self::record(session, id, within)).await
        };
        let result = called.unwrap_or(Err(CallError::Deadline));
        let took = begun.elapsed();
        let (seed, made) = (self.seed, self.ledger.begins(id));
        assert!(
            took <= within + LATE,
            "seed {seed}: call {id} with {within:?} took {took:?}: {result:?}"
        );
        // Parameters with streams are not sent again.
        let most = if self.idempotent && !streams { MADE } else { 1 };
        assert!(
            made <= most,
            "seed {seed}: call {id} took place {made} times: {result:?}"
        );
        self.seen.repeated += u64::from(made > 1);
        match result {
            Ok(()) => {
                assert!(
                    made >= 1,
                    "seed {seed}: call {id} returned and never took place"
                );
                self.seen.returned += 1;
                self.seen.streamed += u64::from(streams);
            }
            Err(CallError::Trap(why) | CallError::TypeMismatch(why)) => {
                panic!("seed {seed}: call {id}: {why}")
            }
            Err(_) => self.seen.failed += 1,
        }
    }

    async fn record(session: &RouteSession, id: u32, within: Duration) -> Result<(), CallError> {
        let bytes = id.to_le_bytes();
        let returned = session.call(RECORD, payload(bytes), context(within)).await;
        let returned = returned?.bytes;
        assert_eq!(
            returned, bytes,
            "call {id} returned what belongs to another"
        );
        Ok(())
    }

    async fn count(
        &mut self,
        session: &RouteSession,
        id: u32,
        within: Duration,
    ) -> Result<(), CallError> {
        let size = self.rng.usize(..40_000);
        let (mut writer, reader) = pipe(StreamKind::Bytes, 0);
        let params = Payload {
            bytes: [id.to_le_bytes().as_slice(), &[0]].concat(),
            streams: vec![reader],
            ..Payload::default()
        };
        let call = session.call(COUNT, params, context(within));
        let write = async move {
            let mut left = size;
            while left > 0 {
                let Ok(wanted) = poll_fn(|cx| writer.poll_demand(cx)).await else {
                    return;
                };
                let n = wanted.min(left).min(4096);
                let chunk = Chunk {
                    count: n,
                    payload: payload(vec![7; n]),
                };
                if writer.send(chunk).is_err() {
                    return;
                }
                left -= n;
            }
            writer.finish();
        };
        tokio::pin!(call);
        let result = tokio::select! {
            result = &mut call => result,
            () = write => call.await,
        };
        let came = u64::from_le_bytes(result?.bytes.try_into().unwrap());
        assert_eq!(came, size as u64, "call {id} lost a part of its stream");
        Ok(())
    }
}

fn context(within: Duration) -> CallContext {
    CallContext {
        deadline: (Instant::now() + within).into_std(),
        trace: None,
    }
}

/// The target that all servers serve.
struct Served(Arc<Ledger>);

impl Serve for Served {
    fn link(&self, _: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        Ok(Arc::new(LedgerLink(self.0.clone())))
    }
}

struct LedgerLink(Arc<Ledger>);

impl ServedLink for LedgerLink {
    fn session(&self) -> Arc<dyn ServedSession> {
        self.0.sessions.fetch_add(1, Ordering::SeqCst);
        Arc::new(LedgerSession(self.0.clone()))
    }
}

struct LedgerSession(Arc<Ledger>);

impl Drop for LedgerSession {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts a call for as long as it runs.
struct RunningCall(Arc<Ledger>);

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ServedSession for LedgerSession {
    fn call(
        self: Arc<Self>,
        function: usize,
        mut params: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        self.0.running.fetch_add(1, Ordering::SeqCst);
        let running = RunningCall(self.0.clone());
        Box::pin(async move {
            let ledger = &running.0;
            let id = params.bytes[..4]
                .try_into()
                .map(u32::from_le_bytes)
                .unwrap();
            *ledger.begun.lock().unwrap().entry(id).or_default() += 1;
            let pause = (ledger.rng.lock().unwrap().as_mut()).map(|rng| rng.u64(..30_000));
            sleep(Duration::from_micros(pause.unwrap_or_default())).await;
            if function == RECORD {
                return Ok(params);
            }
            let mut stream = params.streams.pop().unwrap();
            let mut came = 0;
            while let Some(chunk) = next(&mut stream).await? {
                came += chunk.count as u64;
            }
            Ok(payload(came.to_le_bytes()))
        })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

async fn next(stream: &mut PipeReader) -> Result<Option<Chunk>, CallError> {
    poll_fn(|cx| stream.poll_chunk(cx, 1000)).await.transpose()
}
