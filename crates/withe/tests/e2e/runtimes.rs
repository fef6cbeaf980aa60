//! Components that hold the same large module, as those in a language with a runtime do.

use std::fs;
use std::process::Command;

use crate::support::Folder;
use crate::support::manifest::{application, entry};
use crate::support::process::{Ended, run};

/// A component with a large module, the memory of which begins with `first`.
fn program(first: char) -> String {
    format!(
        r#"(component
            (core module $runtime
                (memory 30)
                (data (i32.const 0) "{first}{filling}")
                (func $large {code})
                (func (export "run") (result i32) (i32.load8_u (i32.const 0))))
            (core instance $instance (instantiate $runtime))
            (func (export "run") (result u32) (canon lift (core func $instance "run"))))"#,
        filling = "x".repeat(1_100_000),
        code = "nop ".repeat(1_200_000)
    )
}

/// An application of one such component, which has its own folder, but `cache` with others.
fn application_of(name: &str, first: char) -> Folder {
    let image = format!("image: ./{name}.wasm");
    let folder = Folder::with(&application(&[entry(name, "component", &image, &[])]));
    let bytes = wat::parse_str(program(first)).unwrap();
    fs::write(folder.path(&format!("{name}.wasm")), bytes).unwrap();
    folder
}

/// Calls it, with what is compiled logged.
fn call(application: &Folder, name: &str, cache: &Folder) -> Ended {
    let mut command = application.command(&["call", "app.yaml", name, "run()", "--log", "debug"]);
    command.env("WITHE_CACHE_DIR", cache.path("cache"));
    run(command)
}

#[test]
fn a_runtime_is_compiled_once_a_machine() {
    let cache = Folder::new();
    let (one, two) = (application_of("one", 'a'), application_of("two", 'b'));
    let first = call(&one, "one", &cache);
    assert_eq!(first.printed(), "97");
    for part in ["1 of 2, runtime, 1.1 MiB", "2 of 2, 1.0 MiB"] {
        let said = format!("compiling `one`: {part}");
        assert!(first.stderr.contains(&said), "{}", first.stderr);
    }
    let second = call(&two, "two", &cache);
    assert_eq!(second.printed(), "98");
    let said = "compiling `two`: 1 of 1, 1.0 MiB";
    assert!(second.stderr.contains(said), "{}", second.stderr);
    let again = call(&one, "one", &cache);
    assert_eq!(again.printed(), "97");
    assert!(!again.stderr.contains("compiling `"), "{}", again.stderr);
    let entries = fs::read_dir(cache.path("cache")).unwrap();
    let is_entry = |entry: &fs::DirEntry| entry.file_name().len() == 64;
    // The runtime, and what is left of either component.
    assert_eq!(entries.flatten().filter(is_entry).count(), 3);
}

/// A command that traps, with debug information. A table as large as this one is compiled apart from the code.
fn trapping(folder: &Folder, table: usize) -> Ended {
    let source = format!(
        r#"static TABLE: [u8; {table}] = [7; {table}];

#[inline(never)]
fn divide(by: usize) -> u8 {{
    if by == 0 {{
        std::process::abort()
    }}
    TABLE[by]
}}

fn main() {{
    println!("{{}}", divide(std::env::args().count() - 1));
}}
"#
    );
    folder.write("trapping.rs", &source);
    let compiled = Command::new("rustc")
        .args(["trapping.rs", "--edition", "2024", "-g"])
        .args(["--target", "wasm32-wasip2"])
        .current_dir(folder.path("."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    folder.run(&["up", "trapping.wasm"])
}

#[test]
fn a_trap_names_lines_where_there_is_debug_information() {
    for table in [100, 1_200_000] {
        let folder = Folder::new();
        let ended = trapping(&folder, table);
        for place in ["trapping.rs:6)", "trapping.rs:12)"] {
            assert!(ended.stderr.contains(place), "{}", ended.stderr);
        }
    }
}
