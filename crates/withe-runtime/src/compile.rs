//! Compiling in a process of its own, which may take so much memory and time and no more.
//!
//! A compiler reads whatever a component is made of, and what it needs for that is not bounded by the component's size:
//! 3 MB took 1.7 GB. Within the host, that memory is the host's, and so is the end when there is none. A process of
//! this program can be given limits, and when it ends the component is refused and everything else goes on. A process
//! costs some 30 ms more than compiling here, once for each component that is not found compiled.
//!
//! Rejected: counting allocations of the compiling thread. Wasmtime compiles on many threads, and a refused allocation ends
//! the process.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use withe_process::{AskError, AskLimits, ProcessCommand, RunOutput};

use crate::native_code::{CodeKind, NativeCode, TrustedCode};
use crate::settings::EngineSettings;

/// The largest compiled code, in bytes.
const MOST_CODE: u64 = 2 << 30;
/// How much of what the process said is repeated, in characters.
const SAID: usize = 2_000;
/// How many bytes the system lets the process have beyond its limit: allocators reserve more than they use.
const RESERVE: u64 = 2 << 30;
/// How often the process looks how much memory it uses.
const LOOK: Duration = Duration::from_millis(10);

/// How much compiling one component may take. Modules that are compiled apart share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileLimits {
    /// The memory, in bytes.
    pub memory: u64,
    /// The time.
    pub time: Duration,
    /// The size of the component, in bytes.
    pub size: u64,
}

/// The program that compiles, with its arguments, and its limits. Started with an empty environment but for what all
/// processes have, it must call [`compile_stdin`].
#[derive(Clone, Debug)]
pub struct CompileProcess {
    /// This program: code that another one makes is not loaded.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// How much it may take.
    pub limits: CompileLimits,
}

/// The first line of the process's input, as JSON; the component or module follows.
#[derive(Debug, Serialize, Deserialize)]
struct CompileRequest {
    /// The kind of the bytes that follow.
    kind: CodeKind,
    /// For which of the engines.
    concurrency: bool,
    /// The engine's most memory for an instance, in bytes.
    instance_memory: usize,
    /// How much memory the process may take, in bytes.
    memory: u64,
}

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component is too large.
    #[error("it has {size} bytes, and a component may have {most} (`--max-component-size`)")]
    TooLarge {
        /// Its size, in bytes.
        size: u64,
        /// The most.
        most: u64,
    },
    /// There was not enough memory.
    #[error("compiling it takes more than {0} bytes of memory (`--max-compile-memory`)")]
    Memory(u64),
    /// There was not enough time.
    #[error("compiling it takes longer than {0:?} (`--max-compile-time`)")]
    Late(Duration),
    /// Wasmtime refuses it.
    #[error("{0}")]
    Refused(String),
    /// The process ended without an answer.
    #[error("the process that compiled it ended with {status}{}", quoted(said))]
    Died {
        /// How.
        status: std::process::ExitStatus,
        /// The end of its standard error.
        said: String,
    },
    /// The process could not be asked.
    #[error("the process that compiles: {0}")]
    Ask(#[from] AskError),
    /// The process could not be told what to compile.
    #[error("the process that compiles cannot be told what to do: {0}")]
    Request(#[from] serde_json::Error),
    /// The process printed no code for this engine.
    #[error("what the process that compiles made is not used: {0:#}")]
    Code(wasmtime::Error),
}

fn quoted(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!(", and said: {said}"),
    }
}

/// How the process ends when Wasmtime refuses a component: what it says then is why.
const REFUSED: i32 = 3;
/// How it ends when it uses more memory than it may.
const TOO_MUCH: i32 = 4;

impl Default for CompileLimits {
    /// Half of the memory that hosts share out by default, five minutes, and 256 MiB.
    fn default() -> Self {
        Self {
            memory: crate::ShareLimits::default().memory / 2,
            time: Duration::from_secs(300),
            size: 256 << 20,
        }
    }
}

/// The end of the time that compiling a component may take, for all of its parts and for what it waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompileDeadline {
    end: Instant,
    limit: Duration,
}

impl CompileDeadline {
    /// The deadline of what begins now and may take so long.
    pub(crate) fn after(limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            // Longer than anything runs, where the clock cannot say.
            end: now
                .checked_add(limit)
                .unwrap_or(now + Duration::from_secs(u64::from(u32::MAX))),
            limit,
        }
    }

    /// The rest of the time.
    ///
    /// # Errors
    ///
    /// [`CompileError::Late`] if nothing is.
    pub(crate) fn left(&self) -> Result<Duration, CompileError> {
        let left = self.end.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(CompileError::Late(self.limit)),
            false => Ok(left),
        }
    }
}

