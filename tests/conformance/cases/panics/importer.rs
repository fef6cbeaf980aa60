wit_bindgen::generate!({ world: "importer", path: "cases/panics" });

use case::panics::api::{self, Thing};

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn panic() -> String {
        api::panic("the words of the importer, said by the exporter");
        "not reached".into()
    }

    fn index() -> String {
        api::index(&[1, 2, 3], 3).to_string()
    }

    fn unwrap() -> String {
        api::unwrap(Some("fine")) + &api::unwrap(None)
    }

    fn too_large() -> String {
        api::too_large().len().to_string()
    }

    fn constructor_panics() -> String {
        drop(Thing::new(true));
        "not reached".into()
    }

    fn method_panics() -> String {
        Thing::new(false).panic();
        "not reached".into()
    }

    fn static_panics() -> String {
        drop(Thing::make());
        "not reached".into()
    }
}
