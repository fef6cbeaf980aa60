//! Calls over a link of one binding, as the built command makes them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use wasmtime::component::{Type, Val};

use crate::case::{Call, Case};
use crate::process::{self, Ended};

/// Makes all calls of a case over links of a binding.
pub(crate) fn check(case: &str, binding: &str) {
    let case = Case::read(case);
    if let Some(parts) = case.refused(binding) {
        for call in &case.calls {
            let parts: Vec<_> = parts.iter().map(String::as_str).collect();
            ended(&case, call, binding).failed(&parts);
        }
        return;
    }
    let differences: Vec<_> = case
        .calls_over(binding)
        .iter()
        .filter_map(|call| call.difference(&outcome(&ended(&case, call, binding))))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

fn ended(case: &Case, call: &Call, binding: &str) -> Ended {
    let function = format!("{}()", call.function);
    if case.pairs.is_empty() {
        return linked(&case.importer, &case.exporter, &function, binding);
    }
    let folder = tempfile::tempdir().unwrap();
    // No option says which names are pairs.
    let manifest = folder.path().join("app.yaml");
    fs::write(&manifest, manifest_of(case)).unwrap();
    let mut command = command();
    command.arg(manifest).arg("importer").arg(function);
    made(command, binding)
}

/// Calls a function of a component that is linked to another.
pub(crate) fn linked(importer: &Path, exporter: &Path, function: &str, binding: &str) -> Ended {
    let mut command = command();
    (command.arg(importer).arg(function))
        .arg("--link")
        .arg(exporter);
    made(command, binding)
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_withe"));
    command.arg("call");
    command
}

fn made(mut command: Command, binding: &str) -> Ended {
    command
        .args(["--binding", binding, "--timeout", "60"])
        .args(lattice(binding))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // One for all tests, which share components: most find theirs compiled.
        .env(
            "WITHE_CACHE_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"),
        )
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    for variable in ["WITHE_LOG", "WITHE_LATTICE", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    process::run(command)
}

/// The pair as an application whose link pairs names.
fn manifest_of(case: &Case) -> String {
    let pair =
        |(import, export): &(String, String)| format!("{{import: {import:?}, export: {export:?}}}");
    let pairs: Vec<_> = case.pairs.iter().map(pair).collect();
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: pair}}\nspec:\n  components:\n    \
         - name: importer\n      type: component\n      properties: {{image: {:?}}}\n      traits:\n        \
         - {{type: link, properties: {{target: exporter, interfaces: [{}]}}}}\n    \
         - {{name: exporter, type: component, properties: {{image: {:?}}}}}\n",
        case.importer,
        pairs.join(", "),
        case.exporter,
    )
}

/// Where the lattice is, for the binding that needs one.
pub(crate) fn lattice(binding: &str) -> Vec<String> {
    match binding {
        "nats" => vec!["--lattice".into(), withe_testing::nats::shared().unwrap()],
        _ => Vec::new(),
    }
}

/// The text that a call returned, or what was said of its failure.
pub(crate) fn outcome(ended: &Ended) -> Result<String, String> {
    match ended.code {
        Some(0) => match Val::from_wave(&Type::String, ended.stdout.trim_end()) {
            Ok(Val::String(text)) => Ok(text),
            other => panic!("not a string in WAVE, but {other:?}: {:?}", ended.stdout),
        },
        Some(1) => Err(ended.stderr.clone()),
        _ => panic!("neither a result nor a failure of the call: {ended:#?}"),
    }
}
