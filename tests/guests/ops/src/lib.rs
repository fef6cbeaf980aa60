//! Calls that cost as little as they can, and calls that go wrong.

wit_bindgen::generate!({ world: "ops", path: "../wit", generate_all });

use std::cell::{Cell, RefCell};

use exports::t::bench::ops::{Guest, Item};

struct Ops;
export!(Ops);

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static HELD: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

const MIB: usize = 1024 * 1024;

impl Guest for Ops {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn greet(name: String) -> String {
        format!("hello, {name}")
    }

    fn bytes(bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn records(items: Vec<Item>) -> Vec<Item> {
        items
    }

    fn trap() {
        core::arch::wasm32::unreachable()
    }

    fn spin() {
        loop {
            core::hint::spin_loop();
        }
    }

    fn counter() -> u32 {
        CALLS.set(CALLS.get() + 1);
        CALLS.get()
    }

    fn grow(mib: u32) -> Result<u32, String> {
        let size = (mib as usize).saturating_mul(MIB);
        let mut block = Vec::new();
        block.try_reserve_exact(size).map_err(|e| e.to_string())?;
        // Touched, so that it counts as used and not only as reserved.
        block.resize(size, 1);
        HELD.with_borrow_mut(|held| {
            held.push(block);
            Ok((held.iter().map(Vec::len).sum::<usize>() / MIB) as u32)
        })
    }
}
