//! A call's arguments from text, and what is wrong with them in words.
//!
//! WAVE's parser tells a kind of error and a range of the text. A person needs the words they wrote, the function
//! as it is, and, where a name is not known or means something else, the name to write.

use std::ops::Range;

use wasmtime::component::wasm_wave::parser::ParserError;
use wasmtime::component::wasm_wave::untyped::UntypedFuncCall;
use wasmtime::component::wasm_wave::wasm::{
    DisplayFunc, WasmFunc, WasmType, WasmTypeKind, WasmValue,
};

use crate::invoke::InvokeError;

/// Fields, cases and flags that a signature shows of each type; there may be hundreds.
const SHOWN: usize = 12;

/// WAVE's own words: a case, flag or field of such a name is written with a `%`.
const WORDS: [&str; 8] = ["true", "false", "some", "none", "ok", "err", "inf", "nan"];

/// The name that stands for the function in the text that WAVE parses.
const CALL: &str = "call";

/// The arguments `args`, such as `(1, "a")`, of a function, whose [`signature`] is for messages: Wasmtime's values, or WAVE's
/// own where nothing is compiled yet.
///
/// # Errors
///
/// If they are not what it takes.
pub(super) fn parse<V: WasmValue + 'static, F: WasmFunc<Type = V::Type> + Clone>(
    args: &str,
    signature: &str,
    ty: &F,
) -> Result<Vec<V>, InvokeError> {
    let wrong = |what: &str, hint: Option<String>| {
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        self::wrong(args, signature, &format!("{what}{hint}"))
    };
    let types: Vec<V::Type> = ty.params().collect();
    let text = format!("{CALL}{args}");
    let refused = |error: ParserError| {
        let at = written(&text, error.span());
        let hint = at.and_then(|at| hint(at, &types));
        let what = error.to_string();
        let place = format!(" at {:?}", error.span());
        let what = what.strip_suffix(&place).unwrap_or(&what);
        let what = what
            .strip_prefix("error converting Wasm value: ")
            .unwrap_or(what);
        let what = shortened(what);
        match at {
            Some(at) if !what.contains(at) => wrong(&format!("{what}, at `{at}`"), hint),
            _ => wrong(&what, hint),
        }
    };
    let call = UntypedFuncCall::parse(&text).map_err(refused)?;
    let params: Vec<V> = call.to_wasm_params(&types).map_err(refused)?;
    if params.len() != types.len() {
        let what = format!("expected {} arguments, found {}", types.len(), params.len());
        return Err(wrong(&what, None));
    }
    Ok(params)
}

/// The error for `args` that are not what a function takes, with what is wrong.
pub(super) fn wrong(args: &str, signature: &str, what: &str) -> InvokeError {
    InvokeError::Types(format!(
        "arguments `{args}`: {what}; the function is `{signature}`"
    ))
}

/// A function's name and type, as messages have it.
pub(super) fn signature<F: WasmFunc + Clone>(function: &str, ty: &F) -> String {
    let ty = shortened(&DisplayFunc(ty.clone()).to_string());
    format!("{function}: {ty}")
}

/// The person's own text at a range, unless that is nothing or all of the arguments.
fn written(text: &str, range: Range<usize>) -> Option<&str> {
    let at = text.get(range)?.trim();
    let is_all = at.len() >= text.len() - CALL.len();
    (!is_all && !at.is_empty() && at != ")").then_some(at)
}

/// The name to write instead of what stands `at` a place.
fn hint<T: WasmType>(at: &str, types: &[T]) -> Option<String> {
    let word = at
        .split(|c: char| !(c.is_ascii_alphanumeric() || "-%".contains(c)))
        .next()?;
    let mut names = Vec::new();
    types.iter().for_each(|ty| collect(ty, &mut names));
    if at.starts_with('{') && at.contains('%') {
        return Some("flags are written without `%`".into());
    }
    if WORDS.contains(&word) && names.iter().any(|name| name == word) {
        return Some(format!(
            "`{word}` is a word of WAVE's own: as a name it is written `%{word}`"
        ));
    }
    let word = word.trim_start_matches('%');
    if word.is_empty() || names.iter().any(|name| name == word) {
        return None;
    }
    let near = |name: &String| strsim::damerau_levenshtein(word, name);
    let nearest = names.iter().min_by_key(|name| near(name))?;
    let close = near(nearest) <= (word.chars().count() / 3).clamp(1, 3);
    let escaped = if WORDS.contains(&nearest.as_str()) {
        "%"
    } else {
        ""
    };
    close.then(|| format!("did you mean `{escaped}{nearest}`?"))
}

