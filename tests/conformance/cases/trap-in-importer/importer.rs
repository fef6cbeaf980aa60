wit_bindgen::generate!({ world: "importer", path: "cases/trap-in-importer" });

use case::trap_in_importer::api::{self, Thing};

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn at_once() -> String {
        panic!("before any call");
    }

    fn after_calls() -> String {
        let sum = (0..10).fold(0, api::add);
        panic!("after calls: {sum}");
    }

    fn with_handles() -> String {
        let things: Vec<_> = (0..10).map(Thing::new).collect();
        let sum: u32 = things.iter().map(Thing::n).sum();
        panic!("with {} handles: {sum}", things.len());
    }
}
