//! Interface names, and the one place that decides whether two of them match.

use std::fmt;
use std::str::FromStr;

use semver::Version;

/// `namespace:package/interface@version`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceName {
    /// `wasi` in `wasi:keyvalue/store@0.2.0`.
    pub namespace: String,
    /// `keyvalue` in `wasi:keyvalue/store@0.2.0`.
    pub package: String,
    /// `store` in `wasi:keyvalue/store@0.2.0`.
    pub interface: String,
    /// `0.2.0` in `wasi:keyvalue/store@0.2.0`.
    pub version: Option<Version>,
}

/// Why a text is not an interface name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an interface name (`namespace:package/interface[@version]`): {why}")]
pub struct NameError {
    /// The text as it was given.
    pub text: String,
    /// The fault in it.
    #[source]
    pub why: NameFault,
}

/// The fault that keeps a text from being an interface name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing tells its namespace from its package.
    #[error("no `:`")]
    NoColon,
    /// Nothing tells its package from its interface.
    #[error("no `/`")]
    NoSlash,
    /// A part is not in kebab-case.
    #[error("`{text}` is not a {part} in kebab-case")]
    Part {
        /// `namespace`, `package` or `interface`.
        part: &'static str,
        /// The part as it was given.
        text: String,
    },
    /// The text behind its `@` is no version.
    #[error("version `{text}`: {why}")]
    Version {
        /// The version as it was given.
        text: String,
        /// The fault in it; its error cannot be compared, and is kept as it reads.
        why: String,
    },
}

impl InterfaceName {
    /// The same name without its version.
    pub fn unversioned(&self) -> Self {
        Self {
            version: None,
            ..self.clone()
        }
    }

    /// Whether both name the same interface when versions are left aside.
    pub fn same_interface(&self, other: &Self) -> bool {
        self.namespace == other.namespace
            && self.package == other.package
            && self.interface == other.interface
    }

    /// Whether an export of name `export` may satisfy an import of this name, types aside.
    ///
    /// The component model's rule ("canonical interface name"): equal versions match; two releases
    /// match when they have the same first non-zero number of `major.minor.patch`; a pre-release
    /// matches only itself. A missing version matches only a missing version. Either side may be
    /// the newer one: whether the newer one has what the other needs is for the type check to say.
    pub fn is_satisfied_by(&self, export: &Self) -> bool {
        self.same_interface(export)
            && versions_compatible(self.version.as_ref(), export.version.as_ref())
    }
}

fn versions_compatible(a: Option<&Version>, b: Option<&Version>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a == b || matches!((track(a), track(b)), (Some(a), Some(b)) if a == b)
        }
        _ => false,
    }
}

/// The part of a version that compatible versions share; `None` for one that is compatible only
/// with itself.
fn track(v: &Version) -> Option<(u64, u64)> {
    match (v.major, v.minor) {
        _ if !v.pre.is_empty() => None,
        (0, 0) => None,
        (0, minor) => Some((0, minor)),
        (major, _) => Some((major, 0)),
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.namespace, self.package, self.interface)?;
        match &self.version {
            Some(v) => write!(f, "@{v}"),
            None => Ok(()),
        }
    }
}

impl FromStr for InterfaceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let err = |why| NameError {
            text: text.into(),
            why,
        };
        let (path, version) = match text.split_once('@') {
            Some((path, v)) => (
                path,
                Some(Version::parse(v).map_err(|e| {
                    err(NameFault::Version {
                        text: v.into(),
                        why: e.to_string(),
                    })
                })?),
            ),
            None => (text, None),
        };
        let (namespace, rest) = path
            .split_once(':')
            .ok_or_else(|| err(NameFault::NoColon))?;
        let (package, interface) = rest
            .split_once('/')
            .ok_or_else(|| err(NameFault::NoSlash))?;
        for (part, text) in [
            ("namespace", namespace),
            ("package", package),
            ("interface", interface),
        ] {
            if !is_kebab(text) {
                let text = text.into();
                return Err(err(NameFault::Part { part, text }));
            }
        }
        Ok(Self {
            namespace: namespace.into(),
            package: package.into(),
            interface: interface.into(),
            version,
        })
    }
}

