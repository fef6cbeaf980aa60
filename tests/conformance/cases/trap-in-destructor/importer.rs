wit_bindgen::generate!({ world: "importer", path: "cases/trap-in-destructor" });

use case::trap_in_destructor::api::{self, Bomb};

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn dropped() -> String {
        drop(Bomb::new(true));
        "not reached".into()
    }

    fn dropped_by_callee() -> String {
        api::take(Bomb::new(true)).to_string()
    }

    fn second_of_three() -> String {
        let bombs = [false, true, false].map(Bomb::new);
        api::replace(bombs.into()).len().to_string()
    }

    fn unarmed() -> String {
        drop(Bomb::new(false));
        api::take(Bomb::new(false)).to_string()
    }
}
