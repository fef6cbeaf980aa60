//! Defines a resource and counts how many of it are made and dropped.

wit_bindgen::generate!({ world: "resources", path: "../wit", generate_all });

use std::cell::Cell;

use exports::t::resources::counters::{Counter, CounterBorrow, Guest, GuestCounter};

struct Resources;
export!(Resources);

thread_local! {
    static MADE: Cell<u32> = const { Cell::new(0) };
    static DROPPED: Cell<u32> = const { Cell::new(0) };
}

struct Tally {
    name: String,
    value: Cell<u32>,
}

impl Drop for Tally {
    fn drop(&mut self) {
        DROPPED.set(DROPPED.get() + 1);
    }
}

impl GuestCounter for Tally {
    fn new(name: String, start: u32) -> Self {
        MADE.set(MADE.get() + 1);
        Self {
            name,
            value: Cell::new(start),
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn value(&self) -> u32 {
        self.value.get()
    }

    fn add(&self, by: u32) -> u32 {
        self.value.set(self.value.get() + by);
        self.value.get()
    }

    fn absorb(&self, other: CounterBorrow<'_>) -> u32 {
        self.add(other.get::<Tally>().value())
    }

    fn merge(left: Counter, right: Counter) -> Counter {
        let (left, right): (&Tally, &Tally) = (left.get(), right.get());
        Counter::new(Tally::new(
            format!("{}+{}", left.name, right.name),
            left.value() + right.value(),
        ))
    }
}

impl Guest for Resources {
    type Counter = Tally;

    fn describe(counter: CounterBorrow<'_>) -> String {
        let tally: &Tally = counter.get();
        format!("{} = {}", tally.name, tally.value())
    }

    fn consume(counter: Counter) -> u32 {
        counter.get::<Tally>().value()
    }

    fn split(counter: Counter, parts: u32) -> Vec<Counter> {
        let tally: &Tally = counter.get();
        let share = |i| tally.value() / parts + u32::from(i < tally.value() % parts);
        (0..parts)
            .map(|i| Counter::new(Tally::new(format!("{}/{i}", tally.name), share(i))))
            .collect()
    }

    fn greatest(counters: Vec<Counter>) -> Option<Counter> {
        counters
            .into_iter()
            .max_by_key(|counter| counter.get::<Tally>().value())
    }

    fn made() -> u32 {
        MADE.get()
    }

    fn dropped() -> u32 {
        DROPPED.get()
    }
}
