wit_bindgen::generate!({ world: "importer", path: "cases/world-functions" });

use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        t.note("add", add(u32::MAX, 2));
        t.note("shout", shout("grüße"));
        t.note("shout nothing", shout(""));
        t.text()
    }
}
