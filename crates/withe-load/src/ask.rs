//! Asks a program what provider it is, and what it says of its configuration.

use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use withe_process::{AskLimits, Confined, ProcessCommand};
use withe_provider::ConfigProblem;
use withe_provider::process::{Description, PROTOCOL, Question};

/// Bounds on an answer.
const LIMITS: AskLimits = AskLimits {
    time: Duration::from_secs(5),
    output: 16 << 20,
};

/// Why a program does not answer what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The program does not answer.
    #[error(transparent)]
    Ask(#[from] withe_process::AskError),
    /// The program speaks another version.
    #[error(
        "it speaks version {0} of the provider protocol, and this host speaks version {PROTOCOL}"
    )]
    Protocol(u32),
    /// The configuration it is asked about cannot be written as JSON.
    #[error("the configuration cannot be sent to it: {0}")]
    Question(#[source] serde_json::Error),
}

/// Runs `program --describe`, confined, if anything is given.
///
/// # Errors
///
/// If it does not describe itself in time.
pub fn describe(program: &Path, confined: Option<Confined>) -> Result<Description, AskError> {
    let description: Description = ask(program, "--describe", Vec::new(), confined)?;
    if description.protocol != PROTOCOL {
        return Err(AskError::Protocol(description.protocol));
    }
    Ok(description)
}

/// Runs `program --check`, confined, if anything is given.
///
/// # Errors
///
/// If it does not say in time what is wrong with the configuration.
pub(crate) fn check(
    program: &Path,
    question: &Question,
    confined: Option<Confined>,
) -> Result<Vec<ConfigProblem>, AskError> {
    let question = serde_json::to_vec(question).map_err(AskError::Question)?;
    ask(program, "--check", question, confined)
}

/// Runs `program` with an argument and `input`, and reads its answer.
fn ask<A: DeserializeOwned>(
    program: &Path,
    argument: &'static str,
    input: Vec<u8>,
    confined: Option<Confined>,
) -> Result<A, AskError> {
    let command = ProcessCommand::new(program).args([argument]);
    let command = command.confined(confined);
    Ok(withe_process::ask(&command, input, LIMITS)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use withe_provider::{ConfigMap, ConfigRole};

    use super::*;

    /// The outcome of asking a script with this text.
    fn asked<A>(text: &str, ask: impl Fn(&Path) -> Result<A, AskError>) -> Result<A, AskError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provider");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        ask(&path)
    }

    fn described(text: &str) -> Result<Description, AskError> {
        asked(text, |program| describe(program, None))
    }

    #[test]
    fn a_program_says_what_is_wrong_with_a_configuration() {
        let question = Question {
            role: ConfigRole::Own,
            config: ConfigMap::from([("a".into(), "b".into())]),
        };
        let checked = |text: &str| asked(text, |path| check(path, &question, None));
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
        let json = r#"{"protocol":3,"name":"a","version":"1","summary":"s","wit":["w"]}"#;
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
}
