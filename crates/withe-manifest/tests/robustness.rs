//! Whatever the text: reading it does not panic, and every place it names is a place in it.

mod render;

use proptest::prelude::*;
use withe_linker::input::{Application, Image, Span, Spanned};
use withe_manifest::{Parsed, parse};

const MANIFEST: &str = include_str!("manifests/everything.yaml");
const MANIFEST_JSON: &str = include_str!("manifests/everything.json");

fn check(text: &str) {
    let Parsed {
        application,
        diagnostics,
    } = parse(text);
    for diagnostic in &diagnostics.0 {
        for label in diagnostic.primary.iter().chain(&diagnostic.related) {
            check_span(text, label.span);
        }
    }
    render::render(text, &diagnostics);
    if let Some(application) = application {
        check_application(text, &application);
    }
}

fn check_span(text: &str, span: Span) {
    assert!(span.start <= span.end, "{span:?}");
    assert!(
        text.get(span.start..span.end).is_some(),
        "{span:?} in {text:?}"
    );
}

fn check_value<T>(text: &str, value: &Spanned<T>) {
    if let Some(span) = value.span {
        check_span(text, span);
    }
}

fn check_application(text: &str, application: &Application) {
    check_value(text, &application.name);
    for component in &application.components {
        check_value(text, &component.name);
        check_value(text, &component.image);
        if let Image::Compose(parts) = &component.image.value {
            parts.iter().for_each(|part| check_value(text, part));
        }
        for link in &component.links {
            check_span(text, link.span.expect("a link read from text has a place"));
            check_value(text, &link.target);
            let interfaces = link.interfaces.iter().flatten();
            interfaces.for_each(|interface| check_value(text, interface));
        }
        let configs = component
            .config
            .iter()
            .filter_map(|config| config.properties.as_ref());
        for value in configs.flat_map(|properties| properties.values()) {
            check_value(text, value);
        }
    }
}

/// A piece of text that YAML, JSON or UTF-8 make something of.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("\n".into()),
        Just("\t".into()),
        Just("\u{feff}".into()),
        "[ :#&*!|>'\"{}\\[\\],?@`%~<-]{1,3}",
        "[a-zé😀0-9]{1,4}",
        Just("<<: ".into()),
        Just("&a ".into()),
        Just("*a".into()),
        Just("- ".into()),
        Just(": ".into()),
        Just("---\n".into()),
        Just("...\n".into()),
        Just("!!str ".into()),
        Just("\\ud800".into()),
        Just("\r".into()),
        Just("\u{2028}".into()),
        Just("\0".into()),
    ]
}

/// A manifest with pieces cut out and others put in.
fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let characters: Vec<char> = text.chars().collect();
    let last = characters.len();
    prop::collection::vec((0..last, 0..12_usize, fragment()), 1..6).prop_map(move |edits| {
        let mut characters = characters.clone();
        for (at, cut, put) in edits {
            let at = at.min(characters.len());
            let end = (at + cut).min(characters.len());
            characters.splice(at..end, put.chars());
        }
        characters.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_text_of_yamls_own_characters(text in prop::collection::vec(fragment(), 0..40)) {
        check(&text.concat());
    }

    #[test]
    fn a_damaged_manifest(text in mutated(MANIFEST)) {
        check(&text);
    }

    #[test]
    fn a_damaged_json_manifest(text in mutated(MANIFEST_JSON)) {
        check(&text);
    }
}

#[test]
fn every_beginning_of_a_manifest() {
    for text in [MANIFEST, MANIFEST_JSON] {
        for (end, _) in text.char_indices() {
            check(&text[..end]);
        }
    }
}
