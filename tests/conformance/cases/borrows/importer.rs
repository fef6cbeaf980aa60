wit_bindgen::generate!({ world: "importer", path: "cases/borrows" });

use case::borrows::api::{self, Pot, Scale};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        let (a, b) = (Pot::new(10), Pot::new(3));
        let (grams, ounces) = (Scale::new("g"), Scale::new("oz"));
        t.note("pour", (a.pour(&b, 4), a.amount(), b.amount()));
        t.note(
            "pour what is not there",
            (b.pour(&a, 100), a.amount(), b.amount()),
        );
        t.note("pour into itself", (a.pour(&a, 5), a.amount()));
        t.note(
            "weigh",
            (grams.weigh(&a), ounces.weigh(&a), a.measure(&ounces)),
        );
        t.note("weigh all", grams.weigh_all(&[&a, &b, &a, &a]));
        t.note("weigh none", grams.weigh_all(&[]));
        t.note(
            "compare",
            (
                grams.compare(&a, &b),
                grams.compare(&b, &a),
                grams.compare(&a, &a),
            ),
        );
        t.note("nothing dropped", api::journal());
        t.note("transfer", api::transfer(a, &b, &ounces));
        t.note("one dropped", api::journal());
        drop(grams);
        t.note("still there", b.measure(&ounces));
        drop((b, ounces));
        t.note("all dropped", api::journal());
        t.text()
    }
}
