//! Asks a program what provider it is, and what it says of its configuration.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use withe_provider::ConfigProblem;
use withe_provider::process::{Description, PROTOCOL, Question};

/// How long a program may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const LONGEST: u64 = 16 << 20;
/// How much of what a program says besides is repeated.
const SAID: usize = 500;

/// Why a program does not answer what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It cannot be started.
    #[error("it cannot be started: {0}")]
    Start(std::io::Error),
    /// It does not end.
    #[error("`{0}` did not end within {limit} seconds", limit = PATIENCE.as_secs())]
    Late(&'static str),
    /// It ended, and said something else or nothing.
    #[error("`{argument}` ended with {status}, and what it printed is no answer: {why}{said}")]
    Other {
        /// What it was asked.
        argument: &'static str,
        /// How it ended.
        status: String,
        /// What is wrong with its output.
        why: String,
        /// What it wrote to standard error, with a line break in front.
        said: String,
    },
    /// It is of another version.
    #[error(
        "it speaks version {0} of the provider protocol, and this host speaks version {PROTOCOL}"
    )]
    Protocol(u32),
}

/// Runs `program --describe`.
///
/// # Errors
///
/// If it does not describe itself in time.
pub fn describe(program: &Path) -> Result<Description, AskError> {
    let description: Description = ask(program, "--describe", Vec::new())?;
    if description.protocol != PROTOCOL {
        return Err(AskError::Protocol(description.protocol));
    }
    Ok(description)
}

/// Runs `program --check`.
///
/// # Errors
///
/// If it does not say in time what is wrong with the configuration.
pub(crate) fn check(program: &Path, question: &Question) -> Result<Vec<ConfigProblem>, AskError> {
    let question = serde_json::to_vec(question).map_err(|e| AskError::Start(e.into()))?;
    ask(program, "--check", question)
}

/// Runs `program` with an argument and `input`, and reads its answer from its standard output.
fn ask<A: DeserializeOwned>(
    program: &Path,
    argument: &'static str,
    input: Vec<u8>,
) -> Result<A, AskError> {
    // A bare name would be looked for in `PATH`.
    let program = std::path::absolute(program).map_err(AskError::Start)?;
    let mut child = Command::new(&program)
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(AskError::Start)?;
    let over = Instant::now() + PATIENCE;
    if let Some(mut stdin) = child.stdin.take() {
        // It need not read what it does not want to know. The thread ends with the process.
        thread::spawn(move || _ = stdin.write_all(&input));
    }
    let printed = child.stdout.take().map(read);
    let said = child.stderr.take().map(read);
    let mut received = [printed, said].map(|stream| {
        let left = over.saturating_duration_since(Instant::now());
        stream.and_then(|stream| stream.recv_timeout(left).ok())
    });
    // Both streams have ended, so it has as good as ended, or it is late.
    let is_late = received.iter().any(Option::is_none);
    if is_late {
        _ = child.kill();
    }
    let status = child.wait().map_err(AskError::Start)?;
    if is_late {
        return Err(AskError::Late(argument));
    }
    let printed = received[0].take().unwrap_or_default();
    let said = received[1].take().unwrap_or_default();
    match serde_json::from_slice(&printed) {
        Ok(answer) if status.success() => Ok(answer),
        other => Err(AskError::Other {
            argument,
            status: status.to_string(),
            why: other
                .err()
                .map_or_else(|| "it failed".into(), |e| e.to_string()),
            said: shortened(&said),
        }),
    }
}

/// Reads a stream to its end, in a thread that ends with it.
fn read(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before it broke off is as good as it gets.
        _ = stream.take(LONGEST).read_to_end(&mut bytes);
        // Nobody may be waiting any more.
        _ = sender.send(bytes);
    });
    receiver
}

fn shortened(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let said: String = said.trim().chars().take(SAID).collect();
    if said.is_empty() {
        said
    } else {
        format!("\nit said: {said}")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use withe_provider::{ConfigMap, ConfigRole};

    use super::*;

    /// What comes of asking a script with this text.
    fn asked<A>(text: &str, ask: impl Fn(&Path) -> Result<A, AskError>) -> Result<A, AskError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provider");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        loop {
            match ask(&path) {
                // Another test's process was forked while the script was open for writing.
                Err(AskError::Start(e)) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                result => return result,
            }
        }
    }

    fn described(text: &str) -> Result<Description, AskError> {
        asked(text, describe)
    }

    #[test]
    fn a_program_says_what_is_wrong_with_a_configuration() {
        let question = Question {
            role: ConfigRole::Own,
            config: ConfigMap::from([("a".into(), "b".into())]),
        };
        let checked = |text: &str| asked(text, |path| check(path, &question));
        let script = r#"said=$(cat); [ "$1$said" = '--check{"role":"own","config":{"a":"b"}}' ] || exit 1
            echo '[{"key":"a","message":"is b","help":null}]'"#;
        assert_eq!(checked(script).unwrap()[0].message, "is b");
        assert_eq!(checked("echo '[]'").unwrap(), []);
        let error = checked("echo no >&2; exit 2").unwrap_err().to_string();
        assert!(
            error.contains("`--check` ended with exit status: 2"),
            "{error}"
        );
    }

    #[test]
    fn a_program_says_what_it_is() {
        let json = r#"{"protocol":1,"name":"a","version":"1","summary":"s","wit":["w"]}"#;
        let description = described(&format!("[ \"$1\" = --describe ] && echo '{json}'"));
        let description = description.unwrap();
        assert_eq!((description.name.as_str(), description.wit.len()), ("a", 1));
    }

    #[test]
    fn what_is_said_instead_is_repeated() {
        let error = described("echo hello; echo oh no >&2; exit 3").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.ends_with("\nit said: oh no"), "{text}");
        let json = r#"{"protocol":9,"name":"a","version":"1","summary":"s","wit":[]}"#;
        let error = described(&format!("echo '{json}'")).unwrap_err();
        assert!(matches!(error, AskError::Protocol(9)), "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let error = described("exec sleep 1000").unwrap_err();
        assert!(matches!(error, AskError::Late("--describe")), "{error}");
    }
}
