wit_bindgen::generate!({ world: "importer", path: "cases/variants" });

use case::variants::api::{self, InMemory, Many, Mixed, Narrow, OneCase, SingleEnum, Wide};
use conformance::Transcript;

struct Importer;
export!(Importer);

fn mixed() -> [Mixed; 8] {
    [
        Mixed::Nothing,
        Mixed::Byte(255),
        Mixed::Single(-0.0),
        Mixed::Long(i64::MIN),
        Mixed::Double(f64::MIN_POSITIVE),
        Mixed::Text("ß🦀".into()),
        Mixed::Pair((f32::MAX, u64::MAX)),
        Mixed::Letter('\u{10ffff}'),
    ]
}

fn wide() -> Vec<Wide> {
    let mut wide = vec![
        Wide::A((7, 0.1, "text".into())),
        Wide::B((f64::NEG_INFINITY, f32::NAN)),
        Wide::C(vec![1, 2, 65535]),
        Wide::C(vec![]),
    ];
    wide.extend(mixed().map(Wide::D));
    wide
}

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        for v in mixed() {
            t.note("mixed", api::give_mixed(&v));
            t.note("alone", api::alone(&v));
        }
        for v in [
            Narrow::Float(0.1),
            Narrow::Float(f32::NAN),
            Narrow::Int(i32::MIN),
        ] {
            t.note("narrow", api::give_narrow(v));
        }
        for v in wide() {
            t.note("wide", api::give_wide(&v));
        }
        t.note("one", api::one(&OneCase::Only("case".into())));
        t.note("single", api::single(SingleEnum::Only));
        for v in [
            Many::C0,
            Many::C127,
            Many::C128,
            Many::C255,
            Many::C256,
            Many::C299,
        ] {
            t.note("many", api::give_many(v));
        }
        t.note("all", api::all());
        let mut in_memory = vec![
            InMemory::Small(1),
            InMemory::Large(mixed().into()),
            InMemory::Large(vec![]),
        ];
        in_memory.extend(wide().into_iter().map(InMemory::Wide));
        t.note("in memory", api::give_in_memory(&in_memory));
        t.text()
    }
}
