//! A call as it is written on the command line: `run()`, `ns:pkg/iface@1.0.0#f(1, "a")`.

use std::str::FromStr;

use withe_wit::name::unescaped;

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
