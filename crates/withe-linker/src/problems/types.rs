//! Imports and exports of one name whose types differ.

use withe_wit::check::Mismatch;
use withe_wit::{Extern, Function};

use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::host::HostImport;
use crate::matching::{describe, interface_text};
use crate::parts::{PartId, Parts};
use crate::resolved::ResolvedLink;
use crate::wording::list;

pub(crate) const DIFFERENT: CodeInfo = CodeInfo {
    code: Code("W0301"),
    title: "import and export have different types",
    explanation: "\
The link joins an import to an export of the same name, but their types differ, so the two components \
were built against different WIT. The notes give the path of each difference (`item.price: expected f64, \
found f32`) and the declaration on both sides: expected is what the importer was built with, found what \
the exporter has. Build both against the same version of the package.

The host is an exporter, too: what it gives components (`wasi:config`, WASI itself) has the types of the \
published WIT.

Types are compared as the component model does: names of fields, cases and parameters and their order \
count; an export may have more functions than the import needs.",
};

pub(crate) const MISSING: CodeInfo = CodeInfo {
    code: Code("W0302"),
    title: "the export lacks what the import needs",
    explanation: "\
The target, or the host itself, exports the interface, but without functions, resources or types that the \
source uses. Most often the exporter was built against an older version of the package. Use a newer build of \
the exporter; where it is the host, build the component against the version that the host has.",
};

/// Differences that are all listed; beyond them only their number is.
const SHOWN: usize = 8;

/// The reports on one wire, at most one for each code.
pub(crate) fn mismatches(
    parts: &Parts<'_>,
    link: &ResolvedLink<'_>,
    (import, export): (&Extern, &Extern),
    mismatches: &[Mismatch],
) -> Vec<Diagnostic> {
    let (from, to) = (parts.name(link.source), parts.name(link.target));
    let names = Names {
        importer: from,
        exporter: &format!("`{to}`"),
        import: describe(import),
        export: describe(export),
        functions: export.functions(),
    };
    let declared = link.traits[0];
    let finish = |report: Diagnostic| {
        report
            .at(declared.target.span.or(declared.span), "linked here")
            .with_help(help(from, to, import, export))
    };
    (reports(&names, mismatches).into_iter().map(finish)).collect()
}

/// The reports on an import that the host satisfies, at most one for each code.
pub(crate) fn host_mismatches(
    parts: &Parts<'_>,
    part: PartId,
    host: &HostImport<'_>,
    mismatches: &[Mismatch],
) -> Vec<Diagnostic> {
    let name = parts.name(part);
    let names = Names {
        importer: name,
        exporter: "the host",
        import: describe(host.import),
        export: interface_text(host.export),
        functions: host.export.functions(),
    };
    let finish = |report: Diagnostic| {
        report
            .at(parts.declared(part).name.span, "imported by this component")
            .with_help(host_help(name, host))
    };
    (reports(&names, mismatches).into_iter().map(finish)).collect()
}

/// The names of the two sides in a report.
struct Names<'n> {
    importer: &'n str,
    exporter: &'n str,
    import: String,
    export: String,
    /// The export's functions.
    functions: &'n [Function],
}

