wit_bindgen::generate!({ world: "exporter", path: "cases/two-interfaces" });

use std::cell::{Cell, RefCell};

use exports::case::two_interfaces::{counter, log};

struct Exporter;
export!(Exporter);

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl counter::Guest for Exporter {
    fn add(n: u32) -> u32 {
        COUNT.set(COUNT.get() + n);
        COUNT.get()
    }

    fn get() -> u32 {
        COUNT.get()
    }
}

impl log::Guest for Exporter {
    fn add(line: String) -> u32 {
        LINES.with_borrow_mut(|lines| {
            lines.push(format!("{line} at {}", COUNT.get()));
            lines.len() as u32
        })
    }

    fn get() -> Vec<String> {
        LINES.with_borrow(Vec::clone)
    }
}
