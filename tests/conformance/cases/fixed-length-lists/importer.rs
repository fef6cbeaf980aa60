wit_bindgen::generate!({ world: "importer", path: "cases/fixed-length-lists" });

use case::fixed_length_lists::api::{self, Item, Matrix};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        t.note("few", api::few([1, 2, u16::MAX]));
        t.note("many", api::many(std::array::from_fn(|i| i as u8)));
        t.note("strings", api::strings("ß", ""));
        let item = |id, name: &str| Item {
            id,
            name: name.into(),
        };
        t.note("items", api::items(&item(1, "one"), &item(2, "")));
        let matrix = Matrix {
            name: "m".into(),
            rows: [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        };
        t.note("transpose", api::transpose(&matrix));
        t.note(
            "in lists",
            api::in_lists(&[[1, 2, 3, 4], [0; 4], [5, 6, 7, 255]]),
        );
        t.note("in an empty list", api::in_lists(&[]));
        t.note(
            "of options",
            api::of_options([Some(1 << 40), None, Some(2)]),
        );
        t.text()
    }
}
