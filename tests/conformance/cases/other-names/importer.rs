wit_bindgen::generate!({ world: "case:other-names/importer", path: "cases/other-names" });

use case::other_names::desk::{lend, write};
use case::other_names::drawer::{Order, Pen, journal, make, same};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        t.note("add", add(2, 3));
        t.note("double", twice::double(21));
        let order = |name: &str, count| {
            make(&Order {
                name: name.into(),
                count,
            })
        };
        t.note("make none", order("", 1).map(|pens| pens.len()));
        let pens = order("red", 2).unwrap();
        t.note("made", pens.iter().map(Pen::name).collect::<Vec<_>>());
        t.note("same", same(&pens[0], &pens[0]));
        t.note("not the same", same(&pens[0], &pens[1]));
        t.note("write", write(&pens[0], "grüße"));
        let mut pens = pens.into_iter();
        let (first, second) = (pens.next().unwrap(), pens.next().unwrap());
        let both = Pen::join(first, second);
        t.note("joined", both.name());
        let back = lend(both);
        t.note("lent", back.name());
        let own = Pen::new("blue");
        t.note("write", write(&own, "x"));
        drop((own, back));
        t.note("journal", journal());
        t.text()
    }
}
