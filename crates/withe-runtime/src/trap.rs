//! What went wrong in a guest, for people: which component, which function, why.

use wasmtime::component::__internal::wasmtime_environ;
use wasmtime::{FrameInfo, Store, Trap, WasmBacktrace};
use withe_rpc::CallError;

use crate::graph::Unit;
use crate::link::LinkFailure;
use crate::state::{DeadlinePassed, State};

/// How many of a backtrace's frames are worth a person's time.
const FRAMES: usize = 4;

/// Explains why instantiating or calling `unit` failed.
pub(crate) fn to_call_error(
    unit: &Unit,
    store: &Store<State>,
    error: wasmtime::Error,
) -> CallError {
    if error.is::<DeadlinePassed>() {
        return CallError::Deadline;
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return CallError::Exhausted("all instance slots of this host are in use".into());
    }
    if let Some(failure) = error.downcast_ref::<LinkFailure>() {
        // The callee has explained itself; where in the caller it happened adds little.
        return match &failure.cause {
            CallError::Deadline if std::time::Instant::now() >= store.data().deadline => {
                CallError::Deadline
            }
            _ => CallError::Trap(failure.to_string()),
        };
    }
    let mut text = describe(unit, &error);
    if store.data().limits.refused {
        let limit = unit.limits().memory.unwrap_or_default();
        text.push_str(&format!("; its memory limit of {limit} bytes was reached"));
    }
    CallError::Trap(text)
}

fn describe(unit: &Unit, error: &wasmtime::Error) -> String {
    let cause = match error.downcast_ref::<Trap>() {
        Some(trap) => trap
            .to_string()
            .trim_start_matches("wasm trap: ")
            .to_owned(),
        None => error.root_cause().to_string(),
    };
    let frames: Vec<_> = error
        .downcast_ref::<WasmBacktrace>()
        .map(|backtrace| {
            backtrace
                .frames()
                .iter()
                .filter(|f| is_telling(f))
                .take(FRAMES)
                .collect()
        })
        .unwrap_or_default();
    let member = frames
        .first()
        .and_then(|f| member_of(unit, f))
        .unwrap_or_else(|| unit.name());
    let mut text = format!("component `{member}`: {cause}");
    for (i, frame) in frames.iter().enumerate() {
        text.push_str(if i == 0 { ", in `" } else { " < `" });
        text.push_str(&function_name(frame));
        text.push('`');
    }
    text
}

/// In a composition the core modules bear their component's name.
fn member_of<'a>(unit: &'a Unit, frame: &FrameInfo) -> Option<&'a str> {
    let name = frame.module().name()?;
    unit.members()
        .iter()
        .map(|m| m.identity.component.as_str())
        .find(|member| *member == name)
}

fn function_name(frame: &FrameInfo) -> String {
    match frame.func_name() {
        None => format!("wasm function {}", frame.func_index()),
        Some(raw) => demangled(raw),
    }
}

/// A function's name as its source has it. Only names that say that they are mangled are taken for such: a
/// C++ demangler reads others as types, and calls the function `s` `short`.
fn demangled(raw: &str) -> String {
    const MANGLED: [&str; 4] = ["_R", "_Z", "__R", "__Z"];
    let mut name = String::new();
    if MANGLED.iter().any(|prefix| raw.starts_with(prefix))
        && wasmtime_environ::demangle_function_name(&mut name, raw).is_ok()
    {
        name
    } else {
        raw.to_owned()
    }
}

/// Whether a frame says where it happened: the machinery of panicking does not.
fn is_telling(frame: &FrameInfo) -> bool {
    const MACHINERY: &[&str] = &[
        "core::panicking",
        "std::panicking",
        "std::sys",
        "rust_panic",
        "__rust",
        "_RNv",
        "abort",
        "std::process",
    ];
    let name = function_name(frame);
    !MACHINERY
        .iter()
        .any(|prefix| name.trim_start_matches('<').starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mangled_names_are_demangled() {
        let table = [
            ("s", "s"),
            ("i", "i"),
            ("v", "v"),
            ("St", "St"),
            ("PKc", "PKc"),
            ("cabi_realloc", "cabi_realloc"),
            ("_start", "_start"),
            ("", ""),
            (
                "_ZN4core9panicking5panic17h0123456789abcdefE",
                "core::panicking::panic",
            ),
            ("_Z3addii", "add(int, int)"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
        ];
        for (raw, want) in table {
            let name = demangled(raw);
            // Rust's older names end in a hash.
            assert_eq!(name.split("::h0").next(), Some(want), "{raw}");
        }
    }
}
