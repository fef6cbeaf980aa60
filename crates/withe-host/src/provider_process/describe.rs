//! Asks a program what provider it is.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use withe_provider::process::{Description, PROTOCOL};

/// How long a program may take to describe itself.
const DESCRIBE: Duration = Duration::from_secs(5);
/// The longest description, in bytes.
const LONGEST: u64 = 16 << 20;
/// How much of what a program says besides is repeated.
const SAID: usize = 500;

/// Why a program does not say what provider it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DescribeError {
    /// It cannot be started.
    #[error("it cannot be started: {0}")]
    Start(std::io::Error),
    /// It does not end.
    #[error("`--describe` did not end within {} seconds", DESCRIBE.as_secs())]
    Late,
    /// It ended, and said something else or nothing.
    #[error("`--describe` ended with {status}, and what it printed is no description: {why}{said}")]
    Other {
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
pub(crate) fn describe(program: &Path) -> Result<Description, DescribeError> {
    // A bare name would be looked for in `PATH`.
    let program = std::path::absolute(program).map_err(DescribeError::Start)?;
    let mut child = Command::new(&program)
        .arg("--describe")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(DescribeError::Start)?;
    let printed = child.stdout.take().map(read);
    let said = child.stderr.take().map(read);
    let over = std::time::Instant::now() + DESCRIBE;
    let mut received = [printed, said].map(|stream| {
        let left = over.saturating_duration_since(std::time::Instant::now());
        stream.and_then(|stream| stream.recv_timeout(left).ok())
    });
    // Both streams have ended, so it has as good as ended, or it is late.
    let is_late = received.iter().any(Option::is_none);
    if is_late {
        _ = child.kill();
    }
    let status = child.wait().map_err(DescribeError::Start)?;
    if is_late {
        return Err(DescribeError::Late);
    }
    let printed = received[0].take().unwrap_or_default();
    let said = received[1].take().unwrap_or_default();
    match serde_json::from_slice::<Description>(&printed) {
        Ok(description) if description.protocol != PROTOCOL => {
            Err(DescribeError::Protocol(description.protocol))
        }
        Ok(description) if status.success() => Ok(description),
        other => Err(DescribeError::Other {
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

    use super::*;

    /// What comes of describing a script with this text.
    fn described(text: &str) -> Result<Description, DescribeError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provider");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        loop {
            match describe(&path) {
                // Another test's process was forked while the script was open for writing.
                Err(DescribeError::Start(e))
                    if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                result => return result,
            }
        }
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
        assert!(matches!(error, DescribeError::Protocol(9)), "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let error = described("exec sleep 1000").unwrap_err();
        assert!(matches!(error, DescribeError::Late), "{error}");
    }
}
