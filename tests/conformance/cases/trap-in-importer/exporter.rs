wit_bindgen::generate!({ world: "exporter", path: "cases/trap-in-importer" });

use exports::case::trap_in_importer::api::{Guest, GuestThing};

struct Exporter;
export!(Exporter);

struct Numbered(u32);

impl GuestThing for Numbered {
    fn new(n: u32) -> Self {
        Self(n)
    }

    fn n(&self) -> u32 {
        self.0
    }
}

impl Guest for Exporter {
    type Thing = Numbered;

    fn add(a: u32, b: u32) -> u32 {
        a + b
    }
}
