wit_bindgen::generate!({ world: "exporter", path: "cases/large-values" });

use exports::case::large_values::api::{Guest, Point};

struct Exporter;
export!(Exporter);

impl Guest for Exporter {
    fn invert(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        bytes
    }

    fn sum(numbers: Vec<u64>) -> u64 {
        numbers.into_iter().fold(0, u64::wrapping_add)
    }

    fn strings(mut strings: Vec<String>) -> Vec<String> {
        strings.iter_mut().for_each(|string| string.push('!'));
        strings
    }

    fn points(n: u32) -> Vec<Point> {
        let point = |i: u32| Point {
            x: i as i16,
            y: f64::from(i) / 4.0,
            label: i.is_multiple_of(2).then_some(i),
        };
        (0..n).map(point).collect()
    }

    fn lists(lists: Vec<Vec<u32>>) -> Vec<u64> {
        let sum = |list: Vec<u32>| list.into_iter().map(u64::from).sum();
        lists.into_iter().map(sum).collect()
    }
}
