wit_bindgen::generate!({ world: "exporter", path: "cases/versions/1.2.0" });

use exports::case::versions::api::Guest;

struct Exporter;
export!(Exporter);

impl Guest for Exporter {
    fn greet(name: String) -> String {
        format!("hello, {name}, from 1.2.0")
    }

    fn part(name: String) -> String {
        format!("goodbye, {name}")
    }
}
