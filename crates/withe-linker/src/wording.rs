//! How lists, suggestions and manifest snippets read in messages.

use std::cell::Cell;

/// How many names a list has at most.
const LISTED: usize = 16;

/// How many misspelt names are compared with all that there are: who has made more such mistakes has made one that
/// is not of spelling.
const SUGGESTED: usize = 20;

/// How many names may be compared however few there are.
const COMPARED: usize = 10_000;

/// `` `a` ``, `` `a` and `b` ``, `` `a`, `b` and `c` ``; of many the first, and how many more there are.
pub(crate) fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<T> = names.into_iter().collect();
    list_of(names.len(), names)
}

/// The same of so many names, of which no more are looked at than there is room for.
pub(crate) fn list_of<T: AsRef<str>>(count: usize, names: impl IntoIterator<Item = T>) -> String {
    let mut quoted: Vec<String> = (names.into_iter().take(LISTED))
        .map(|n| format!("`{}`", n.as_ref()))
        .collect();
    if let more @ 1.. = count.saturating_sub(LISTED) {
        quoted.push(format!("{more} more"));
    }
    match quoted.as_slice() {
        [] => "nothing".into(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// Finds what misspelt names were meant to be, as long as that does not take too long.
#[derive(Clone, Debug)]
pub(crate) struct Suggestions {
    left: Cell<usize>,
}

impl Suggestions {
    /// For mistakes among so many names.
    pub(crate) fn among(names: usize) -> Self {
        Self {
            left: Cell::new(COMPARED.max(SUGGESTED * names)),
        }
    }

    /// Whether there will be any more.
    pub(crate) fn are_left(&self) -> bool {
        self.left.get() > 0
    }

    /// The one of `known` that a person who wrote `name` most likely meant.
    pub(crate) fn closest<'a>(
        &self,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        let affordable = known.into_iter().take(self.left.get()).inspect(|_| {
            self.left.set(self.left.get() - 1);
        });
        let found = closest(name, affordable);
        found.filter(|_| self.are_left())
    }
}

/// The one of `known` that a person who wrote `name` most likely meant.
pub(crate) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong, but never many.
    let bound = (name.chars().count() / 3).clamp(1, 3);
    let scored = known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(name, k), k));
    scored
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// A link trait to put under a component's `traits`.
pub(crate) fn link_trait(target: &str) -> String {
    format!("- type: link\n  properties:\n    target:\n      name: {target}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_as_a_person_writes_them() {
        assert_eq!(list([""; 0]), "nothing");
        assert_eq!(list(["a"]), "`a`");
        assert_eq!(list(["a", "b"]), "`a` and `b`");
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` and `c`");
    }

    #[test]
    fn suggestions_are_near_or_absent() {
        let known = ["cart", "prices", "kv"];
        assert_eq!(closest("price", known), Some("prices"));
        assert_eq!(closest("ktv", known), Some("kv"));
        assert_eq!(closest("crat", known), Some("cart"));
        assert_eq!(closest("orders", known), None);
        assert_eq!(closest("x", known), None);
    }

    #[test]
    fn long_lists_end_with_a_count() {
        let names: Vec<String> = (0..1000).map(|i| format!("n{i}")).collect();
        let text = list(&names[..16]);
        assert!(text.ends_with("`n14` and `n15`"), "{text}");
        let text = list(&names);
        assert!(text.ends_with("`n15` and 984 more"), "{text}");
    }

    #[test]
    fn suggestions_end_after_so_many_comparisons() {
        let names: Vec<String> = (0..1000).map(|i| format!("name{i}")).collect();
        let suggestions = Suggestions::among(names.len());
        let suggest = |name| suggestions.closest(name, names.iter().map(String::as_str));
        assert_eq!(suggest("nmae77"), Some("name77"));
        for _ in 0..SUGGESTED {
            suggest("nmae78");
        }
        assert_eq!(suggest("nmae77"), None);
    }
}
