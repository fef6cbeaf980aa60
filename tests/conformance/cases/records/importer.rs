wit_bindgen::generate!({ world: "importer", path: "cases/records" });

use case::records::api::{self, Inner, Outer, Padded, Single};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        let padded = Padded {
            a: 255,
            b: u64::MAX - 7,
            c: 254,
            d: 65535,
            e: 253,
            f: -0.0,
            g: true,
            h: 1e-300,
            i: '🦀',
            j: -128,
        };
        t.note("padded", api::give_back(padded));
        t.note("list of padded", api::list_of(padded, 3));
        let inner = |name: &str, tags: &[&str]| Inner {
            name: name.into(),
            tags: tags.iter().map(|&tag| tag.into()).collect(),
        };
        let outer = |maybe| Outer {
            small: 1,
            inner: inner("inner", &["a", "", "ß"]),
            pair: (2, inner("", &[])),
            maybe,
            last: 3,
        };
        t.note("outer", api::swap(&outer(None)));
        t.note("outer", api::swap(&outer(Some(inner("maybe", &["t"])))));
        t.note("single", api::wrap(Single { value: 7 }));
        t.note("nested", api::nest((1, (2, (3, (4, ("five",)))))));
        t.note("small", api::small((255, 65535)));
        t.text()
    }
}
