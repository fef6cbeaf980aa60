wit_bindgen::generate!({ world: "importer", path: "cases/scalars" });

use case::scalars::api;
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        for v in [false, true] {
            t.note("bool", api::bools(v));
        }
        for v in [0, 1, 127, 128, u8::MAX] {
            t.note("u8", api::u8s(v));
        }
        for v in [i8::MIN, -1, 0, i8::MAX] {
            t.note("s8", api::s8s(v));
        }
        for v in [0, 0x7fff, 0x8000, u16::MAX] {
            t.note("u16", api::u16s(v));
        }
        for v in [i16::MIN, -1, 0, i16::MAX] {
            t.note("s16", api::s16s(v));
        }
        for v in [0, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            t.note("u32", api::u32s(v));
        }
        for v in [i32::MIN, -1, 0, i32::MAX] {
            t.note("s32", api::s32s(v));
        }
        for v in [0, 1 << 53, 1 << 63, u64::MAX] {
            t.note("u64", api::u64s(v));
        }
        for v in [i64::MIN, -1, 0, i64::MAX] {
            t.note("s64", api::s64s(v));
        }
        // The payload of a NaN may be lost, that it is one may not.
        let odd = f32::from_bits(0xffc1_2345);
        for v in [
            f32::MIN,
            -0.0,
            0.0,
            f32::from_bits(1),
            0.1,
            f32::MAX,
            f32::INFINITY,
            f32::NEG_INFINITY,
            odd,
        ] {
            t.note("f32", api::f32s(v));
        }
        let odd = f64::from_bits(0x7ff0_0000_0000_0001);
        for v in [
            f64::MIN,
            -0.0,
            0.0,
            f64::from_bits(1),
            0.1,
            f64::MAX,
            f64::INFINITY,
            f64::NEG_INFINITY,
            odd,
        ] {
            t.note("f64", api::f64s(v));
        }
        for v in [
            '\0',
            '\u{7f}',
            'ß',
            '\u{d7ff}',
            '\u{e000}',
            '\u{ffff}',
            '🦀',
            char::MAX,
        ] {
            t.note("char", api::chars(v));
        }
        t.note(
            "all",
            api::all(
                true,
                255,
                -128,
                65535,
                -32768,
                7,
                -8,
                1 << 40,
                -9,
                10.5,
                -11.5,
                'x',
            ),
        );
        t.note("negate", (api::negate(i64::MIN), api::negate(i64::MAX)));
        t.note(
            "halve",
            (api::halve(f64::from_bits(1)), api::halve(f64::NEG_INFINITY)),
        );
        t.note("next", (api::next('\u{d7ff}'), api::next(char::MAX)));
        api::no_result(200);
        t.note("kept", api::no_parameter());
        api::nothing();
        t.note("halved", api::no_parameter());
        t.text()
    }
}
