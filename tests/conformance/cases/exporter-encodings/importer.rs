wit_bindgen::generate!({ world: "importer", path: "cases/exporter-encodings" });

use case::exporter_encodings::api;
use conformance::Transcript;

struct Importer;
export!(Importer);

const TEXTS: [&str; 7] = [
    "",
    "plain",
    "grüße",
    "\0\u{7f}\u{80}\u{ff}",
    "\u{100}",
    "Latin at first, then 日本",
    "\u{d7ff}\u{e000}🦀\u{10ffff}",
];

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        for text in TEXTS {
            t.note("UTF-8", (api::echo_utf8(text), api::length_utf8(text)));
            t.note("UTF-16", (api::echo_utf16(text), api::length_utf16(text)));
            let length = format!("{:#x}", api::length_compact(text));
            t.note("compact", (api::echo_compact(text), length));
        }
        let long = "ab🦀cd".repeat(100_000);
        t.note(
            "long UTF-16",
            (api::echo_utf16(&long) == long, api::length_utf16(&long)),
        );
        t.note("long compact", api::echo_compact(&long) == long);
        let latin = "ü".repeat(500_000);
        t.note(
            "long Latin",
            (
                api::echo_compact(&latin) == latin,
                api::length_compact(&latin),
            ),
        );
        t.text()
    }

    fn lone_surrogate() -> String {
        api::lone_surrogate()
    }

    fn unaligned() -> String {
        api::unaligned()
    }
}
