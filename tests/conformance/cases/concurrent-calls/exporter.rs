wit_bindgen::generate!({ world: "exporter", path: "cases/concurrent-calls" });

use std::cell::Cell;
use std::rc::Rc;

use conformance::gate::Gate;
use conformance::journal::{self, journal};
use exports::case::concurrent_calls::api::Guest;
use wit_bindgen::yield_async;

struct Exporter;
export!(Exporter);

thread_local! {
    static SECOND: Rc<Gate> = Rc::default();
    static ALL: Rc<Gate> = Rc::default();
    static HERE: Cell<u32> = const { Cell::new(0) };
    static UNDER_WAY: Cell<u32> = const { Cell::new(0) };
}

impl Guest for Exporter {
    async fn first(name: String) -> String {
        journal!("{name} waits");
        UNDER_WAY.set(UNDER_WAY.get() + 1);
        SECOND.with(Rc::clone).wait().await;
        UNDER_WAY.set(UNDER_WAY.get() - 1);
        journal!("{name} goes on");
        format!("{name} was first")
    }

    async fn second(name: String) -> String {
        journal!("{name} arrives");
        SECOND.with(|second| second.open());
        yield_async().await;
        format!("{name} was second")
    }

    async fn meet(n: u32) -> u32 {
        let number = HERE.get() + 1;
        HERE.set(number);
        if number == n {
            ALL.with(|all| all.open());
        }
        ALL.with(Rc::clone).wait().await;
        number
    }

    async fn count(name: String, turns: u32) -> u32 {
        for turn in 0..turns {
            journal!("{name} {turn}");
            yield_async().await;
        }
        turns
    }

    fn under_way() -> u32 {
        UNDER_WAY.get()
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}
