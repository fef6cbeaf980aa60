wit_bindgen::generate!({ world: "exporter", path: "cases/records" });

use exports::case::records::api::{Guest, Outer, Padded, Single};

struct Exporter;
export!(Exporter);

type Nested = (u8, (u16, (u32, (u64, (String,)))));
type NestedBack = (((((String,), u64), u32), u16), u8);

impl Guest for Exporter {
    fn give_back(p: Padded) -> (Padded, String) {
        (p, format!("{p:?}"))
    }

    fn list_of(p: Padded, n: u32) -> Vec<Padded> {
        (0..n)
            .map(|i| Padded {
                b: p.b + u64::from(i),
                ..p
            })
            .collect()
    }

    fn swap(mut o: Outer) -> (Outer, String) {
        let seen = format!("{o:?}");
        std::mem::swap(&mut o.inner, &mut o.pair.1);
        std::mem::swap(&mut o.small, &mut o.last);
        (o, seen)
    }

    fn wrap(s: Single) -> (Single,) {
        (s,)
    }

    fn nest((a, (b, (c, (d, e)))): Nested) -> NestedBack {
        ((((e, d), c), b), a)
    }

    fn small((a, b): (u8, u16)) -> (u16, u8) {
        (b, a)
    }
}
