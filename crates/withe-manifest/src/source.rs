//! Text to node trees: decides between YAML and JSON.
//!
//! Nearly all JSON is YAML, but not quite all (escapes of characters outside the basic plane, for
//! one), and a YAML parser's complaints about JSON help nobody. So text that begins as JSON does
//! is read as JSON first; it may still turn out to be YAML in flow style.

use withe_linker::Diagnostic;

use crate::node::Document;
use crate::{json, yaml};

/// All documents of `text`. The error is a syntax error: nothing can be read. (The box only keeps
/// the result small.)
pub(crate) fn read(text: &str) -> Result<Vec<Document>, Box<Diagnostic>> {
    if !looks_like_json(text) {
        return yaml::read(text);
    }
    json::read(text)
        .map(|document| vec![document])
        .or_else(|problem| yaml::read(text).map_err(|_| problem))
}

/// Whether `text` begins with `{"`, `{}` or `[`, spaces aside.
fn looks_like_json(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with('[')
        || text
            .strip_prefix('{')
            .is_some_and(|rest| rest.trim_start().starts_with(['"', '}']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    fn value(text: &str, key: &str) -> String {
        let documents = read(text).unwrap();
        let [document] = documents.as_slice() else {
            panic!("one document expected in {text:?}")
        };
        document.root.get(key).unwrap().text().unwrap().to_owned()
    }

    #[test]
    fn json_with_tabs_and_escapes_is_read() {
        assert_eq!(
            value("{\n\t\"a\":\t\"\\ud83d\\ude00\\/\\u00e9\"}", "a"),
            "😀/é"
        );
    }

    #[test]
    fn flow_style_yaml_that_begins_like_json_is_read() {
        assert_eq!(value("{\"a\": b, c: d}", "c"), "d");
        assert_eq!(value("{\"a\": \"b\",} # trailing comma", "a"), "b");
    }

    #[test]
    fn broken_json_is_reported_as_json() {
        let problem = read("{\"a\": 1,\n \"b\" 2}").unwrap_err();
        assert_eq!(problem.code, codes::SYNTAX);
        assert!(problem.message.contains("JSON"), "{}", problem.message);
        assert_eq!(problem.primary.unwrap().span.start, 14);
    }
}
