wit_bindgen::generate!({ world: "importer", path: "cases/many-values" });

use case::many_values::api::{self, Twenty};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        t.note(
            "sixteen",
            api::sixteen(
                255,
                u64::MAX - 1,
                2.5,
                -32765,
                -4.25,
                '\u{10fffa}',
                true,
                i64::MIN + 7,
                u32::MAX - 8,
                -119,
                245,
                u64::MAX - 11,
                12.5,
                -32755,
                -14.25,
                '\u{10fff0}',
            ),
        );
        t.note(
            "seventeen",
            api::seventeen(
                255,
                u64::MAX - 1,
                2.5,
                -32765,
                -4.25,
                '\u{10fffa}',
                true,
                i64::MIN + 7,
                u32::MAX - 8,
                -119,
                245,
                u64::MAX - 11,
                12.5,
                -32755,
                -14.25,
                '\u{10fff0}',
                false,
            ),
        );
        t.note(
            "forty",
            api::forty(
                255,
                u64::MAX - 1,
                2.5,
                -32765,
                -4.25,
                '\u{10fffa}',
                true,
                i64::MIN + 7,
                u32::MAX - 8,
                -119,
                245,
                u64::MAX - 11,
                12.5,
                -32755,
                -14.25,
                '\u{10fff0}',
                false,
                i64::MIN + 17,
                u32::MAX - 18,
                -109,
                235,
                u64::MAX - 21,
                22.5,
                -32745,
                -24.25,
                '\u{10ffe6}',
                true,
                i64::MIN + 27,
                u32::MAX - 28,
                -99,
                225,
                u64::MAX - 31,
                32.5,
                -32735,
                -34.25,
                '\u{10ffdc}',
                false,
                i64::MIN + 37,
                u32::MAX - 38,
                -89,
            ),
        );
        t.note(
            "strings",
            api::strings("a", "", "c", "ß", "e", "f🦀", "g", "", "i"),
        );
        let record = Twenty {
            f0: 255,
            f1: u64::MAX - 1,
            f2: 2.5,
            f3: -32765,
            f4: -4.25,
            f5: '\u{10fffa}',
            f6: true,
            f7: i64::MIN + 7,
            f8: u32::MAX - 8,
            f9: -119,
            f10: 245,
            f11: u64::MAX - 11,
            f12: 12.5,
            f13: -32755,
            f14: -14.25,
            f15: '\u{10fff0}',
            f16: false,
            f17: i64::MIN + 17,
            f18: u32::MAX - 18,
            f19: -109,
        };
        let other = Twenty {
            f0: 0,
            f19: 0,
            ..record
        };
        t.note("one record", api::one_record(record));
        t.note("two records", api::two_records(record, other));
        t.note(
            "more",
            api::lists_and_strings(&[1, 2, 3], "text", other, Some("ü")),
        );
        t.note("less", api::lists_and_strings(&[], "", record, None));
        t.text()
    }
}
