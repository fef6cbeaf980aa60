wit_bindgen::generate!({ world: "exporter", path: "cases/many-values" });

use exports::case::many_values::api::{Guest, Twenty};

struct Exporter;
export!(Exporter);

impl Guest for Exporter {
    fn sixteen(
        p0: u8,
        p1: u64,
        p2: f32,
        p3: i16,
        p4: f64,
        p5: char,
        p6: bool,
        p7: i64,
        p8: u32,
        p9: i8,
        p10: u8,
        p11: u64,
        p12: f32,
        p13: i16,
        p14: f64,
        p15: char,
    ) -> String {
        format!(
            "{:?}",
            (
                (p0, p1, p2, p3, p4, p5, p6, p7),
                (p8, p9, p10, p11, p12, p13, p14, p15)
            )
        )
    }

    fn seventeen(
        p0: u8,
        p1: u64,
        p2: f32,
        p3: i16,
        p4: f64,
        p5: char,
        p6: bool,
        p7: i64,
        p8: u32,
        p9: i8,
        p10: u8,
        p11: u64,
        p12: f32,
        p13: i16,
        p14: f64,
        p15: char,
        p16: bool,
    ) -> String {
        format!(
            "{:?}",
            (
                (p0, p1, p2, p3, p4, p5, p6, p7),
                (p8, p9, p10, p11, p12, p13, p14, p15),
                (p16,)
            )
        )
    }

    fn forty(
        p0: u8,
        p1: u64,
        p2: f32,
        p3: i16,
        p4: f64,
        p5: char,
        p6: bool,
        p7: i64,
        p8: u32,
        p9: i8,
        p10: u8,
        p11: u64,
        p12: f32,
        p13: i16,
        p14: f64,
        p15: char,
        p16: bool,
        p17: i64,
        p18: u32,
        p19: i8,
        p20: u8,
        p21: u64,
        p22: f32,
        p23: i16,
        p24: f64,
        p25: char,
        p26: bool,
        p27: i64,
        p28: u32,
        p29: i8,
        p30: u8,
        p31: u64,
        p32: f32,
        p33: i16,
        p34: f64,
        p35: char,
        p36: bool,
        p37: i64,
        p38: u32,
        p39: i8,
    ) -> String {
        format!(
            "{:?}",
            (
                (p0, p1, p2, p3, p4, p5, p6, p7),
                (p8, p9, p10, p11, p12, p13, p14, p15),
                (p16, p17, p18, p19, p20, p21, p22, p23),
                (p24, p25, p26, p27, p28, p29, p30, p31),
                (p32, p33, p34, p35, p36, p37, p38, p39)
            )
        )
    }

    fn strings(
        s0: String,
        s1: String,
        s2: String,
        s3: String,
        s4: String,
        s5: String,
        s6: String,
        s7: String,
        s8: String,
    ) -> Vec<String> {
        vec![s8, s7, s6, s5, s4, s3, s2, s1, s0]
    }

    fn one_record(mut v: Twenty) -> Twenty {
        std::mem::swap(&mut v.f0, &mut v.f10);
        v
    }

    fn two_records(a: Twenty, b: Twenty) -> (Twenty, Twenty) {
        (b, a)
    }

    fn lists_and_strings(a: Vec<u32>, b: String, c: Twenty, d: Option<String>) -> (Twenty, String) {
        (c, format!("{a:?} {b:?} {c:?} {d:?}"))
    }
}
