wit_bindgen::generate!({ world: "importer", path: "cases/versions/1.0.0" });

use case::versions::api;
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        t.note("greet", api::greet("1.0.0"));
        t.text()
    }
}
