wit_bindgen::generate!({ world: "exporter", path: "cases/importer-encodings" });

use exports::case::importer_encodings::api::Guest;

struct Exporter;
export!(Exporter);

impl Guest for Exporter {
    fn describe(text: String) -> String {
        let chars = text.chars().count();
        format!("{} bytes, {chars} characters: {text}", text.len())
    }
}
