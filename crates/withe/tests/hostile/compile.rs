//! Components that take their host what it needs to compile them.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::Folder;
use crate::support::client::get;
use crate::support::manifest::{application, component, http_server};
use crate::support::process::Up;

fn hello() -> Folder {
    Folder::with(&application(&[
        http_server("hello"),
        component("hello", "hello", "", &[]),
    ]))
}

/// Starts a host that compiles everything, with these limits.
fn up_without_cache(folder: &Folder, limits: &[&str]) -> Up {
    let mut command = folder.command(&["up", "app.yaml"]);
    command.args(limits).env("WITHE_CACHE_DIR", "");
    Up::start(command)
}

#[test]
fn a_component_that_takes_too_much_to_compile_is_refused_and_nothing_else_happens() {
    let table = [
        (
            "--max-compile-memory=8MiB",
            "more than 8388608 bytes of memory",
        ),
        ("--max-compile-time=1ms", "longer than 1ms"),
        ("--max-component-size=1KiB", "a component may have 1024"),
    ];
    for (limit, why) in table {
        let folder = hello();
        let (flag, _) = limit.split_once('=').unwrap();
        let said = ["component `hello` does not compile", why, flag];
        up_without_cache(&folder, &[limit]).ended().failed(&said);
    }
}

#[test]
fn what_is_compiled_in_a_process_of_its_own_runs() {
    let folder = hello();
    let up = up_without_cache(&folder, &["--max-compile-memory=2GiB"]);
    assert_eq!(get(&up.address(), "/").unwrap().status, 200);
}

#[test]
fn a_host_whose_program_was_removed_compiles_on() {
    let folder = hello();
    // Such as an upgrade that takes place under a host.
    fs::copy(env!("CARGO_BIN_EXE_withe"), folder.path("withe")).unwrap();
    let withe = folder.command(&["up", "app.yaml", "--watch"]);
    let mut command = Command::new(folder.path("withe"));
    command.args(withe.get_args()).current_dir(folder.path(""));
    for (name, value) in withe.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("WITHE_CACHE_DIR", "");
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let up = Up::start(command);
    let address = up.address();
    up.says("`app` runs");
    fs::remove_file(folder.path("withe")).unwrap();
    let other = application(&[
        http_server("hello"),
        component("hello", "http-echo", "", &[]),
    ]);
    folder.write("app.yaml", &other);
    up.says("`app` reloaded");
    assert_eq!(get(&address, "/").unwrap().status, 200);
}
