//! Import labels of a composition: kebab-case, unique, and telling whose import it is.

use std::collections::HashSet;

use withe_wit::name::kebab_case;

/// Gives out labels, each only once.
#[derive(Default)]
pub(crate) struct Labels {
    /// In lower case: labels that differ only in case count as the same.
    taken: HashSet<String>,
}

impl Labels {
    /// Labels that none of these names is.
    pub(crate) fn without<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        Self {
            taken: names.map(str::to_ascii_lowercase).collect(),
        }
    }

    /// `{label}-{import}`, the import's name turned to kebab-case and rid of its version; with `-n2`,
    /// `-n3`, … behind it when that is taken.
    pub(crate) fn take(&mut self, label: &str, import: &str) -> String {
        let words = kebab_case(import.split('@').next().unwrap_or(import));
        let parts = [label, &words];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let base = parts.join("-");
        let mut name = base.clone();
        let mut n = 1;
        while !self.taken.insert(name.to_ascii_lowercase()) {
            n += 1;
            name = format!("{base}-n{n}");
        }
        name
    }
}

/// The name of an interface within its package, `streams` in `wasi:io/streams@0.2.0`; of a label, all
/// of it.
pub(crate) fn interface_word(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    name.rsplit(['/', ':']).next().unwrap_or(name)
}

/// The resource in `[constructor]r`, `[method]r.f` and `[static]r.f`.
pub(crate) fn function_resource(name: &str) -> Option<&str> {
    let (kind, rest) = name.strip_prefix('[')?.split_once(']')?;
    match kind {
        "constructor" => Some(rest),
        "method" | "static" => rest.split_once('.').map(|(resource, _)| resource),
        _ => None,
    }
}

/// The same function name for another resource.
pub(crate) fn rename_function_resource(name: &str, resource: &str) -> Option<String> {
    let old = function_resource(name)?;
    let at = name.find(']')? + 1;
    Some(format!(
        "{}{resource}{}",
        &name[..at],
        &name[at + old.len()..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_kebab_case_and_unique() {
        let mut labels = Labels::default();
        let table = [
            (
                "visits",
                "wasi:keyvalue/store@0.2.0-draft",
                "visits-wasi-keyvalue-store",
            ),
            (
                "visits",
                "wasi:keyvalue/store@0.3.0",
                "visits-wasi-keyvalue-store-n2",
            ),
            ("visits", "cache", "visits-cache"),
            ("visits-2", "cache", "visits-2-cache"),
            ("a", "b-c", "a-b-c"),
            ("a-b", "c", "a-b-c-n2"),
            ("A-b", "c", "A-b-c-n3"),
            ("a", "HTTP-get", "a-http-get"),
            ("a", "url=<https://x.test/1a>", "a-url-https-x-test-n1a"),
            ("a", "@", "a"),
        ];
        for (label, import, want) in table {
            assert_eq!(labels.take(label, import), want);
        }
    }

    #[test]
    fn finds_and_renames_the_resource_of_a_function() {
        assert_eq!(function_resource("[constructor]r"), Some("r"));
        assert_eq!(function_resource("[method]r.f"), Some("r"));
        assert_eq!(function_resource("f"), None);
        assert_eq!(
            rename_function_resource("[static]r.r", "a-r").as_deref(),
            Some("[static]a-r.r")
        );
        assert_eq!(
            rename_function_resource("[constructor]r", "q").as_deref(),
            Some("[constructor]q")
        );
    }
}
