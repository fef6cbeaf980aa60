wit_bindgen::generate!({ world: "importer", path: "cases/types-of-others" });

use case::types_of_others::types::{Point, Unit};
use case::types_of_others::{measure, shapes};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        let square = shapes::square("square", Point { x: -5, y: i32::MIN }, 10);
        t.note("square", &square);
        t.note("in metres", measure::circumference(&square, Unit::Metre));
        let dot = shapes::square("", Point { x: 0, y: 0 }, 0);
        t.note("in miles", measure::circumference(&dot, Unit::Mile));
        t.note("bounds", measure::bounds(&square.outline));
        t.note("bounds of nothing", measure::bounds(&[]));
        t.note("by name", measure::by_name(&[square, dot]));
        t.text()
    }
}
