//! Components that start with more memory than an instance may have.

use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::parts::{PartId, Parts};

pub(crate) const TOO_LARGE: CodeInfo = CodeInfo {
    code: Code("W0408"),
    title: "more memory than an instance may have",
    explanation: "\
A linear memory declares how large it is from the start, and this one is larger than an instance of the \
component may have: no call to it could begin. A host gives one linear memory at most 1 GiB; \
`limits: {memory: …}` in the manifest gives less. Linkers set the size from the start with \
`--initial-memory`; a memory that starts small grows when it is needed.",
};

/// `limit` is what an instance may have, `is_own` whether the manifest says so.
pub(crate) fn too_large(
    parts: &Parts<'_>,
    part: PartId,
    wanted: u64,
    limit: u64,
    is_own: bool,
) -> Diagnostic {
    let declared = parts.declared(part);
    let (place, label) = match &declared.limits.memory {
        Some(own) if is_own => (own.span, "less than it starts with"),
        _ => (declared.name.span, "starts with too much memory"),
    };
    let whose = if is_own {
        "its limit"
    } else {
        "the most that a host gives"
    };
    let name = parts.name(part);
    let message = format!(
        "`{name}` starts with {} of memory; {whose} is {}",
        bytes(wanted),
        bytes(limit)
    );
    let help = match is_own {
        true => format!("allow at least {}", bytes(wanted)),
        false => "build it with a smaller `--initial-memory`".into(),
    };
    Diagnostic::error(TOO_LARGE.code, message)
        .at(place, label)
        .with_help(help)
}

/// A size as the manifest writes it.
fn bytes(n: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS
        .iter()
        .find(|(_, size)| n >= *size && n.is_multiple_of(*size));
    match unit {
        Some((unit, size)) => format!("{}{unit}", n / size),
        None => format!("{n}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::bytes;
    use crate::input::{Part, Spanned};
    use crate::place::MOST_MEMORY;
    use crate::testing::App;

    #[test]
    fn a_memory_that_no_instance_may_have_is_refused() {
        let app = |memory: u64, limit: Option<u64>| {
            let mut app = App::new("world a { export f: func(); }")
                .component("a")
                .edit(|c| c.limits.memory = limit.map(Spanned::unplaced))
                .called("a");
            let Some(Part::Component { world, .. }) = app.inputs.parts.first_mut() else {
                panic!("a component");
            };
            Arc::make_mut(world).memory = memory;
            app.problems()
        };
        assert_eq!(app(MOST_MEMORY, None), "");
        let most = app(4 << 30, None);
        let own = app(80 << 20, Some(64 << 20));
        insta::assert_snapshot!(format!("{most}\n{own}"));
    }

    #[test]
    fn sizes_are_written_as_in_manifests() {
        let table = [
            (1 << 30, "1GiB"),
            (3 << 29, "1536MiB"),
            (65536, "64KiB"),
            (1000, "1000"),
        ];
        for (n, want) in table {
            assert_eq!(bytes(n), want);
        }
    }
}
