//! Describes a guest's failure for people: which component, which function, why.

use wasmtime::component::__internal::wasmtime_environ;
use wasmtime::{FrameInfo, Module, Trap, WasmBacktrace};
use withe_rpc::CallError;

use crate::core::{InstanceState, Unit};
use crate::failure::LinkFailure;
use crate::guest_log::printable;
use crate::limits::DeadlinePassed;

/// How many of a backtrace's frames are worth a person's time.
const FRAMES: usize = 4;
/// The longest text that says what happened in one component, in bytes.
const LONGEST: usize = 4 << 10;

/// Explains why instantiating or calling the instance whose state this is failed.
pub(crate) fn to_call_error(state: &InstanceState, error: wasmtime::Error) -> CallError {
    if error.is::<DeadlinePassed>() {
        return CallError::Deadline;
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return CallError::Exhausted(
            "all instance slots of this host are in use (`--max-instances`)".into(),
        );
    }
    if let Some(failure) = error.downcast_ref::<LinkFailure>() {
        // The callee has explained itself; where in the caller it happened adds little.
        return match &failure.cause {
            CallError::Deadline if std::time::Instant::now() >= state.deadline => {
                CallError::Deadline
            }
            CallError::Exhausted(_) => CallError::Exhausted(failure.to_string()),
            _ => CallError::Trap(failure.to_string()),
        };
    }
    let text = describe(state, &error);
    if let Some(shortage) = &state.limits.shortage {
        return CallError::Exhausted(format!("{text}; {shortage}"));
    }
    match error.downcast_ref::<CallError>() {
        Some(CallError::Exhausted(_)) => CallError::Exhausted(text),
        _ => CallError::Trap(text),
    }
}

/// The failure in one line: cause, place, the guest's own words, and the surroundings that explain it.
fn describe(state: &InstanceState, error: &wasmtime::Error) -> String {
    let unit = state.of();
    let cause = match error.downcast_ref::<Trap>() {
        Some(trap) => trap
            .to_string()
            .trim_start_matches("wasm trap: ")
            .to_owned(),
        None => match error.downcast_ref::<CallError>() {
            Some(CallError::Exhausted(what)) => what.clone(),
            _ => error.root_cause().to_string(),
        },
    };
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let frames = backtrace.map_or(&[][..], WasmBacktrace::frames);
    let telling = frames.iter().filter(|f| is_telling(f));
    let telling: Vec<_> = telling.take(FRAMES).collect();
    let member = frames
        .iter()
        .find_map(|f| member_of(unit, f))
        .unwrap_or(&unit.name);
    let mut text = match is_of_either(unit, error, frames) {
        true => format!(
            "component `{member}`, or one that is fused with it and that it called: {cause}"
        ),
        false => format!("component `{member}`: {cause}"),
    };
    for (i, frame) in telling.iter().enumerate() {
        text.push_str(if i == 0 { ", in `" } else { " < `" });
        text.push_str(&function_name(frame).unwrap_or_default());
        text.push('`');
        if let Some((file, line)) = source_line(frame) {
            text.push_str(&format!(" ({file}:{line})"));
        }
    }
    if let Some(words) = state.last_words.text() {
        text.push_str(&format!(", with the last words \"{words}\""));
    } else if telling.is_empty() && !frames.is_empty() {
        text.push_str(" (its functions have no names: they were stripped)");
    }
    if state.limits.refused {
        let limit = unit.limits.memory.unwrap_or_default();
        text.push_str(&format!("; its memory limit of {limit} bytes was reached"));
    }
    if state.served > 1 {
        unit.failed_again();
        text.push_str(&format!(
            "; the instance had served {} before (`reuse: {}`): a component that can take only one must have `reuse: 1`",
            requests(state.served - 1),
            unit.limits.reuse
        ));
    }
    // The names of its functions, and its last words, are as the component wants them.
    printable(&text, LONGEST).into_owned()
}