/// The names of all fields, cases and flags in a type.
fn collect<T: WasmType>(ty: &T, names: &mut Vec<String>) {
    match ty.kind() {
        WasmTypeKind::List | WasmTypeKind::FixedLengthList => {
            (ty.list_element_type().iter()).for_each(|t| collect(t, names));
        }
        WasmTypeKind::Option => ty.option_some_type().iter().for_each(|t| collect(t, names)),
        WasmTypeKind::Result => {
            let (ok, err) = ty.result_types().unwrap_or_default();
            ok.iter().chain(&err).for_each(|t| collect(t, names));
        }
        WasmTypeKind::Tuple => ty.tuple_element_types().for_each(|t| collect(&t, names)),
        WasmTypeKind::Record => ty.record_fields().for_each(|(name, ty)| {
            names.push(name.into());
            collect(&ty, names);
        }),
        WasmTypeKind::Variant => ty.variant_cases().for_each(|(name, ty)| {
            names.push(name.into());
            ty.iter().for_each(|t| collect(t, names));
        }),
        WasmTypeKind::Enum => names.extend(ty.enum_cases().map(Into::into)),
        WasmTypeKind::Flags => names.extend(ty.flags_names().map(Into::into)),
        _ => {}
    }
}

/// A text with types of at most [`SHOWN`] members between each pair of braces.
fn shortened(signature: &str) -> String {
    let mut text = String::new();
    // For each open brace, how many members began, and how deep in other brackets it is.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut depth = 0;
    let is_left_out = |open: &[(usize, usize)]| open.iter().any(|(members, _)| *members > SHOWN);
    for c in signature.chars() {
        match c {
            '{' => {
                if !is_left_out(&open) {
                    text.push(c);
                }
                open.push((1, depth));
                continue;
            }
            '}' => {
                let (members, _) = open.pop().unwrap_or_default();
                if !is_left_out(&open) {
                    if let Some(more @ 1..) = members.checked_sub(SHOWN) {
                        text.push_str(&format!(", and {more} more "));
                    }
                    text.push(c);
                }
                continue;
            }
            '(' | '<' => depth += 1,
            ')' | '>' => depth = usize::saturating_sub(depth, 1),
            ',' => {
                if let Some((members, at)) = open.last_mut()
                    && *at == depth
                {
                    *members += 1;
                }
            }
            _ => {}
        }
        if !is_left_out(&open) {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_types_are_shortened() {
        let cases = |n: usize| {
            (0..n)
                .map(|i| format!("c{i}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let table = [
            (
                "func(u32, u32) -> u32".to_owned(),
                "func(u32, u32) -> u32".to_owned(),
            ),
            (
                format!("func(x: enum {{ {} }}) -> u32", cases(SHOWN)),
                format!("func(x: enum {{ {} }}) -> u32", cases(SHOWN)),
            ),
            (
                format!(
                    "func(x: enum {{ {} }}, y: list<flags {{ {} }}>)",
                    cases(900),
                    cases(2)
                ),
                format!(
                    "func(x: enum {{ {}, and 888 more }}, y: list<flags {{ c0, c1 }}>)",
                    cases(SHOWN)
                ),
            ),
            (
                format!(
                    "record {{ a: tuple<u8, u8>, b: variant {{ {}, d(record {{ a: u8, b: u8 }}), e }} }}",
                    cases(SHOWN)
                ),
                format!(
                    "record {{ a: tuple<u8, u8>, b: variant {{ {}, and 2 more }} }}",
                    cases(SHOWN)
                ),
            ),
        ];
        for (signature, expected) in table {
            assert_eq!(shortened(&signature), expected);
        }
    }
}
