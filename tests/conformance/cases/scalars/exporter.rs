wit_bindgen::generate!({ world: "exporter", path: "cases/scalars" });

use std::cell::Cell;

use exports::case::scalars::api::Guest;

struct Exporter;
export!(Exporter);

thread_local!(static LAST: Cell<u8> = const { Cell::new(0) });

macro_rules! seen {
    ($($function:ident: $ty:ty),* $(,)?) => {
        $(fn $function(v: $ty) -> ($ty, String) {
            (v, format!("{v:?}"))
        })*
    };
}

impl Guest for Exporter {
    seen! {
        bools: bool, u8s: u8, s8s: i8, u16s: u16, s16s: i16, u32s: u32, s32s: i32, u64s: u64, s64s: i64,
        f32s: f32, f64s: f64, chars: char,
    }

    fn all(
        a: bool,
        b: u8,
        c: i8,
        d: u16,
        e: i16,
        f: u32,
        g: i32,
        h: u64,
        i: i64,
        j: f32,
        k: f64,
        l: char,
    ) -> i64 {
        let small = i64::from(a) + i64::from(b) + i64::from(c) + i64::from(d) + i64::from(e);
        let large = i64::from(f) + i64::from(g) + h as i64 + i;
        small + large + j as i64 + k as i64 + l as i64
    }

    fn negate(v: i64) -> i64 {
        v.wrapping_neg()
    }

    fn halve(v: f64) -> f64 {
        v / 2.0
    }

    fn next(v: char) -> Option<char> {
        (v..=char::MAX).nth(1)
    }

    fn no_result(v: u8) {
        LAST.set(v);
    }

    fn no_parameter() -> u8 {
        LAST.get()
    }

    fn nothing() {
        LAST.set(LAST.get() / 2);
    }
}
