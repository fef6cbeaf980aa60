//! The cost of calls and streams between processes, beside a bare Unix socket that echoes as many bytes.
//!
//! The caller is a component in this process, its target one in a worker, started as `withe up` starts it.
//! The floor is a process that sends back whatever it reads, over one connection a caller.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use withe_host::{FunctionPath, Host, HostOptions, Parts, Running, WorkerCommand};
use withe_linker::input::{BindingChoice, LinkDefaults};
use withe_load::{LinkOptions, Registry, load_files};

use crate::median;
use crate::servers::{guest, resident_mib, withe};

/// The argument that makes this program the floor's other end.
pub(crate) const ECHO: &str = "--echo";

/// Callers at a time, where there are many.
const CALLERS: u32 = 64;
/// Bytes of a small call's frame with two small numbers in it, and about those of its answer.
const SMALL: usize = 32;
const MIB: usize = 1 << 20;
/// The size of the pieces of the floor's stream.
const PIECE: usize = 64 << 10;
const ROUNDS: usize = 7;
/// The longest that anything here may take.
const LONG: Duration = Duration::from_secs(300);

pub(crate) fn run() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let floor = Floor::start(&folder.path().join("echo.sock")).await?;
    let unix = Pair::start("caller", "ops", BindingChoice::Unix).await?;
    let local = Pair::start("caller", "ops", BindingChoice::Local).await?;

    println!("Between processes: medians of {ROUNDS}, beside a bare Unix socket");
    println!("  {:<34} {:>12} {:>12} {:>7}", "", "unix", "socket", "");

    let small = [unix.each("add-n", 4_000, ""), floor.each(SMALL, 4_000)];
    let [ours, bare] = in_turns(small).await?;
    row(
        "small call, 1 caller: us",
        ours / 1e3,
        bare / 1e3,
        ours / bare,
    );
    let round_trip = bare;

    let many = [unix.many("add-n", 1_000), floor.many(SMALL, 1_000)];
    let [ours, bare] = in_turns(many).await?;
    let rate = |nanos: f64| 1e9 / nanos;
    let name = format!("small calls, {CALLERS} callers: 1/s");
    row(&name, rate(ours), rate(bare), rate(ours) / rate(bare));

    let large = [unix.each("bytes-n", 60, ", 1048576"), floor.each(MIB, 60)];
    let [ours, bare] = in_turns(large).await?;
    // There and back.
    let throughput = |nanos: f64| 2.0 * MIB as f64 / nanos * 1e9 / 1e6;
    let (ours, bare) = (throughput(ours), throughput(bare));
    row("1 MiB list<u8>: MB/s", ours, bare, ours / bare);

    let records = [
        unix.each("records-n", 1_000, ", 100"),
        local.each("records-n", 1_000, ", 100"),
    ];
    let [ours, in_process] = in_turns(records).await?;
    let allowed = 2.0 * in_process + round_trip;
    println!(
        "  {:<34} {:>12.1} {:>12.1} {:>6.2}x  (of 2 x local + the socket's round trip)",
        "100 records: us",
        ours / 1e3,
        allowed / 1e3,
        ours / allowed
    );
    unix.running.shutdown().await;
    local.running.shutdown().await;

    let flow = Pair::start("async-p3-user", "async-p3", BindingChoice::Unix).await?;
    flow.stream(16).await?;
    let before = resident_mib(std::process::id())?;
    let ours = flow.stream(1024).await?;
    let after = resident_mib(std::process::id())?;
    let bare = floor.stream(1024).await?;
    let rate = |took: Duration| 1024.0 * MIB as f64 / took.as_secs_f64() / 1e6;
    let (ours, bare) = (rate(ours), rate(bare));
    row("stream of 1 GiB: MB/s", ours, bare, ours / bare);
    println!(
        "  {:<34} {before:>12.1} {after:>12.1}",
        "resident before and after: MiB"
    );
    flow.running.shutdown().await;
    Ok(())
}

fn row(name: &str, ours: f64, bare: f64, ratio: f64) {
    println!("  {name:<34} {ours:>12.1} {bare:>12.1} {ratio:>6.2}x");
}

/// A measurement: nanoseconds of one call, in one round.
type Round<'a> = Box<dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<f64>> + 'a>> + 'a>;

