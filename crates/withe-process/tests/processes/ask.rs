//! Programs that are asked one question.

use std::time::Duration;

use withe_process::{AskError, AskLimits, ProcessCommand, ask};

use crate::is_gone;

const LIMITS: AskLimits = AskLimits {
    time: Duration::from_secs(60),
    output: 100,
};

/// The outcome of asking a script.
fn asked(script: &str, limits: AskLimits) -> Result<Vec<u32>, AskError> {
    let command = ProcessCommand::new("/bin/sh").args(["-c", script]);
    ask(&command, b"[1,2]".into(), limits)
}

#[test]
fn a_program_reads_its_input_and_answers() {
    assert_eq!(asked("cat", LIMITS).unwrap(), [1, 2]);
    // The program need not read its input.
    assert_eq!(asked("echo '[3]'; echo said >&2", LIMITS).unwrap(), [3]);
    let input = vec![b' '; 1 << 20];
    let command = ProcessCommand::new("/bin/sh").args(["-c", "echo []"]);
    let answer: Vec<u32> = ask(&command, input, LIMITS).unwrap();
    assert!(answer.is_empty());
}

#[test]
fn what_is_no_answer_is_repeated_and_says_how_the_program_ended() {
    for (script, says) in [
        ("echo hello; echo oh no >&2; exit 3", "exit status: 3"),
        ("echo []; echo oh no >&2; exit 3", "it failed"),
        ("echo 1; echo oh no >&2", "exit status: 0"),
    ] {
        let text = asked(script, LIMITS).unwrap_err().to_string();
        assert!(text.contains(says), "{text}");
        assert!(text.ends_with("\nit said: oh no"), "{text}");
    }
}

#[test]
fn what_does_not_end_is_killed_with_what_it_started() {
    let limits = AskLimits {
        time: Duration::from_millis(300),
        ..LIMITS
    };
    let folder = tempfile::tempdir().unwrap();
    let id = folder.path().join("id");
    let id_file = id.display();
    for script in [
        // A process that waits for another, one that is waited for by nobody, and one that says nothing more.
        format!("sleep 1000 & echo $! > {id_file}; wait"),
        format!("sleep 1000 & echo $! > {id_file}; echo []"),
        format!("echo $$ > {id_file}; echo []; exec >&- 2>&-; exec sleep 1000"),
    ] {
        let error = asked(&script, limits).unwrap_err();
        assert!(matches!(error, AskError::Late { .. }), "{error}");
        let id = std::fs::read_to_string(&id).unwrap();
        is_gone(&id);
    }
}

#[test]
fn an_answer_without_an_end_is_refused() {
    let error = asked("while echo 1111111111; do :; done", LIMITS).unwrap_err();
    assert!(
        matches!(error, AskError::TooLong { limit: 100, .. }),
        "{error}"
    );
    // Its standard error is not its answer.
    let script = "i=0; while [ $i -lt 20000 ]; do echo 1111111111 >&2; i=$((i+1)); done; echo []";
    assert!(asked(script, LIMITS).unwrap().is_empty());
}

#[test]
fn a_program_is_not_looked_for_elsewhere() {
    let error = ask::<()>(&ProcessCommand::new("sh"), Vec::new(), LIMITS).unwrap_err();
    assert!(matches!(error, AskError::Spawn { .. }), "{error}");
}
