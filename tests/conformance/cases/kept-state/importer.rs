wit_bindgen::generate!({ world: "importer", path: "cases/kept-state" });

use case::kept_state::counter;
use case::kept_state::memory::{self, Cursor};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        let (first, second) = (Cursor::new(), Cursor::new());
        t.note("nothing yet", first.next());
        t.note("remember", counter::remember("a"));
        t.note("first", first.next());
        t.note("remember", counter::remember("b"));
        t.note("first", (first.next(), first.next()));
        t.note("second", (second.next(), second.next(), second.next()));
        for _ in 0..1000 {
            counter::next();
        }
        t.note("count", counter::next());
        let long = "x".repeat(1000);
        for _ in 0..1000 {
            counter::remember(&long);
        }
        t.note("all", memory::all().iter().map(String::len).sum::<usize>());
        t.text()
    }
}