/// The medians of measurements that take turns.
async fn in_turns<const N: usize>(measurements: [Round<'_>; N]) -> Result<[f64; N]> {
    let mut times = [const { Vec::new() }; N];
    for round in 0..=ROUNDS {
        for (measure, times) in measurements.iter().zip(&mut times) {
            let time = measure().await?;
            // The first round warms up.
            if round > 0 {
                times.push(time);
            }
        }
    }
    Ok(times.map(median))
}

/// Two linked components, of which the first is called.
struct Pair {
    running: Running,
    caller: String,
}

impl Pair {
    async fn start(caller: &str, target: &str, binding: BindingChoice) -> Result<Self> {
        let registry = Registry::new(&[])?;
        let loaded = load_files(&guest(caller), &[guest(target)], &registry);
        let options = LinkOptions {
            host: withe_host::host_interfaces(),
            called: vec![caller.to_owned()],
            defaults: LinkDefaults {
                binding: Some(binding),
                ..LinkDefaults::default()
            },
            ..LinkOptions::default()
        };
        let linked = loaded.link(&options);
        let Some(plan) = &linked.plan else {
            bail!(
                "`{caller}` and `{target}` do not link: {:?}",
                linked.diagnostics
            );
        };
        let host = Host::new(HostOptions {
            grace: Duration::from_secs(1),
            worker: Some(WorkerCommand {
                program: withe()?,
                args: vec!["worker".into()],
            }),
            ..HostOptions::default()
        })?;
        Ok(Self {
            running: host.start(plan, Arc::new(Parts::of(&loaded))).await?,
            caller: caller.into(),
        })
    }

    async fn call(&self, interface: &str, function: &str, args: &str) -> Result<Duration> {
        let path = FunctionPath {
            interface: Some(interface.into()),
            function: function.into(),
        };
        let start = Instant::now();
        let called = self.running.call(&self.caller, &path, args, LONG).await;
        called.map_err(|e| anyhow!("{function}{args}: {e}"))?;
        Ok(start.elapsed())
    }

    /// One caller: what making its instance, and that of its target, takes is left out.
    fn each<'a>(&'a self, function: &'a str, n: u32, args: &'a str) -> Round<'a> {
        Box::new(move || {
            Box::pin(async move {
                let none = self
                    .call("t:bench/run", function, &format!("(1{args})"))
                    .await?;
                let all = format!("({}{args})", n + 1);
                let all = self.call("t:bench/run", function, &all).await?;
                Ok(all.saturating_sub(none).as_nanos() as f64 / f64::from(n))
            })
        })
    }

    /// Many callers at a time, each an instance with `n` calls.
    fn many<'a>(&'a self, function: &'a str, n: u32) -> Round<'a> {
        Box::new(move || {
            Box::pin(async move {
                let start = Instant::now();
                let args = format!("({n})");
                let calls = (0..CALLERS).map(|_| self.call("t:bench/run", function, &args));
                futures::future::try_join_all(calls).await?;
                Ok(start.elapsed().as_nanos() as f64 / f64::from(n * CALLERS))
            })
        })
    }

    async fn stream(&self, mib: u32) -> Result<Duration> {
        self.call("t:streams/run", "flow", &format!("({mib})"))
            .await
    }
}

/// A process that sends back what it reads.
struct Floor {
    child: Child,
    socket: PathBuf,
}

impl Floor {
    async fn start(socket: &Path) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .arg(ECHO)
            .arg(socket)
            .stdin(Stdio::null())
            .spawn()
            .context("starting the floor")?;
        let floor = Self {
            child,
            socket: socket.into(),
        };
        for _ in 0..500 {
            if UnixStream::connect(socket).await.is_ok() {
                return Ok(floor);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the floor does not answer")
    }

    fn each(&self, size: usize, n: u32) -> Round<'_> {
        Box::new(move || {
            Box::pin(async move {
                let start = Instant::now();
                ping_pong(&self.socket, size, n).await?;
                Ok(start.elapsed().as_nanos() as f64 / f64::from(n))
            })
        })
    }

    fn many(&self, size: usize, n: u32) -> Round<'_> {
        Box::new(move || {
            Box::pin(async move {
                let start = Instant::now();
                let mut callers = JoinSet::new();
                for _ in 0..CALLERS {
                    let socket = self.socket.clone();
                    callers.spawn(async move { ping_pong(&socket, size, n).await });
                }
                while let Some(done) = callers.join_next().await {
                    done??;
                }
                Ok(start.elapsed().as_nanos() as f64 / f64::from(n * CALLERS))
            })
        })
    }

    /// One way; the last byte comes back.
    async fn stream(&self, mib: u32) -> Result<Duration> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let start = Instant::now();
        let (mut read, mut write) = stream.split();
        let writing = async {
            let piece = vec![7; PIECE];
            for _ in 0..mib as usize * MIB / PIECE {
                write.write_all(&piece).await?;
            }
            write.shutdown().await?;
            anyhow::Ok(())
        };
        let reading = async {
            let mut back = vec![0; PIECE];
            while read.read(&mut back).await? > 0 {}
            anyhow::Ok(())
        };
        tokio::try_join!(writing, reading)?;
        // The bytes came back as well: half of the time is one way.
        Ok(start.elapsed() / 2)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // The process may have ended.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

async fn ping_pong(socket: &Path, size: usize, n: u32) -> Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let (ping, mut pong) = (vec![7; size], vec![0; size]);
    let (mut read, mut write) = stream.split();
    for _ in 0..n {
        // At the same time, or large ones would wait for each other.
        tokio::try_join!(write.write_all(&ping), read.read_exact(&mut pong))?;
    }
    Ok(())
}

/// The floor's other end.
pub(crate) fn echo(socket: &Path) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = UnixListener::bind(socket)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut bytes = vec![0; PIECE];
                while let Ok(n) = stream.read(&mut bytes).await {
                    if n == 0 || stream.write_all(&bytes[..n]).await.is_err() {
                        break;
                    }
                }
            });
        }
    })
}