/// A name without the `%`s that WIT lets stand before its identifiers, where it has words of its own:
/// `%list` is `list`, `a:b/%interface@1.0.0` is `a:b/interface@1.0.0`.
pub fn unescaped(name: &str) -> String {
    let mut begins = true;
    let kept = name.chars().filter(|c| {
        let is_escape = begins && *c == '%';
        begins = matches!(c, ':' | '/' | '.' | ']');
        !is_escape
    });
    kept.collect()
}

/// A text as a label in kebab-case: what may not stand in one becomes a dash, and a word that starts with a digit gets
/// an `n` before it. Empty, if the text has neither letters nor digits.
pub fn kebab_case(text: &str) -> String {
    let words = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let words = words.map(|word| {
        let word = word.to_ascii_lowercase();
        match word.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("n{word}"),
            false => word,
        }
    });
    words.collect::<Vec<_>>().join("-")
}

/// Whether `s` is a WIT identifier: words of letters and digits joined by single dashes, each all
/// lower or all upper case; only the first has to start with a letter.
pub fn is_kebab(s: &str) -> bool {
    let word = |w: &str| {
        let upper = w
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        let lower = w
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        !w.is_empty() && (upper || lower)
    };
    s.starts_with(|c: char| c.is_ascii_alphabetic()) && s.split('-').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(s: &str) -> InterfaceName {
        s.parse().unwrap()
    }

    #[test]
    fn any_text_makes_a_label() {
        for (text, label) in [
            ("visits", "visits"),
            ("My Shop_2.wasm", "my-shop-n2-wasm"),
            ("wasi:io/streams", "wasi-io-streams"),
            ("3d", "n3d"),
            ("é ./", ""),
        ] {
            assert_eq!(kebab_case(text), label);
            assert!(label.is_empty() || is_kebab(label));
        }
    }

    #[test]
    fn round_trips() {
        for s in [
            "wasi:keyvalue/store@0.2.0-draft",
            "a:b/c",
            "a:b-2d/c",
            "wasi:http/types@0.2.6",
        ] {
            assert_eq!(name(s).to_string(), s);
        }
    }

    #[test]
    fn escapes_are_taken_off_identifiers() {
        let table = [
            ("%list", "list"),
            ("a:b/%interface@1.0.0", "a:b/interface@1.0.0"),
            ("%a:%b/%c", "a:b/c"),
            ("[method]%resource.%use", "[method]resource.use"),
            ("list", "list"),
            ("%%list", "%list"),
            ("a%b", "a%b"),
        ];
        for (written, meant) in table {
            assert_eq!(unescaped(written), meant);
        }
    }

    #[test]
    fn rejects_what_is_not_a_name() {
        for s in [
            "", "a", "a:b", "a/b", ":b/c", "a:b/", "a:b/c@", "a:b/c@1", "A:b_c/d", "a:1b/c",
        ] {
            assert!(s.parse::<InterfaceName>().is_err(), "{s}");
        }
    }

    #[test]
    fn compatibility_is_the_component_models() {
        let table = [
            ("a:b/c", "a:b/c", true),
            ("a:b/c", "a:b/c@1.0.0", false),
            ("a:b/c@1.0.0", "a:b/c", false),
            ("a:b/c@1.2.0", "a:b/c@1.0.1", true),
            ("a:b/c@1.0.0", "a:b/c@2.0.0", false),
            ("a:b/c@0.2.0", "a:b/c@0.2.6", true),
            ("a:b/c@0.2.6", "a:b/c@0.2.0", true),
            ("a:b/c@0.2.0", "a:b/c@0.3.0", false),
            ("a:b/c@0.0.1", "a:b/c@0.0.1", true),
            ("a:b/c@0.0.1", "a:b/c@0.0.2", false),
            ("a:b/c@0.2.0-draft", "a:b/c@0.2.0-draft", true),
            ("a:b/c@0.2.0-draft", "a:b/c@0.2.0", false),
            ("a:b/c@1.0.0", "a:b/d@1.0.0", false),
        ];
        for (import, export, want) in table {
            assert_eq!(
                name(import).is_satisfied_by(&name(export)),
                want,
                "{import} by {export}"
            );
        }
    }
}
