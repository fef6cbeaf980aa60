wit_bindgen::generate!({ world: "exporter", path: "cases/panics" });

use std::hint::black_box;

use exports::case::panics::api::{Guest, GuestThing, Thing};

struct Exporter;
export!(Exporter);

struct Panicking;

impl GuestThing for Panicking {
    fn new(panics: bool) -> Self {
        assert!(!panics, "in the constructor");
        Self
    }

    fn panic(&self) {
        panic!("in the method");
    }

    fn make() -> Thing {
        panic!("in the static function");
    }
}

impl Guest for Exporter {
    type Thing = Panicking;

    fn panic(words: String) {
        panic!("{words}");
    }

    fn index(numbers: Vec<u32>, index: u32) -> u32 {
        numbers[index as usize]
    }

    fn unwrap(text: Option<String>) -> String {
        text.expect("there is some")
    }

    fn too_large() -> Vec<u8> {
        vec![0; black_box(usize::MAX)]
    }
}
