wit_bindgen::generate!({ world: "importer", path: "cases/strings" });

use case::strings::api;
use conformance::Transcript;

struct Importer;
export!(Importer);

const TEXTS: [&str; 9] = [
    "",
    "a",
    "\0",
    "a\0b\0",
    "line\r\nquote\" back\\slash\t",
    "Grüße, Jürgen ❤",
    "日本語 עברית हिन्दी",
    "🦀👩‍👩‍👧‍👦\u{10ffff}",
    "\u{feff}\u{d7ff}\u{e000}\u{fffe}",
];

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        for text in TEXTS {
            t.note("describe", api::describe(text));
            t.note("reverse", api::reverse(text));
        }
        t.note("join", api::join("", "ß", ""));
        t.note("repeat nothing", api::repeat("", u32::MAX));
        t.note("repeat never", api::repeat("a", 0));
        let mebibyte = "ab🦀cd".repeat((1 << 20) / 8);
        t.note("length", api::length(&mebibyte));
        let back = api::reverse(&mebibyte);
        t.note(
            "reversed",
            back == mebibyte.chars().rev().collect::<String>(),
        );
        t.note("repeated", api::repeat("ab🦀cd", (1 << 20) / 8) == mebibyte);
        t.text()
    }
}
