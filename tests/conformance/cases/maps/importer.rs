wit_bindgen::generate!({ world: "importer", path: "cases/maps" });

use case::maps::api;
use conformance::Transcript;
use wit_bindgen::rt::Map;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        t.note("empty", api::swap(&Map::new()));
        let numbers = (0..5)
            .map(|i| ("ü".repeat(i as usize), u32::MAX - i))
            .collect();
        t.note("swapped", api::swap(&numbers));
        let many: Map<_, _> = (0..10_000).map(|i| (format!("key {i}"), i)).collect();
        t.note("many", api::swap(&many).len());
        let inner = |c| Map::from([(c, vec!["a".to_string(), String::new()]), ('z', vec![])]);
        t.note(
            "nested",
            api::nested(&Map::from([(0, inner('b')), (255, Map::new())])),
        );
        t.note(
            "inside",
            api::inside(&[
                None,
                Some(Map::new()),
                Some(Map::from([(true, 0.5), (false, -0.0)])),
            ]),
        );
        t.text()
    }
}
