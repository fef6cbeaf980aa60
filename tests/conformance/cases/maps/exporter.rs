wit_bindgen::generate!({ world: "exporter", path: "cases/maps" });

use exports::case::maps::api::Guest;
use wit_bindgen::rt::Map;

struct Exporter;
export!(Exporter);

impl Guest for Exporter {
    fn swap(m: Map<String, u32>) -> Map<u32, String> {
        m.into_iter().map(|(key, value)| (value, key)).collect()
    }

    fn nested(m: Map<u8, Map<char, Vec<String>>>) -> (String, Map<u8, Map<char, Vec<String>>>) {
        (format!("{m:?}"), m)
    }

    fn inside(l: Vec<Option<Map<bool, f64>>>) -> String {
        format!("{l:?}")
    }
}
