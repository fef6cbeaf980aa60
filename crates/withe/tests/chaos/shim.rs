//! Stands between the command and the system, and makes the system fail: libraries, and limits of a shell.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

/// Builds the library of this name, from `shims`. Without a compiler for C there is none, and the test is not made.
pub(crate) fn build(name: &str) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/chaos/shims/{name}.c"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let library = folder.join(format!("chaos-{name}.so"));
    // Tests run beside each other: nobody sees a part of it.
    static BUILT: AtomicU32 = AtomicU32::new(0);
    let n = BUILT.fetch_add(1, Ordering::Relaxed);
    let part = folder.join(format!("chaos-{name}-{}-{n}.so", std::process::id()));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
    let Ok(output) = compiler.arg(&part).arg(source).arg("-ldl").output() else {
        eprintln!("SKIPPED: there is no `cc` to build a library that fails");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    fs::rename(part, &library).unwrap();
    Some(library)
}

/// Has a command use it.
pub(crate) fn preload(command: &mut Command, library: &Path) {
    command.env("LD_PRELOAD", library);
}

/// The same command, run by a shell that does something first to the process that it becomes.
pub(crate) fn through_shell(first: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("{first}; exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(command.get_program());
    shell.args(command.get_args());
    shell.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}