fn reports(names: &Names<'_>, mismatches: &[Mismatch]) -> Vec<Diagnostic> {
    let Names {
        importer,
        exporter,
        import,
        export,
        functions,
    } = names;
    let (missing, different): (Vec<_>, Vec<_>) = mismatches.iter().partition(|m| m.missing);
    let mut reports = Vec::new();
    if !different.is_empty() {
        let message = match import == export {
            true => {
                format!("{exporter} exports `{export}` with other types than `{importer}` imports")
            }
            false => format!(
                "{exporter} exports `{export}` with other types than `{importer}` imports as `{import}`"
            ),
        };
        let mut report = Diagnostic::error(DIFFERENT.code, message);
        for m in different.iter().take(SHOWN) {
            let exported = m.exported.as_deref().unwrap_or("nothing");
            report = report.with_note(format!(
                "{m}\n  imported: {}\n  exported: {exported}",
                m.imported
            ));
        }
        reports.push((report, different.len()));
    }
    if !missing.is_empty() {
        let message = match import == export {
            true => {
                format!("{exporter} exports `{export}` without all that `{importer}` uses of it")
            }
            false => format!(
                "{exporter} exports `{export}` without all that `{importer}` uses of `{import}`"
            ),
        };
        let mut report = Diagnostic::error(MISSING.code, message);
        for m in missing.iter().take(SHOWN) {
            report = report.with_note(format!("missing: {}", m.imported));
        }
        let names = functions.iter().map(|function| &function.name);
        report = match functions.len().checked_sub(SHOWN) {
            None | Some(0) => report.with_note(format!("`{export}` there has {}", list(names))),
            Some(more) => {
                let names: Vec<_> = names.take(SHOWN).map(|name| format!("`{name}`")).collect();
                report.with_note(format!(
                    "`{export}` there has {} and {more} more",
                    names.join(", ")
                ))
            }
        };
        reports.push((report, missing.len()));
    }
    let finish = |(report, count): (Diagnostic, usize)| match count.checked_sub(SHOWN) {
        Some(more @ 1..) => report.with_note(format!("and {more} more")),
        _ => report,
    };
    reports.into_iter().map(finish).collect()
}

fn help(from: &str, to: &str, import: &Extern, export: &Extern) -> String {
    let (imported, exported) = (interface_text(import), interface_text(export));
    if imported == exported {
        format!("build `{from}` and `{to}` against the same WIT of `{imported}`")
    } else {
        format!(
            "`{from}` was built against `{imported}`, `{to}` against `{exported}`: build both against one version"
        )
    }
}

fn host_help(name: &str, host: &HostImport<'_>) -> String {
    let (imported, exported) = (interface_text(host.import), interface_text(host.export));
    if imported == exported {
        format!("build `{name}` against the published WIT of `{exported}`")
    } else {
        format!(
            "`{name}` was built against `{imported}`, and this host has `{exported}`: build it against that"
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::App;

    fn wit(version: &str, body: &str) -> String {
        format!(
            "package shop:catalog@{version} {{ interface prices {{ {body} }} }}
             world cart {{ import shop:catalog/prices@{version}; }}
             world prices {{ export shop:catalog/prices@{version}; }}"
        )
    }

    fn pair(import: &str, export: &str) -> App {
        let app = App::new(import)
            .component("cart")
            .called("cart")
            .link("prices", &[]);
        app.wit(export).component("prices")
    }

    #[test]
    fn different_types() {
        let import = wit(
            "1.0.0",
            "record item { name: string, price: f64 } get: func(id: u32) -> option<item>;",
        );
        let export = wit(
            "1.0.0",
            "record item { name: string, price: f32 } get: func(id: u64) -> option<item>;",
        );
        insta::assert_snapshot!(pair(&import, &export).problems());
    }

    #[test]
    fn an_older_export_without_a_function() {
        let import = wit("1.1.0", "get: func(); total: func() -> u32;");
        let export = wit("1.0.0", "get: func();");
        insta::assert_snapshot!(pair(&import, &export).problems());
    }

    #[test]
    fn many_differences_are_capped() {
        let functions = |ty: &str| {
            (0..11)
                .map(|i| format!("f{i}: func(a: {ty});"))
                .collect::<String>()
        };
        insta::assert_snapshot!(
            pair(
                &wit("1.0.0", &functions("u8")),
                &wit("1.0.0", &functions("u16"))
            )
            .problems()
        );
    }

    #[test]
    fn world_level_functions() {
        let wit = |ty: &str| {
            format!(
                "world cart {{ import run: func(a: {ty}); }} world prices {{ export run: func(a: {ty}); }}"
            )
        };
        insta::assert_snapshot!(pair(&wit("u8"), &wit("char")).problems());
    }

    #[test]
    fn a_newer_export_with_more_functions_fits() {
        let import = wit("1.0.0", "get: func();");
        let export = wit("1.1.0", "get: func(); total: func() -> u32;");
        assert_eq!(pair(&import, &export).problems(), "");
    }
}
