//! One question to a program: it is started, reads its input, prints its answer and ends.

use std::io::{self, Read, Write as _};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::ProcessCommand;
use crate::command::{BUSY, is_busy};
use crate::group::BlockingChild;

/// How much of what a program says besides is repeated, in characters.
const SAID: usize = 500;
/// How much of that is kept, in bytes; the rest is read and forgotten.
const KEPT: u64 = 64 << 10;
/// The interval between checks of whether a program has ended that has closed its streams.
const LOOK: Duration = Duration::from_millis(5);

/// Bounds on a program that is asked.
#[derive(Clone, Copy, Debug)]
pub struct AskLimits {
    /// The time until it has ended.
    pub time: Duration,
    /// The bytes of its answer.
    pub output: u64,
}

/// The result of a program that has ended.
#[derive(Clone, Debug)]
pub struct RunOutput {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote to standard output.
    pub printed: Vec<u8>,
    /// The beginning of what it wrote to standard error.
    pub said: Vec<u8>,
}

/// Why a program does not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The system does not start it.
    #[error("it cannot be started: {source}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The program did not end in time, and was killed.
    #[error("`{question}` did not end within {limit:?}")]
    Late {
        /// The arguments by which it was asked.
        question: String,
        /// The time.
        limit: Duration,
    },
    /// Its answer is longer than an answer may be, and it was killed.
    #[error("the answer to `{question}` has more than {limit} bytes")]
    TooLong {
        /// The arguments by which it was asked.
        question: String,
        /// The most bytes.
        limit: u64,
    },
    /// Nothing is known of it any more.
    #[error("`{question}` was lost: {source}")]
    Lost {
        /// The arguments by which it was asked.
        question: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program failed.
    #[error(
        "`{question}` ended with {status}, and what it printed is no answer: it failed{}",
        quoted(said)
    )]
    Failed {
        /// The arguments by which it was asked.
        question: String,
        /// How it ended.
        status: ExitStatus,
        /// Its standard error, shortened.
        said: String,
    },
    /// The program printed something that is not understood.
    #[error(
        "`{question}` ended with {status}, and what it printed is no answer: {source}{}",
        quoted(said)
    )]
    NoAnswer {
        /// The arguments by which it was asked.
        question: String,
        /// How it ended.
        status: ExitStatus,
        /// Why it is none.
        #[source]
        source: serde_json::Error,
        /// Its standard error, shortened.
        said: String,
    },
}

/// A program's standard error, as the end of a message.
fn quoted(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!("\nit said: {said}"),
    }
}

/// Runs a program with `input`, and reads its answer, JSON, from its standard output. Blocks until it has ended.
///
/// # Errors
///
/// If it cannot be run within the limits, fails, or prints something else.
pub fn ask<A: DeserializeOwned>(
    command: &ProcessCommand,
    input: Vec<u8>,
    limits: AskLimits,
) -> Result<A, AskError> {
    let RunOutput {
        status,
        printed,
        said,
    } = run(command, input, limits)?;
    let question = question(command);
    let said = shortened(&said);
    match serde_json::from_slice(&printed) {
        Ok(answer) if status.success() => Ok(answer),
        Ok(_) => Err(AskError::Failed {
            question,
            status,
            said,
        }),
        Err(source) => Err(AskError::NoAnswer {
            question,
            status,
            source,
            said,
        }),
    }
}

/// Runs a program with `input` to its end. Blocks for as long.
///
/// # Errors
///
/// If it cannot be started, or not be run within the limits.
pub fn run(
    command: &ProcessCommand,
    input: Vec<u8>,
    limits: AskLimits,
) -> Result<RunOutput, AskError> {
    let late = || AskError::Late {
        question: question(command),
        limit: limits.time,
    };
    let mut child = spawn(command).map_err(|source| AskError::Spawn {
        program: command.program().into(),
        source,
    })?;
    let over = Instant::now() + limits.time;
    let (stdin, stdout, stderr) = child.streams();
    if let Some(mut stdin) = stdin {
        // The program need not read all of its input. The thread ends with the process.
        thread::spawn(move || _ = stdin.write_all(&input));
    }
    let printed = stdout.map(|out| read(out, limits.output.saturating_add(1), false));
    let said = stderr.map(|err| read(err, KEPT, true));
    let receive = |stream: Option<mpsc::Receiver<Vec<u8>>>| {
        let left = over.saturating_duration_since(Instant::now());
        stream.map_or(Ok(Vec::new()), |stream| match stream.recv_timeout(left) {
            Ok(bytes) => Ok(bytes),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(late()),
        })
    };
    let printed = receive(printed)?;
    if printed.len() as u64 > limits.output {
        return Err(AskError::TooLong {
            question: question(command),
            limit: limits.output,
        });
    }
    let said = receive(said)?;
    // Both streams have ended, so it has as good as ended.
    loop {
        let ended = child.try_wait().map_err(|source| AskError::Lost {
            question: question(command),
            source,
        })?;
        match ended {
            Some(status) => {
                return Ok(RunOutput {
                    status,
                    printed,
                    said,
                });
            }
            None if Instant::now() < over => thread::sleep(LOOK),
            None => return Err(late()),
        }
    }
}

fn spawn(command: &ProcessCommand) -> io::Result<BlockingChild> {
    let mut spawning = command.build();
    // Its standard error is part of the message if it does not answer.
    spawning.stderr(Stdio::piped());
    let (mut tries, pause) = BUSY;
    loop {
        match spawning.spawn() {
            Err(e) if tries > 0 && is_busy(&e) => {
                tries -= 1;
                thread::sleep(pause);
            }
            spawned => return spawned.map(BlockingChild::new),
        }
    }
}

/// Reads at most `most` bytes of a stream, in a thread that ends with it; `on_to_its_end` reads and forgets the rest.
fn read(
    mut stream: impl Read + Send + 'static,
    most: u64,
    on_to_its_end: bool,
) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // The bytes read before the stream broke off are as good as it gets.
        _ = (&mut stream).take(most).read_to_end(&mut bytes);
        if on_to_its_end {
            _ = io::copy(&mut stream, &mut io::sink());
        }
        // Nobody may be waiting any more.
        _ = sender.send(bytes);
    });
    receiver
}

/// The arguments, for a message.
fn question(command: &ProcessCommand) -> String {
    let words = command.arguments().iter().map(|arg| arg.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
}

fn shortened(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    said.trim().chars().take(SAID).collect()
}
