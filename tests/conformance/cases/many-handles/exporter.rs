wit_bindgen::generate!({ world: "exporter", path: "cases/many-handles" });

use std::cell::Cell as Counter;

use exports::case::many_handles::api::{Cell, CellBorrow, Guest, GuestCell};

struct Exporter;
export!(Exporter);

thread_local!(static ALIVE: Counter<u32> = const { Counter::new(0) });

struct Value(u32);

impl Drop for Value {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

impl GuestCell for Value {
    fn new(value: u32) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self(value)
    }

    fn value(&self) -> u32 {
        self.0
    }
}

impl Guest for Exporter {
    type Cell = Value;

    fn make(n: u32) -> Vec<Cell> {
        (0..n).map(|i| Cell::new(Value::new(i))).collect()
    }

    fn sum(cells: Vec<CellBorrow<'_>>) -> u64 {
        cells
            .iter()
            .map(|cell| u64::from(cell.get::<Value>().0))
            .sum()
    }

    fn take(cells: Vec<Cell>) -> u64 {
        cells
            .iter()
            .map(|cell| u64::from(cell.get::<Value>().0))
            .sum()
    }

    fn alive() -> u32 {
        ALIVE.get()
    }
}
