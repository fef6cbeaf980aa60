wit_bindgen::generate!({ world: "exporter", path: "cases/flag-sets" });

use exports::case::flag_sets::api::{
    AllOfThem, Bits1, Bits8, Bits9, Bits16, Bits17, Bits32, Guest,
};

struct Exporter;
export!(Exporter);

macro_rules! toggle {
    ($($function:ident: $ty:ty),* $(,)?) => {
        $(fn $function(v: $ty) -> ($ty, String) {
            (v ^ <$ty>::all(), format!("{v:?}"))
        })*
    };
}

impl Guest for Exporter {
    toggle! { toggle1: Bits1, toggle8: Bits8, toggle9: Bits9, toggle16: Bits16, toggle17: Bits17, toggle32: Bits32 }

    fn alone(v: Bits9) -> Bits9 {
        v
    }

    fn reverse(v: Vec<AllOfThem>) -> Vec<AllOfThem> {
        v.into_iter().rev().collect()
    }
}
