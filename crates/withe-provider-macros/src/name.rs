//! Names: WIT's, which are of words with hyphens between them, as Rust has them.

use proc_macro2::Span;
use syn::Ident;

/// `unknown-language` as `UnknownLanguage`.
pub(crate) fn camel(kebab: &str) -> Ident {
    let words = kebab.split('-').map(|word| {
        let lower = word.to_ascii_lowercase();
        let mut letters = lower.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    ident(words.collect())
}

/// `list-keys` as `list_keys`.
pub(crate) fn snake(kebab: &str) -> Ident {
    ident(kebab.replace('-', "_").to_ascii_lowercase())
}

/// A package's module: its version is in the name if it is not the only one.
pub(crate) fn package(name: &str, version: Option<&str>) -> Ident {
    match version {
        None => snake(name),
        Some(version) => snake(&format!("{name}-{}", version.replace(['.', '+'], "-"))),
    }
}

/// `unknown-language` as it is said: `unknown language`.
pub(crate) fn words(kebab: &str) -> String {
    kebab.replace('-', " ")
}

/// A name that may be a word of Rust's, which then gets an underscore.
fn ident(mut name: String) -> Ident {
    if syn::parse_str::<Ident>(&name).is_err() {
        name.push('_');
    }
    Ident::new(&name, Span::call_site())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_rusts() {
        let table = [
            ("unknown-language", "UnknownLanguage", "unknown_language"),
            ("HTTP-error2", "HttpError2", "http_error2"),
            ("type", "Type", "type_"),
            ("self", "Self_", "self_"),
        ];
        for (kebab, in_camel, in_snake) in table {
            assert_eq!(camel(kebab).to_string(), in_camel);
            assert_eq!(snake(kebab).to_string(), in_snake);
        }
        let draft = package("keyvalue", Some("0.2.0-draft"));
        assert_eq!(draft.to_string(), "keyvalue_0_2_0_draft");
        assert_eq!(package("key-value", None).to_string(), "key_value");
    }
}
