wit_bindgen::generate!({ world: "exporter", path: "cases/held-calls" });

use std::cell::Cell;

use conformance::journal::{self, journal};
use exports::case::held_calls::api::Guest;
use wit_bindgen::{backpressure_dec, backpressure_inc, yield_async};

struct Exporter;
export!(Exporter);

thread_local!(static NUMBER: Cell<u32> = const { Cell::new(0) });

impl Guest for Exporter {
    async fn close(turns: u32) {
        backpressure_inc();
        journal!("closed");
        for _ in 0..turns {
            yield_async().await;
        }
        journal!("open");
        backpressure_dec();
    }

    async fn call(name: String) -> u32 {
        journal!("{name} is called");
        NUMBER.set(NUMBER.get() + 1);
        NUMBER.get()
    }

    async fn journal() -> Vec<String> {
        journal::take()
    }
}
