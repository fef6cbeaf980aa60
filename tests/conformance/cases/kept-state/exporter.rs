wit_bindgen::generate!({ world: "exporter", path: "cases/kept-state" });

use std::cell::{Cell, RefCell};

use exports::case::kept_state::{counter, memory};

struct Exporter;
export!(Exporter);

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static TEXTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl counter::Guest for Exporter {
    fn next() -> u64 {
        COUNT.set(COUNT.get() + 1);
        COUNT.get()
    }

    fn remember(text: String) -> u32 {
        TEXTS.with_borrow_mut(|texts| {
            texts.push(text);
            texts.len() as u32
        })
    }
}

struct Position(Cell<usize>);

impl memory::GuestCursor for Position {
    fn new() -> Self {
        Self(Cell::new(0))
    }

    fn next(&self) -> Option<String> {
        let text = TEXTS.with_borrow(|texts| texts.get(self.0.get()).cloned())?;
        self.0.set(self.0.get() + 1);
        Some(text)
    }
}

impl memory::Guest for Exporter {
    type Cursor = Position;

    fn all() -> Vec<String> {
        TEXTS.with_borrow(Vec::clone)
    }
}
