wit_bindgen::generate!({ world: "exporter", path: "cases/hostile-importer" });

use exports::case::hostile_importer::api::{
    Bits, Choice, Few, Guest, GuestOther, GuestThing, Other, Thing, ThingBorrow,
};

struct Exporter;
export!(Exporter);

struct Empty;

impl GuestThing for Empty {
    fn new() -> Self {
        Self
    }
}

impl GuestOther for Empty {
    fn new() -> Self {
        Self
    }
}

impl Guest for Exporter {
    type Thing = Empty;
    type Other = Empty;

    fn take_bool(b: bool) -> bool {
        b
    }

    fn take_u8(n: u8) -> u8 {
        n
    }

    fn take_s16(n: i16) -> i16 {
        n
    }

    fn take_bits(b: Bits) -> String {
        b.iter_names().map(|(name, _)| name).collect()
    }

    fn take_char(c: char) -> u32 {
        c.into()
    }

    fn take_few(f: Few) -> u8 {
        f as u8
    }

    fn take_choice(c: Choice) -> u8 {
        match c {
            Choice::Nothing => 0,
            Choice::Text(_) => 1,
            Choice::Number(_) => 2,
        }
    }

    fn take_text(text: String) -> u32 {
        text.len() as u32
    }

    fn take_list(numbers: Vec<u32>) -> u32 {
        numbers.len() as u32
    }

    fn take_texts(texts: Vec<String>) -> u32 {
        texts.len() as u32
    }

    fn give_text() -> String {
        "text".into()
    }

    fn take(_: Thing) -> u32 {
        1
    }

    fn look(_: ThingBorrow<'_>) -> u32 {
        1
    }

    fn both(_: ThingBorrow<'_>, _: Thing) -> u32 {
        2
    }

    fn look_all(all: Vec<ThingBorrow<'_>>) -> u32 {
        all.len() as u32
    }

    fn take_all(all: Vec<Thing>) -> u32 {
        all.len() as u32
    }

    fn touch(_: Other) -> u32 {
        1
    }
}
