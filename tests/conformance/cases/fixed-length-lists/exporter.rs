wit_bindgen::generate!({ world: "exporter", path: "cases/fixed-length-lists" });

use exports::case::fixed_length_lists::api::{Guest, Item, Matrix};

struct Exporter;
export!(Exporter);

impl Guest for Exporter {
    fn few([a, b, c]: [u16; 3]) -> [u16; 3] {
        [c, b, a]
    }

    fn many(mut l: [u8; 40]) -> [u8; 40] {
        l.reverse();
        l
    }

    fn strings(a: String, b: String) -> [String; 2] {
        [b, a]
    }

    fn items(a: Item, b: Item) -> [Item; 2] {
        [b, a]
    }

    fn transpose(m: Matrix) -> [[f32; 3]; 2] {
        [m.rows.map(|row| row[0]), m.rows.map(|row| row[1])]
    }

    fn in_lists(l: Vec<[u8; 4]>) -> Vec<[u8; 4]> {
        l.into_iter().rev().collect()
    }

    fn of_options(l: [Option<u64>; 3]) -> (u64, [Option<u64>; 3]) {
        (l.into_iter().flatten().sum(), l)
    }
}