impl CompileProcess {
    /// Refuses a component that is too large.
    ///
    /// # Errors
    ///
    /// If it is.
    pub(crate) fn check_size(&self, bytes: &[u8]) -> Result<(), CompileError> {
        let (size, most) = (bytes.len() as u64, self.limits.size);
        match size <= most {
            true => Ok(()),
            false => Err(CompileError::TooLarge { size, most }),
        }
    }

    /// Compiles a component or module for an engine with so many bytes of memory, and returns its code as well.
    ///
    /// # Errors
    ///
    /// If it does not compile within the limits, or by the deadline.
    pub(crate) fn compile<T: NativeCode>(
        &self,
        engine: &Engine,
        concurrency: bool,
        instance_memory: usize,
        memory: u64,
        deadline: &CompileDeadline,
        bytes: &[u8],
    ) -> Result<(T, Vec<u8>), CompileError> {
        let time = deadline.left()?;
        let request = CompileRequest {
            kind: T::KIND,
            concurrency,
            instance_memory,
            memory,
        };
        let mut input = serde_json::to_vec(&request)?;
        input.push(b'\n');
        input.extend_from_slice(bytes);
        let command = ProcessCommand::new(&self.program).args(&self.args);
        let limits = AskLimits {
            time,
            output: MOST_CODE,
        };
        let ran = match withe_process::run(&command, input, limits) {
            Err(AskError::Late { .. }) => return Err(CompileError::Late(deadline.limit)),
            ran => ran?,
        };
        let RunOutput {
            status,
            printed,
            said,
        } = ran;
        let said = String::from_utf8_lossy(&said);
        let said: String = said.trim().chars().take(SAID).collect();
        match status.code() {
            Some(0) => {
                let code = T::load(&TrustedCode::of_own_process(&printed), engine);
                Ok((code.map_err(CompileError::Code)?, printed))
            }
            Some(REFUSED) => Err(CompileError::Refused(said)),
            Some(TOO_MUCH) => Err(CompileError::Memory(memory)),
            // Rust says this when there is no memory, before it aborts.
            _ if said.contains("memory allocation of ") => Err(CompileError::Memory(memory)),
            _ => Err(CompileError::Died { status, said }),
        }
    }
}

/// The whole work of the process: compiles the component or module on `input`, and prints the code. Returns the status with which
/// it is to end, having said on standard error why it failed.
pub fn compile_stdin(mut input: impl Read, mut output: impl Write) -> i32 {
    match compile(&mut input, &mut output) {
        Ok(()) => 0,
        Err(StdinError::Refused(why)) => {
            eprintln!("{why:#}");
            REFUSED
        }
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}

/// Why the process has no code to print.
#[derive(Debug, thiserror::Error)]
enum StdinError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no request: {0}")]
    Request(#[from] serde_json::Error),
    #[error("{0:#}")]
    Refused(wasmtime::Error),
}

fn compile(input: &mut impl Read, output: &mut impl Write) -> Result<(), StdinError> {
    let mut all = Vec::new();
    input.read_to_end(&mut all)?;
    let end = all.iter().position(|byte| *byte == b'\n');
    let (head, bytes) = all.split_at(end.map_or(all.len(), |end| end + 1));
    let request: CompileRequest = serde_json::from_slice(head)?;
    limit_memory(request.memory);
    let config = EngineSettings::compiling(request.instance_memory).config(request.concurrency);
    let engine = Engine::new(&config).map_err(StdinError::Refused)?;
    let code = (request.kind)
        .precompile(&engine, bytes)
        .map_err(StdinError::Refused)?;
    output.write_all(&code)?;
    Ok(output.flush()?)
}

/// Bounds what this process may use, and offers it to the system as the first to go.
///
/// Only the system knows how much a process uses, so a thread looks there. The allocated memory is bounded as well, for
/// systems that do not tell, and for allocations between two looks.
fn limit_memory(most: u64) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Data);
    let data = most.saturating_add(RESERVE);
    let data = limit.maximum.map_or(data, |maximum| maximum.min(data));
    let limit = rustix::process::Rlimit {
        current: Some(data),
        ..limit
    };
    _ = rustix::process::setrlimit(rustix::process::Resource::Data, limit);
    #[cfg(target_os = "linux")]
    {
        _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        std::thread::spawn(move || {
            while resident().is_none_or(|used| used <= most) {
                std::thread::sleep(LOOK);
            }
            std::process::exit(TOO_MUCH);
        });
    }
}

/// The bytes of memory that this process uses.
#[cfg(target_os = "linux")]
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}
