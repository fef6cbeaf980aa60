//! The subjects of v1's wire.

use async_nats::Subject;

/// The protocol, as it stands in subjects.
const PROTOCOL: &str = "wrpc.0.0.1";

/// The subject on which `function` of `instance` is invoked at `prefix`. The instance is empty for a
/// function of the world itself.
pub(crate) fn invocation(prefix: &str, instance: &str, function: &str) -> String {
    let function = function_name(function);
    if instance.is_empty() {
        format!("{prefix}.{PROTOCOL}.{function}")
    } else {
        format!("{prefix}.{PROTOCOL}.{instance}.{function}")
    }
}

/// A function's name on the wire: methods, static functions and constructors go without their annotation.
fn function_name(function: &str) -> &str {
    match function.split_once(']') {
        Some((annotation, name)) if annotation.starts_with('[') => name,
        _ => function,
    }
}

/// The prefix of a component's or provider's subjects, which is also its queue group.
pub(crate) fn prefix(lattice: &str, id: &str) -> String {
    format!("{lattice}.{id}")
}

/// Whether `text` can be one token of a subject: the name of a lattice, or an id.
pub(crate) fn is_token(text: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>');
    !text.is_empty() && !text.contains(bad)
}

/// Where a stream stands in values: positions joined by dots. Empty for the values themselves.
pub(crate) fn path(positions: &[usize]) -> String {
    let positions: Vec<_> = positions.iter().map(usize::to_string).collect();
    positions.join(".")
}

/// The subject of what stands at `path` below `base`.
pub(crate) fn at(base: &str, path: &str) -> String {
    if path.is_empty() {
        base.to_owned()
    } else {
        format!("{base}.{path}")
    }
}

/// A subject below an inbox at which nobody listens.
pub(crate) fn nowhere(inbox: &str) -> Subject {
    format!("{inbox}.nowhere").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_those_that_v1_was_seen_to_use() {
        let prefix = prefix("default", "kvredis");
        let instance = "wrpc:keyvalue/atomics@0.2.0-draft";
        assert_eq!(
            invocation(&prefix, instance, "increment"),
            "default.kvredis.wrpc.0.0.1.wrpc:keyvalue/atomics@0.2.0-draft.increment"
        );
        assert_eq!(invocation("l.i", "", "run"), "l.i.wrpc.0.0.1.run");
        assert_eq!(
            invocation("l.i", "a:b/c", "[method]r.f"),
            "l.i.wrpc.0.0.1.a:b/c.r.f"
        );
        assert_eq!(at("x.results", &path(&[0, 1])), "x.results.0.1");
        assert_eq!(at("x.results", &path(&[])), "x.results");
    }

    #[test]
    fn tokens_cannot_reach_other_subjects() {
        for good in ["default", "http-server", "a_b", "NABC"] {
            assert!(is_token(good), "{good}");
        }
        for bad in ["", "a.b", "*", ">", "a b", "a\r\nPUB x"] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
