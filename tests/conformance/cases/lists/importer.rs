wit_bindgen::generate!({ world: "importer", path: "cases/lists" });

use case::lists::api::{self, Access, Colour, Item, Shape};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        t.note("bools", api::bools(&[true, false, true, true]));
        t.note("u8s", api::u8s(&[0, 1, 255]));
        t.note("s8s", api::s8s(&[-128, 0, 127]));
        t.note("u16s", api::u16s(&[0, 1, u16::MAX]));
        t.note("s16s", api::s16s(&[i16::MIN, 0, i16::MAX]));
        t.note("u32s", api::u32s(&[0, 1, u32::MAX]));
        t.note("s32s", api::s32s(&[i32::MIN, 0, i32::MAX]));
        t.note("u64s", api::u64s(&[0, 1, u64::MAX]));
        t.note("s64s", api::s64s(&[i64::MIN, 0, i64::MAX]));
        t.note("f32s", api::f32s(&[f32::MIN, -0.0, f32::NAN]));
        t.note("f64s", api::f64s(&[f64::MAX, f64::NEG_INFINITY, f64::NAN]));
        t.note("chars", api::chars(&['a', '\u{d7ff}', '🦀']));
        let strings = ["", "a", "ß🦀"].map(String::from);
        t.note("strings", api::strings(&strings));
        let item = |id, name: &str, weight| Item {
            id,
            name: name.into(),
            weight,
        };
        t.note(
            "items",
            api::items(&[item(1, "", 0.5), item(2, "two", -1e300)]),
        );
        let shapes = [Shape::None, Shape::Circle(1.5), Shape::Named("n".into())];
        t.note("shapes", api::shapes(&shapes));
        t.note(
            "colours",
            api::colours(&[Colour::Blue, Colour::Red, Colour::Green]),
        );
        let accesses = [Access::empty(), Access::READ | Access::RUN, Access::all()];
        t.note("accesses", api::accesses(&accesses));
        t.note(
            "tuples",
            api::tuples(&[(1, u64::MAX, "x".into()), (2, 0, String::new())]),
        );
        t.note("options", api::options(&[None, Some(-1), None, Some(7)]));
        t.note(
            "results",
            api::results(&[Ok(1), Err("no".into()), Ok(u32::MAX)]),
        );
        let nested = [
            vec![],
            vec![vec![]],
            vec![vec!["a".into(), String::new()], vec![], vec!["b".into()]],
        ];
        t.note("nested", api::nested(&nested));
        t.note("two", api::two(&[1, 2, 3], &strings));

        t.note("no u8s", api::u8s(&[]));
        t.note("no u64s", api::u64s(&[]));
        t.note("no strings", api::strings(&[]));
        t.note("no items", api::items(&[]));
        t.note("no nested", api::nested(&[]));
        t.note("none of two", api::two(&[], &[]));
        t.text()
    }
}
