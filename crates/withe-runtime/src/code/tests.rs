//! How compiling in parts fails, by a process that does what the names in a module say, and what parts a pool has no room for.

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::compile::CompileLimits;
use crate::settings::EngineSettings;

/// The memory of compiling, which a part that is compiled alone has all of.
const MEMORY: u64 = 1000;
/// Does as the name says that a module exports, or prints the code of that name. Components are told apart by their size.
const SCRIPT: &str = r#"
    in="$1/in.$$"
    cat >"$in"
    kind=module
    head -n 1 "$in" | grep -q '"kind":"component"' && kind=rest
    [ $kind = rest ] && [ "$(wc -c <"$in")" -gt 1048576 ] && kind=whole
    name=$kind
    if [ ! -e "$1/$kind.code" ]; then
        for code in "$1"/*.code; do
            name=${code##*/}
            name=${name%.code}
            grep -aq "<$name>" "$in" && break
        done
    fi
    echo "$kind $name" >>"$1/log"
    case $name in
        memory*) head -n 1 "$in" | grep -q '"memory":1000}' || exit 4 ;;
        refused*) echo "no good" >&2; exit 3 ;;
        late*) exec sleep 600 ;;
        died*) kill -9 $$ ;;
    esac
    cat "$1/$name.code""#;

/// A process that compiles as the script says, for one engine.
struct Scripted {
    folder: TempDir,
    engine: Engine,
    source: CodeSource,
}

impl Scripted {
    fn new(time: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args = ["-c", SCRIPT, "sh", folder.path().to_str().unwrap()];
        let mut source = source();
        source.compiler = Some(CompileProcess {
            program: "/bin/sh".into(),
            args: args.map(str::to_owned).into(),
            limits: CompileLimits {
                memory: MEMORY,
                time,
                ..CompileLimits::default()
            },
        });
        Self {
            folder,
            engine: engine(),
            source,
        }
    }

    /// Has the process know a name, and print code for it.
    fn code(&self, name: &str, code: &[u8]) {
        fs::write(self.folder.path().join(format!("{name}.code")), code).unwrap();
    }

    fn job(&self) -> Job<'_> {
        Job {
            to: to(&self.engine),
            deadline: CompileDeadline::after(self.source.compiler.as_ref().unwrap().limits.time),
        }
    }

    /// Compiles modules of these names, and returns the names of what was made.
    fn all(&self, names: &[&str]) -> wasmtime::Result<Vec<String>> {
        let modules: Vec<_> = names.iter().map(|name| small_module(name)).collect();
        let parts: Vec<_> = modules
            .iter()
            .zip(names)
            .map(|(bytes, name)| {
                self.code(name, &self.engine.precompile_module(bytes).unwrap());
                Part {
                    name: None,
                    bytes,
                    entry: EntryName::of(&self.engine, Module::KIND, bytes),
                    copy: Some(0),
                }
            })
            .collect();
        let parts: Vec<_> = parts.iter().collect();
        let codes = self.source.all(&self.job(), &parts, &|_| {})?;
        let names = codes.iter().map(|code| match code {
            PartCode::Module(module) => module.exports().next().unwrap().name().to_owned(),
            PartCode::Component(_) => "a component".to_owned(),
        });
        Ok(names.collect())
    }

    fn component(&self, bytes: &[u8]) -> wasmtime::Result<ComponentCode> {
        self.source.component(to(&self.engine), bytes, &|_| {})
    }

    /// The kinds and names that the process was asked for, sorted.
    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let mut log: Vec<_> = log.lines().map(str::to_owned).collect();
        log.sort();
        log
    }
}

fn source() -> CodeSource {
    CodeSource {
        cache: None,
        compiler: None,
        instance_memory: 1 << 20,
        modules: SharedModules::default(),
    }
}

fn engine() -> Engine {
    Engine::new(&EngineSettings::compiling(1 << 20).config(false)).unwrap()
}

fn to(engine: &Engine) -> For<'_> {
    For {
        engine,
        concurrency: false,
    }
}

fn hour() -> Duration {
    Duration::from_secs(3600)
}

