//! Calls `ops` over a link, once or many times.

wit_bindgen::generate!({ world: "caller", path: "../wit", generate_all });

use exports::t::bench::run::Guest;
use t::bench::ops;

struct Caller;
export!(Caller);

impl Guest for Caller {
    fn add_n(n: u32) -> u32 {
        (0..n).fold(0, ops::add)
    }

    fn greet_n(n: u32, size: u32) -> u64 {
        let name = "x".repeat(size as usize);
        (0..n).map(|_| ops::greet(&name).len() as u64).sum()
    }

    fn bytes_n(n: u32, size: u32) -> u64 {
        let bytes = vec![7; size as usize];
        (0..n).map(|_| ops::bytes(&bytes).len() as u64).sum()
    }

    fn records_n(n: u32, count: u32) -> u64 {
        let item = |id| ops::Item {
            id,
            name: format!("item {id}"),
            price: f64::from(id),
        };
        let items: Vec<_> = (0..count).map(item).collect();
        (0..n).map(|_| ops::records(&items).len() as u64).sum()
    }

    fn call_add(a: u32, b: u32) -> u32 {
        ops::add(a, b)
    }

    fn call_greet(name: String) -> String {
        ops::greet(&name)
    }

    fn call_trap() {
        ops::trap();
    }

    fn call_spin() {
        ops::spin();
    }

    fn call_counter() -> u32 {
        ops::counter()
    }

    fn call_grow(mib: u32) -> Result<u32, String> {
        ops::grow(mib)
    }
}