/// Whether a value that crosses from one fused component to another is not what it has to be. Wasmtime's adapter
/// between them notices it while the caller's frame is the last one with a name, and does not say whose value it was:
/// a parameter is the caller's, a result the callee's.
fn is_of_either(unit: &Unit, error: &wasmtime::Error, frames: &[FrameInfo]) -> bool {
    let is_about_a_value = match error.downcast_ref::<Trap>() {
        Some(trap) => matches!(
            trap,
            Trap::InvalidChar
                | Trap::StringOutOfBounds
                | Trap::ListOutOfBounds
                | Trap::InvalidDiscriminant
                | Trap::UnalignedPointer
        ),
        // Strings are transcoded by the host, which has no trap for those that are not UTF-8 or UTF-16.
        None => error.root_cause().is::<std::str::Utf8Error>(),
    };
    let is_in_adapter = frames.first().is_some_and(|f| member_of(unit, f).is_none());
    unit.members.len() > 1 && is_about_a_value && is_in_adapter
}

fn requests(count: u32) -> String {
    match count {
        1 => "one call or request".to_owned(),
        count => format!("{count} calls or requests"),
    }
}

/// In a composition the core modules bear their component's name, or did before they were compiled apart.
fn member_of<'a>(unit: &'a Unit, frame: &FrameInfo) -> Option<&'a str> {
    let module = frame.module();
    let had = || {
        let mut apart = unit.code.modules.iter();
        let apart = apart.find(|apart| Module::same(&apart.module, module))?;
        apart.name.as_deref()
    };
    let name = module.name().or_else(had)?;
    unit.members
        .iter()
        .map(|m| m.identity.component.as_str())
        .find(|member| *member == name)
}

/// The function's name, if the component was not stripped of it.
fn function_name(frame: &FrameInfo) -> Option<String> {
    frame.func_name().map(demangled)
}

/// The file and the line where the function was, if the component has debug information. Of functions that were inlined
/// there, the outermost symbol is that of the function that has the name.
fn source_line(frame: &FrameInfo) -> Option<(&str, u32)> {
    let symbol = frame.symbols().last()?;
    Some((symbol.file()?, symbol.line()?))
}

/// A function's name as its source has it. Only names that say that they are mangled are taken for such: a
/// C++ demangler reads others as types, and calls the function `s` `short`.
fn demangled(raw: &str) -> String {
    const MANGLED: [&str; 4] = ["_R", "_Z", "__R", "__Z"];
    let mut name = String::new();
    if MANGLED.iter().any(|prefix| raw.starts_with(prefix))
        && wasmtime_environ::demangle_function_name(&mut name, raw).is_ok()
    {
        without_hashes(&name)
    } else {
        raw.to_owned()
    }
}

/// A demangled name without the hash that tells crates of one name apart: `std[d123b7a1a2ed1472]::process::abort`.
fn without_hashes(name: &str) -> String {
    let mut parts = name.split('[');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((hash, rest))
                if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                out.push_str(rest);
            }
            _ => {
                out.push('[');
                out.push_str(part);
            }
        }
    }
    out
}

/// Whether a frame says where it happened: the machinery of panicking does not, and a number does not.
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
        "std::rt",
        "core::ops::function",
    ];
    function_name(frame).is_some_and(|name| {
        let name = name.trim_start_matches('<');
        !MACHINERY.iter().any(|prefix| name.starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_without_the_hashes_of_crates() {
        for (name, want) in [
            (
                "std[d123b7a1a2ed1472]::process::abort",
                "std::process::abort",
            ),
            (
                "<a[0123456789abcdef]::B as c[0123456789abcdef]::D>::e",
                "<a::B as c::D>::e",
            ),
            ("f::<[u8; 3]>", "f::<[u8; 3]>"),
            ("f[x", "f[x"),
        ] {
            assert_eq!(without_hashes(name), want);
        }
    }

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
