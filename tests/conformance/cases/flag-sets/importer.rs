wit_bindgen::generate!({ world: "importer", path: "cases/flag-sets" });

use case::flag_sets::api::{self, AllOfThem, Bits1, Bits8, Bits9, Bits16, Bits17, Bits32};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        for v in [Bits1::empty(), Bits1::all()] {
            t.note("1", api::toggle1(v));
        }
        for v in [Bits8::empty(), Bits8::B0 | Bits8::B7, Bits8::all()] {
            t.note("8", api::toggle8(v));
        }
        for v in [Bits9::empty(), Bits9::B0 | Bits9::B8, Bits9::all()] {
            t.note("9", api::toggle9(v));
            t.note("9 alone", api::alone(v));
        }
        for v in [Bits16::empty(), Bits16::B7 | Bits16::B15, Bits16::all()] {
            t.note("16", api::toggle16(v));
        }
        for v in [Bits17::empty(), Bits17::B0 | Bits17::B16, Bits17::all()] {
            t.note("17", api::toggle17(v));
        }
        for v in [Bits32::empty(), Bits32::B15 | Bits32::B31, Bits32::all()] {
            t.note("32", api::toggle32(v));
        }
        let some = AllOfThem {
            bits1: Bits1::B0,
            bits8: Bits8::B7,
            bits9: Bits9::B8,
            bits16: Bits16::B15,
            bits17: Bits17::B16,
            bits32: Bits32::B31,
        };
        let none = AllOfThem {
            bits1: Bits1::empty(),
            bits8: Bits8::empty(),
            bits9: Bits9::empty(),
            bits16: Bits16::empty(),
            bits17: Bits17::empty(),
            bits32: Bits32::empty(),
        };
        t.note("all of them", api::reverse(&[some, none]));
        t.text()
    }
}
