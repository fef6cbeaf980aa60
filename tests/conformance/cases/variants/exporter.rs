wit_bindgen::generate!({ world: "exporter", path: "cases/variants" });

use exports::case::variants::api::{
    Guest, InMemory, Many, Mixed, Narrow, OneCase, SingleEnum, Wide,
};

struct Exporter;
export!(Exporter);

macro_rules! seen {
    ($($function:ident: $ty:ty),* $(,)?) => {
        $(fn $function(v: $ty) -> ($ty, String) {
            let seen = format!("{v:?}");
            (v, seen)
        })*
    };
}

impl Guest for Exporter {
    seen! { give_mixed: Mixed, give_narrow: Narrow, give_wide: Wide, give_many: Many, give_in_memory: Vec<InMemory> }

    fn alone(v: Mixed) -> Mixed {
        v
    }

    fn one(v: OneCase) -> OneCase {
        let OneCase::Only(text) = v;
        OneCase::Only(text + "!")
    }

    fn single(v: SingleEnum) -> SingleEnum {
        v
    }

    fn all() -> Vec<Many> {
        [Many::C0, Many::C255, Many::C256, Many::C299].into()
    }
}
