//! Calls as they are written on the command line: `run()`, `ns:pkg/iface@1.0.0#f(1, "a")`, and, in a row,
//! `cart.new("ann") | add("pen") | total()`.
//!
//! A shell's sign for what goes on with what came before is known to all who write command lines. A `.`, as programming languages have it, is a
//! part of WIT's names of functions (`[static]cart.merge`).

use std::str::FromStr;

use withe_wit::name::unescaped;

/// Calls in a row: each but the first is one of the resource that the one before returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallRow(pub(crate) Vec<CallExpression>);

impl FromStr for CallRow {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let calls = split(text).into_iter().map(str::parse);
        calls.collect::<Result<_, _>>().map(Self)
    }
}

/// The texts between `|`s that stand outside of strings and characters.
fn split(text: &str) -> Vec<&str> {
    split_at(text, '|')
}

/// The texts between `sign`s that stand outside of strings, characters and all kinds of brackets.
fn split_at(text: &str, sign: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut quote = None;
    let mut is_escaped = false;
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            // Calls that are not closed are told apart all the same, and then refused.
            (None, '(' | '[' | '{') if sign == ',' => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, c) if c == sign && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + sign.len_utf8();
            }
            (None, _) => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// One of a call's arguments, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A value in WAVE or JSON.
    Value(&'a str),
    /// `@PATH`: a stream of what a file has; `@-` of standard input.
    File(&'a str),
    /// `$N`: the resource that call N of the row returned, from 1.
    Earlier(usize),
}

/// The arguments that `text` has. No value begins with a `@` or a `$`, neither in WAVE nor in JSON.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let pieces = split_at(text, ',').into_iter();
    pieces.map(|text| piece(text.trim())).collect()
}

fn piece(text: &str) -> Piece<'_> {
    if let Some(path) = text.strip_prefix('@') {
        return Piece::File(path);
    }
    let number = text
        .strip_prefix('$')
        .and_then(|number| number.parse().ok());
    match number {
        Some(number) => Piece::Earlier(number),
        None => Piece::Value(text),
    }
}

/// Which function is called, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallExpression {
    /// The interface that exports the function, as written but for `%`s; `None` for a function of the world.
    pub(crate) interface: Option<String>,
    /// The function.
    pub(crate) function: String,
    /// The arguments in WAVE, without the parentheses around them.
    pub(crate) arguments: String,
}

/// Why a text is no call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpressionError {
    #[error("a call is missing: expected `function(…)`, or several with `|` between them")]
    Nothing,
    #[error("this names a function but does not call it: write `{0}()`")]
    NoCall(String),
    #[error("the `)` at the end is missing; quote the whole call for the shell: 'f(1)'")]
    Open,
    /// An interface, as it seems, stands where a function is expected.
    #[error("the function of an interface is written behind a `#`: `{0}#f(…)`")]
    NoHash(String),
    #[error("expected `function(…)`, or `ns:pkg/interface#function(…)`")]
    NoName,
}

impl FromStr for CallExpression {
    type Err = ExpressionError;

    /// Splits a call at its `#` and its parentheses; what is between them is read when the
    /// function's type is known.
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ExpressionError::Nothing);
        }
        let Some((path, rest)) = text.split_once('(') else {
            return Err(ExpressionError::NoCall(text.into()));
        };
        let Some(arguments) = rest.strip_suffix(')') else {
            return Err(ExpressionError::Open);
        };
        let (interface, function) = match path.trim().rsplit_once('#') {
            Some((interface, function)) => (Some(interface), function),
            None => (None, path.trim()),
        };
        if interface.is_none() && function.contains('/') {
            return Err(ExpressionError::NoHash(function.into()));
        }
        if function.is_empty() || interface == Some("") {
            return Err(ExpressionError::NoName);
        }
        Ok(Self {
            interface: interface.map(unescaped),
            function: unescaped(function),
            arguments: arguments.trim().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(interface: Option<&str>, function: &str, arguments: &str) -> CallExpression {
        CallExpression {
            interface: interface.map(Into::into),
            function: function.into(),
            arguments: arguments.into(),
        }
    }

    #[test]
    fn calls_are_split() {
        let table = [
            ("run()", call(None, "run", "")),
            (" add( 1, 2 ) ", call(None, "add", "1, 2")),
            ("a:b/c#f(\"(x)\")", call(Some("a:b/c"), "f", "\"(x)\"")),
            (
                "a:b/c@0.2.0-draft#f(1)",
                call(Some("a:b/c@0.2.0-draft"), "f", "1"),
            ),
            ("cache#get(\"#\")", call(Some("cache"), "get", "\"#\"")),
            (
                "a:b/c#[static]r.f()",
                call(Some("a:b/c"), "[static]r.f", ""),
            ),
            // Words of WIT's own are escaped as in WIT; arguments are WAVE's business.
            ("%list(%none)", call(None, "list", "%none")),
            (
                "a:b/%interface@1.0.0#%result()",
                call(Some("a:b/interface@1.0.0"), "result", ""),
            ),
        ];
        for (text, want) in table {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
    }

    #[test]
    fn calls_in_a_row_are_split_outside_of_texts() {
        let row: CallRow = r#"cart.new("a|\"|", '|') | add({b: "'|"}) |total()"#
            .parse()
            .unwrap();
        let want = [
            call(None, "cart.new", r#""a|\"|", '|'"#),
            call(None, "add", r#"{b: "'|"}"#),
            call(None, "total", ""),
        ];
        assert_eq!(row.0, want);
        let error = "cart.new() | total".parse::<CallRow>().unwrap_err();
        assert!(error.to_string().contains("write `total()`"), "{error}");
        assert_eq!("f() |".parse::<CallRow>(), Err(ExpressionError::Nothing));
    }

    #[test]
    fn arguments_are_split_outside_of_texts_and_brackets() {
        let table = [
            ("", vec![]),
            ("1", vec![Piece::Value("1")]),
            (
                "@a,b.txt, {x: [1, 2]}, \"@-, $1\", $2,@-",
                vec![
                    Piece::File("a"),
                    Piece::Value("b.txt"),
                    Piece::Value("{x: [1, 2]}"),
                    Piece::Value("\"@-, $1\""),
                    Piece::Earlier(2),
                    Piece::File("-"),
                ],
            ),
            ("$x", vec![Piece::Value("$x")]),
        ];
        for (text, expected) in table {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_call_says_what_one_is() {
        let table = [
            ("run", "write `run()`"),
            ("run(1", "`)` at the end"),
            ("a:b/c(1)", "`a:b/c#f(…)`"),
            ("#f()", "expected"),
            ("(1)", "expected"),
        ];
        for (text, want) in table {
            let error = text.parse::<CallExpression>().unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
