wit_bindgen::generate!({ world: "exporter", path: "cases/borrows" });

use std::cell::Cell;

use conformance::journal::{self, journal};
use exports::case::borrows::api::{Guest, GuestPot, GuestScale, Pot, PotBorrow, ScaleBorrow};

struct Exporter;
export!(Exporter);

struct Filled(Cell<u32>);
struct Unit(String);

impl Drop for Filled {
    fn drop(&mut self) {
        journal!("drop pot of {}", self.0.get());
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        journal!("drop scale of {}", self.0);
    }
}

impl GuestPot for Filled {
    fn new(amount: u32) -> Self {
        Self(Cell::new(amount))
    }

    fn amount(&self) -> u32 {
        self.0.get()
    }

    fn pour(&self, into: PotBorrow<'_>, much: u32) -> u32 {
        let much = much.min(self.0.get());
        let into: &Filled = into.get();
        // A pot may be poured into itself.
        self.0.set(self.0.get() - much);
        into.0.set(into.0.get() + much);
        much
    }

    fn measure(&self, scale: ScaleBorrow<'_>) -> String {
        scale.get::<Unit>().show(self)
    }
}

impl Unit {
    fn show(&self, pot: &Filled) -> String {
        format!("{} {}", pot.0.get(), self.0)
    }
}

impl GuestScale for Unit {
    fn new(unit: String) -> Self {
        Self(unit)
    }

    fn weigh(&self, pot: PotBorrow<'_>) -> String {
        self.show(pot.get())
    }

    fn weigh_all(&self, pots: Vec<PotBorrow<'_>>) -> Vec<String> {
        pots.iter().map(|pot| self.show(pot.get())).collect()
    }

    fn compare(&self, a: PotBorrow<'_>, b: PotBorrow<'_>) -> Option<bool> {
        let (a, b): (&Filled, &Filled) = (a.get(), b.get());
        (a.0 != b.0).then_some(a.0 < b.0)
    }
}

impl Guest for Exporter {
    type Pot = Filled;
    type Scale = Unit;

    fn transfer(owned: Pot, into: PotBorrow<'_>, scale: ScaleBorrow<'_>) -> String {
        let (from, into): (&Filled, &Filled) = (owned.get(), into.get());
        into.0.set(into.0.get() + from.0.take());
        journal!("transferred");
        scale.get::<Unit>().show(into)
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}
