//! The names that a rule of a policy accepts.

use withe_manifest::pattern::NamePattern;

/// The names that a rule accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AcceptedNames {
    /// Any.
    All,
    /// The names that one of the patterns matches.
    Matching(Vec<NamePattern>),
}

impl AcceptedNames {
    /// The names that one of these patterns matches.
    pub(crate) fn of(patterns: &[String]) -> Self {
        Self::Matching(patterns.iter().map(NamePattern::new).collect())
    }

    /// Whether a name is one of them.
    pub(crate) fn accept(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Matching(patterns) => patterns.iter().any(|pattern| pattern.matches(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pattern_accepts_no_name() {
        assert!(!AcceptedNames::of(&[]).accept("a"));
        assert!(AcceptedNames::All.accept("a"));
        assert!(AcceptedNames::of(&["b".into(), "a".into()]).accept("a"));
    }
}
