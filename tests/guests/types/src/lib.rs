//! Returns values of every type as they came.

wit_bindgen::generate!({ world: "types", path: "../wit", generate_all });

use exports::t::types::echo::{Access, Color, Guest, Many, Nested, Point, Shape, Wide};

struct Types;
export!(Types);

/// Functions that return their argument.
macro_rules! echo {
    ($($name:ident: $ty:ty,)*) => {
        $(fn $name(v: $ty) -> $ty {
            v
        })*
    };
}

impl Guest for Types {
    echo! {
        echo_bool: bool,
        echo_u8: u8,
        echo_u16: u16,
        echo_u32: u32,
        echo_u64: u64,
        echo_s8: i8,
        echo_s16: i16,
        echo_s32: i32,
        echo_s64: i64,
        echo_f32: f32,
        echo_f64: f64,
        echo_char: char,
        echo_string: String,
        echo_bytes: Vec<u8>,
        echo_u64s: Vec<u64>,
        echo_strings: Vec<String>,
        echo_lists: Vec<Vec<Vec<u16>>>,
        echo_bools: Vec<bool>,
        echo_point: Point,
        echo_points: Vec<Point>,
        echo_nested: Nested,
        echo_nesteds: Vec<Nested>,
        echo_shape: Shape,
        echo_shapes: Vec<Shape>,
        echo_color: Color,
        echo_access: Access,
        echo_many: Many,
        echo_option: Option<u64>,
        echo_option_option: Option<Option<String>>,
        echo_result: Result<u32, String>,
        echo_result_ok: Result<Vec<u8>, ()>,
        echo_result_err: Result<(), Color>,
        echo_result_unit: Result<(), ()>,
        echo_result_mixed: Result<f32, u64>,
        echo_tuple: (u8, String, f64, Option<Point>),
        echo_wide: Wide,
    }

    fn params16(
        p0: u32,
        p1: u32,
        p2: u32,
        p3: u32,
        p4: u32,
        p5: u32,
        p6: u32,
        p7: u32,
        p8: u32,
        p9: u32,
        p10: u32,
        p11: u32,
        p12: u32,
        p13: u32,
        p14: u32,
        p15: u32,
    ) -> Vec<u32> {
        vec![
            p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15,
        ]
    }

    fn params17(
        p0: u8,
        p1: i8,
        p2: u16,
        p3: i16,
        p4: u32,
        p5: i32,
        p6: u64,
        p7: i64,
        p8: f32,
        p9: f64,
        p10: char,
        p11: bool,
        p12: String,
        p13: Option<String>,
        p14: Color,
        p15: Access,
        p16: Point,
    ) -> (Wide, Option<String>, Color, Access, Point) {
        let wide = Wide {
            a: p0,
            b: p1,
            c: p2,
            d: p3,
            e: p4,
            f: p5,
            g: p6,
            h: p7,
            i: p8,
            j: p9,
            k: p10,
            l: p11,
            m: p12,
            n: Vec::new(),
        };
        (wide, p13, p14, p15, p16)
    }

    fn nothing() {}
}
