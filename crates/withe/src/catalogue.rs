//! Every diagnostic code there is: what `withe explain` and `docs/diagnostics.md` are made from.

use withe_linker::diagnostic::CodeInfo;

/// All codes, in order.
pub(crate) fn all() -> Vec<&'static CodeInfo> {
    let mut all: Vec<_> = [
        withe_manifest::CODES,
        withe_load::CODES,
        withe_linker::CODES,
    ]
    .into_iter()
    .flatten()
    .collect();
    all.sort_by_key(|info| info.code);
    all
}

/// One code as a section of Markdown.
pub(crate) fn section(info: &CodeInfo) -> String {
    format!(
        "## {}: {}\n\n{}\n",
        info.code.0,
        info.title,
        info.explanation.trim()
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const INTRODUCTION: &str = "\
# Diagnostics

Everything that Withe reports about an application has a code. `withe explain CODE` shows its section
of this page in the terminal. Codes are stable: one is never given another meaning.

This page is generated from the code: `WITHE_BLESS=1 cargo test -p withe` writes it.
";

    #[test]
    fn codes_are_unique() {
        let codes: Vec<_> = all().iter().map(|info| info.code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    }

    #[test]
    fn the_documentation_is_what_the_code_says() {
        let sections = all().into_iter().map(section);
        let wanted = std::iter::once(INTRODUCTION.to_owned())
            .chain(sections)
            .collect::<Vec<_>>()
            .join("\n");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/diagnostics.md");
        if std::env::var_os("WITHE_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == wanted,
            "docs/diagnostics.md is out of date: run the tests with WITHE_BLESS=1"
        );
    }
}
