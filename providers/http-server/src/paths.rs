//! Paths that two programs can read as two paths.
//!
//! Routes are compared with a path as it was sent, and a program in front of the server or behind it may first
//! resolve `..`, put slashes together or decode them: then what is let through to one path arrives at another. So
//! either such a path is made one that all read alike, or its request is refused, before any route is looked for.
//! Only resolving what RFC 3986 (5.2.4) resolves was rejected: the other half of the world decodes first.

use std::borrow::Cow;

use http::uri::PathAndQuery;

use crate::target::{Unclear, bad};

/// How a path is treated that can be read in more than one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AmbiguousPaths {
    /// Its request is refused.
    #[default]
    Refuse,
    /// The path is resolved: routes and components see what is left.
    Normalise,
    /// Nothing: routes and components see it as it was sent.
    Keep,
}

impl AmbiguousPaths {
    /// The choices, as configuration names them.
    pub(crate) const NAMES: [&str; 3] = ["refuse", "normalise", "keep"];

    /// The choice of this name, which is one of [`NAMES`](Self::NAMES); the default for any other.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "normalise" => Self::Normalise,
            "keep" => Self::Keep,
            _ => Self::default(),
        }
    }

    /// The path that routes and components are to see. The query stays as it is.
    ///
    /// # Errors
    ///
    /// The path is ambiguous, and such paths are refused.
    pub(crate) fn settle(self, path: PathAndQuery) -> Result<PathAndQuery, Unclear> {
        let Some(why) = ambiguity(path.path()) else {
            return Ok(path);
        };
        match self {
            Self::Keep => Ok(path),
            Self::Refuse => Err(bad(why)),
            Self::Normalise => {
                let mut text = normalised(path.path());
                if let Some(query) = path.query() {
                    text.push('?');
                    text.push_str(query);
                }
                let path = PathAndQuery::try_from(text);
                path.map_err(|_| bad("the request's path cannot be normalised"))
            }
        }
    }
}

/// Why a path can be read in more than one way, if it can. `*` and an empty path cannot.
fn ambiguity(path: &str) -> Option<&'static str> {
    let mut bytes = path.as_bytes();
    while let Some(at) = bytes.iter().position(|byte| matches!(byte, b'\\' | b'%')) {
        match decoded(&bytes[at..]) {
            Some((b'.', _)) => return Some("the request's path has an encoded dot (`%2E`)"),
            Some((_, 3)) => return Some("the request's path has an encoded slash (`%2F`, `%5C`)"),
            Some(_) => return Some("the request's path has a backslash"),
            None => bytes = &bytes[at + 1..],
        }
    }
    let mut segments = path.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return Some("the request's path has a segment that is `.` or `..`"),
            "" if segments.peek().is_some() => return Some("the request's path has `//`"),
            _ => {}
        }
    }
    None
}

/// The dot or separator that the first bytes are another way to write, and how many bytes these are.
fn decoded(bytes: &[u8]) -> Option<(u8, usize)> {
    match bytes {
        [b'\\', ..] => Some((b'/', 1)),
        [b'%', b'2', b'e' | b'E', ..] => Some((b'.', 3)),
        [b'%', b'2', b'f' | b'F', ..] | [b'%', b'5', b'c' | b'C', ..] => Some((b'/', 3)),
        _ => None,
    }
}

/// The path with dots and separators decoded, slashes put together and dot segments removed.
fn normalised(path: &str) -> String {
    let path = plain(path);
    let mut kept: Vec<&str> = Vec::new();
    // Whether the path is for what is below its last segment.
    let mut is_folder = false;
    for segment in path.split('/') {
        is_folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if is_folder || kept.is_empty() {
        out.push('/');
    }
    out
}

fn plain(path: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = path;
    while let Some(at) = rest.find(['\\', '%']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        // Both characters are one byte, so what follows begins with a character.
        let (byte, length) = decoded(from.as_bytes()).unwrap_or((from.as_bytes()[0], 1));
        out.push(char::from(byte));
        rest = &from[length..];
    }
    match out.is_empty() {
        true => Cow::Borrowed(path),
        false => Cow::Owned(out + rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(policy: AmbiguousPaths, path: &str) -> Result<String, &'static str> {
        let path = policy.settle(path.parse().unwrap());
        path.map(|path| path.to_string()).map_err(|e| e.why)
    }

    #[test]
    fn plain_paths_stay_as_they_are() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b/",
            "/a.b/..c/.d/e..",
            "/...",
            "/%20",
            "/%252e%252F",
            "/%2",
            "/%",
            "/caf%C3%A9",
            "/a?b=/../c//d\\%2F",
            "/?..",
            "*",
        ] {
            for policy in [
                AmbiguousPaths::Keep,
                AmbiguousPaths::Normalise,
                AmbiguousPaths::Refuse,
            ] {
                assert_eq!(settle(policy, path).as_deref(), Ok(path), "{policy:?}");
            }
        }
    }

    #[test]
    fn ambiguous_paths_are_refused_normalised_or_kept() {
        for (path, normal, why) in [
            ("/a/../b", "/b", "`..`"),
            ("/a/./b", "/a/b", "`.`"),
            ("/a/..", "/", "`..`"),
            ("/a/b/..", "/a/", "`..`"),
            ("/a/.", "/a/", "`.`"),
            ("/../../a", "/a", "`..`"),
            ("/..", "/", "`..`"),
            ("//", "/", "`//`"),
            ("//a", "/a", "`//`"),
            ("/a//b", "/a/b", "`//`"),
            ("/a//", "/a/", "`//`"),
            ("/a//../b", "/b", "`//`"),
            ("/a%2Fb", "/a/b", "encoded slash"),
            ("/a%2fb%2F", "/a/b/", "encoded slash"),
            ("/a%5Cb", "/a/b", "encoded slash"),
            ("/a\\b", "/a/b", "backslash"),
            ("/a\\..\\b", "/b", "backslash"),
            ("/%2e%2E/a", "/a", "encoded dot"),
            ("/a/.%2e/b", "/b", "encoded dot"),
            ("/a%2eb", "/a.b", "encoded dot"),
            ("/a%2F..%5c%2e%2e/b", "/b", "encoded slash"),
            ("/%20%2E", "/%20.", "encoded dot"),
            ("/%%2e", "/%.", "encoded dot"),
            ("/%2%2e", "/%2.", "encoded dot"),
            ("/a/..?b=..//c", "/?b=..//c", "`..`"),
            ("/é/../ü%2F", "/ü/", "encoded slash"),
        ] {
            let refused = settle(AmbiguousPaths::Refuse, path).unwrap_err();
            assert!(refused.contains(why), "{path}: {refused}");
            let found = settle(AmbiguousPaths::Normalise, path);
            assert_eq!(found.as_deref(), Ok(normal), "{path}");
            let kept = settle(AmbiguousPaths::Keep, path);
            assert_eq!(kept.as_deref(), Ok(path));
            // A program that normalises the result finds nothing to do, unless it decodes what was encoded twice.
            assert_eq!(ambiguity(normal.split('?').next().unwrap()), None, "{path}");
        }
    }

    #[test]
    fn choices_have_the_names_of_configuration() {
        let all = AmbiguousPaths::NAMES.map(AmbiguousPaths::named);
        let expected = [
            AmbiguousPaths::Refuse,
            AmbiguousPaths::Normalise,
            AmbiguousPaths::Keep,
        ];
        assert_eq!(all, expected);
    }
}
