wit_bindgen::generate!({ world: "exporter", path: "cases/lists" });

use exports::case::lists::api::{Access, Colour, Guest, Item, Shape};

struct Exporter;
export!(Exporter);

macro_rules! reversed {
    ($($function:ident: $ty:ty),* $(,)?) => {
        $(fn $function(mut l: Vec<$ty>) -> (Vec<$ty>, String) {
            let seen = format!("{l:?}");
            l.reverse();
            (l, seen)
        })*
    };
}

impl Guest for Exporter {
    reversed! {
        bools: bool, u8s: u8, s8s: i8, u16s: u16, s16s: i16, u32s: u32, s32s: i32, u64s: u64, s64s: i64,
        f32s: f32, f64s: f64, chars: char, strings: String, items: Item, shapes: Shape, colours: Colour,
        accesses: Access, tuples: (u8, u64, String), options: Option<i16>, results: Result<u32, String>,
        nested: Vec<Vec<String>>,
    }

    fn two(a: Vec<u8>, b: Vec<String>) -> Vec<(u8, String)> {
        a.into_iter().zip(b).collect()
    }
}
