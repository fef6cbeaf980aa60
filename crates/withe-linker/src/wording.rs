//! How lists, suggestions and manifest snippets read in messages.

/// `` `a` ``, `` `a` and `b` ``, `` `a`, `b` and `c` ``.
pub(crate) fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = names
        .into_iter()
        .map(|n| format!("`{}`", n.as_ref()))
        .collect();
    match quoted.as_slice() {
        [] => "nothing".into(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// The one of `known` that a person who wrote `name` most likely meant.
pub(crate) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(name, k), k));
    // A third of the letters may be wrong, but never many.
    let bound = (name.chars().count() / 3).clamp(1, 3);
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
}