fn small_module(name: &str) -> Vec<u8> {
    wat::parse_str(format!(r#"(module (func (export "<{name}>")))"#)).unwrap()
}

/// A component with a module of a megabyte under each of some names. The module exports `export`, and has `items` besides.
fn component(export: &str, names: &[&str], items: &str, instances: usize) -> Vec<u8> {
    let code = "nop ".repeat(1 << 20);
    let modules = names.iter().map(|name| {
        let instance = format!("(core instance (instantiate ${name}))");
        format!(
            r#"(core module ${name} {items} (func (export "<{export}>") {code}))
            {}"#,
            instance.repeat(instances)
        )
    });
    let modules: String = modules.collect();
    wat::parse_str(format!("(component {modules})")).unwrap()
}

fn compile_error(result: wasmtime::Result<impl Sized>) -> CompileError {
    let why = result.err().expect("it does not compile");
    why.downcast().expect("the process's error")
}

#[test]
fn a_part_for_which_memory_is_short_beside_others_is_compiled_alone() {
    let scripted = Scripted::new(hour());
    let names = ["memory-1", "ok-1", "memory-2", "ok-2", "ok-3"];
    let made = scripted.all(&names).unwrap();
    let want: Vec<_> = names.iter().map(|name| format!("<{name}>")).collect();
    assert_eq!(made, want);
    let attempts = match std::thread::available_parallelism().map_or(1, usize::from) {
        1 => 1,
        _ => 2,
    };
    for (name, times) in [("memory-1", attempts), ("memory-2", attempts), ("ok-1", 1)] {
        let log = scripted.log();
        let asked = log.iter().filter(|line| line.ends_with(name));
        assert_eq!(asked.count(), times, "{name}");
    }
}

#[test]
fn one_refused_part_is_the_error_of_all() {
    let scripted = Scripted::new(hour());
    let names = ["ok-1", "ok-2", "refused-by-wasmtime", "ok-3", "ok-4"];
    let why = compile_error(scripted.all(&names));
    assert!(
        matches!(&why, CompileError::Refused(said) if said == "no good"),
        "{why:?}"
    );
    // A part that was refused is not tried again.
    let log = scripted.log();
    assert_eq!(
        log.iter().filter(|line| line.contains("refused")).count(),
        1
    );
}

#[test]
fn a_component_whose_parts_are_refused_is_compiled_whole() {
    let scripted = Scripted::new(hour());
    let bytes = component("refused", &["m"], "", 1);
    scripted.code("refused", b"");
    scripted.code(
        "whole",
        &scripted.engine.precompile_component(&bytes).unwrap(),
    );
    let code = scripted.component(&bytes).unwrap();
    assert!(code.modules.is_empty());
    assert!(scripted.log().contains(&"whole whole".to_owned()));
}

#[test]
fn what_is_late_or_dies_is_not_compiled_whole_after_that() {
    type IsWanted = fn(&CompileError) -> bool;
    let table: [(&str, Duration, IsWanted); 2] = [
        (
            "late",
            Duration::from_millis(50),
            |why| matches!(why, CompileError::Late(limit) if *limit == Duration::from_millis(50)),
        ),
        ("died", hour(), |why| {
            matches!(why, CompileError::Died { .. })
        }),
    ];
    for (name, time, is_wanted) in table {
        let scripted = Scripted::new(time);
        let bytes = component(name, &["m"], "", 1);
        scripted.code(name, b"");
        let why = compile_error(scripted.component(&bytes));
        assert!(is_wanted(&why), "{why:?}");
        let log = scripted.log();
        assert!(!log.iter().any(|line| line.starts_with("whole")), "{log:?}");
    }
}

/// All parts together have the time, and not each of them.
#[test]
fn nothing_is_started_when_no_time_is_left() {
    let scripted = Scripted::new(Duration::ZERO);
    let why = compile_error(scripted.all(&["ok-1", "ok-2"]));
    assert!(matches!(why, CompileError::Late(_)), "{why:?}");
    assert!(scripted.log().is_empty());
}

#[test]
fn a_module_that_has_several_names_is_compiled_once() {
    let scripted = Scripted::new(hour());
    let bytes = component("ok", &["a", "b", "b2"], "", 1);
    let extracted = extract_modules(&bytes, &ExtractSizes::default(), &INSTANCE_LIMITS).unwrap();
    let module = &extracted.modules[0].bytes;
    scripted.code(
        "module",
        &scripted.engine.precompile_module(module).unwrap(),
    );
    let rest = scripted.engine.precompile_component(&extracted.component);
    scripted.code("rest", &rest.unwrap());
    let code = scripted.component(&bytes).unwrap();
    assert_eq!(scripted.log(), ["module module", "rest rest"]);
    let names: Vec<_> = code
        .modules
        .iter()
        .flat_map(|m| m.name.as_deref())
        .collect();
    assert_eq!(names, ["a", "b", "b2"]);
    // A trap's module says which of them it was.
    for (number, module) in code.modules.iter().enumerate() {
        let same = code.modules.iter();
        let same = same.filter(|other| Module::same(&other.module, &module.module));
        assert_eq!(same.count(), 1, "{number}");
    }
    // Another component has the same ones, whatever its names are.
    let others = scripted
        .source
        .in_parts(&scripted.job(), &extracted, &|_| {});
    for (one, other) in code.modules.iter().zip(&others.unwrap().modules) {
        assert!(Module::same(&one.module, &other.module));
    }
}

/// Wasmtime counts what an instance needs only of modules that are not imported.
#[test]
fn an_instance_takes_no_more_of_the_pool_because_its_modules_are_compiled_apart() {
    let globals = "(global i32 (i32.const 0))".repeat(60_000);
    let table = [
        (globals.as_str(), 5, "component instance size does not fit"),
        (
            globals.as_str(),
            511,
            "component instance size does not fit",
        ),
        ("(memory 1)", 190, "190 Wasm linear memories"),
        ("(table 1 funcref)", 257, "257 tables"),
    ];
    let (source, engine) = (source(), engine());
    for (items, instances, why) in table {
        let bytes = component("ok", &["m"], items, instances);
        let refused = source.component(to(&engine), &bytes, &|_| {});
        let refused = format!("{:#}", refused.err().expect("the pool has no room"));
        assert!(refused.contains(why), "{refused}");
    }
    let bytes = component("ok", &["m"], "(memory 1)", 64);
    let told = Mutex::new(0);
    let code = source.component(to(&engine), &bytes, &|_| *told.lock().unwrap() += 1);
    assert_eq!((code.unwrap().modules.len(), *told.lock().unwrap()), (1, 2));
}
