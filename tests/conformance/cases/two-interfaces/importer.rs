wit_bindgen::generate!({ world: "importer", path: "cases/two-interfaces" });

use case::two_interfaces::{counter, log};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        t.note("log", log::add("first"));
        t.note("count", counter::add(40));
        t.note("log", log::add("second"));
        t.note("count", counter::add(2));
        t.note("lines", log::get());
        t.note("count", counter::get());
        t.text()
    }
}
