//! A call over a link of one binding, as the built command makes it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::pair::{EXPORTER, IMPORTER, RUN};
use crate::process;

/// Calls the importer of the pair in a folder; returns the text of its result, or what was said of its
/// failure.
pub(crate) fn call(folder: &Path, binding: &str, given: &str) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_withe"));
    command
        .arg("call")
        .arg(folder.join(IMPORTER))
        .arg(format!("{RUN}({given})"))
        .arg("--link")
        .arg(folder.join(EXPORTER))
        .args(["--binding", binding, "--timeout", "30"])
        .args(lattice(binding))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("WITHE_CACHE_DIR", folder.join("compiled"))
        .env("XDG_STATE_HOME", folder.join("state"));
    for variable in ["WITHE_LOG", "WITHE_LATTICE", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    let ended = process::run(command);
    match ended.code {
        Some(0) => Ok(ended.stdout.trim_end().into()),
        code => Err(format!("exit code {code:?}: {}", ended.stderr)),
    }
}

/// Where the lattice is, for the binding that needs one.
fn lattice(binding: &str) -> Vec<String> {
    match binding {
        "nats" => vec!["--lattice".into(), withe_testing::nats::shared().unwrap()],
        _ => Vec::new(),
    }
}

/// The same call as it is written in a shell.
pub(crate) fn shown(folder: &Path, binding: &str, given: &str) -> String {
    let folder = folder.display();
    let call = format!("{RUN}({given})").replace('\'', r"'\''");
    format!(
        "withe call {folder}/{IMPORTER} --link {folder}/{EXPORTER} --binding {binding} '{call}'"
    )
}
