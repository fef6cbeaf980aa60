wit_bindgen::generate!({ world: "exporter", path: "cases/strings" });

use exports::case::strings::api::{Described, Guest};

struct Exporter;
export!(Exporter);

impl Guest for Exporter {
    fn describe(text: String) -> Described {
        Described {
            bytes: text.len() as u32,
            chars: text.chars().count() as u32,
            text,
        }
    }

    fn reverse(text: String) -> String {
        text.chars().rev().collect()
    }

    fn join(a: String, b: String, c: String) -> String {
        [a, b, c].join("|")
    }

    fn repeat(text: String, times: u32) -> String {
        text.repeat(times as usize)
    }

    fn length(text: String) -> u32 {
        text.len() as u32
    }
}
