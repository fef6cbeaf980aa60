//! Names with `*`, which stands for any characters.
//!
//! Regular expressions were left: in `shop.example/*` the full stop would mean any character, and nobody would notice.

/// A name in which `*` stands for any characters, also for none and for `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// The pattern of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether all of `name` is as the pattern says.
    pub fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return self.0 == name;
        };
        let Some(mut left) = name.strip_prefix(first) else {
            return false;
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The first place for each piece is the best: it leaves most to those that follow.
        for piece in middle.split('*') {
            match left.find(piece) {
                Some(at) => left = &left[at + piece.len()..],
                None => return false,
            }
        }
        left.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, yes, no) in [
            ("shop", &["shop"][..], &["", "shops", "my-shop"][..]),
            ("*", &["", "a", "a/b"], &[]),
            ("**", &["", "a"], &[]),
            ("shop-*", &["shop-", "shop-a/b"], &["shop", "a-shop-a"]),
            ("*-shop", &["a-shop", "-shop"], &["shop", "a-shop-b"]),
            ("a*b*c", &["abc", "a-b-c", "abbcc"], &["acb", "ab", "abcd"]),
            // One character is not both the end of the beginning and the beginning of the end.
            ("ab*ba", &["abba", "ab-ba"], &["aba", "ab"]),
            ("*é*", &["café", "é"], &["cafe"]),
            ("a.c", &["a.c"], &["abc"]),
        ] {
            let pattern = NamePattern::new(pattern);
            for name in yes {
                assert!(pattern.matches(name), "{pattern:?} {name}");
            }
            for name in no {
                assert!(!pattern.matches(name), "{pattern:?} {name}");
            }
        }
    }
}
