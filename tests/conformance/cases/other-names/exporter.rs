wit_bindgen::generate!({ world: "case:made-elsewhere/exporter", path: "cases/other-names" });

use std::cell::RefCell;

use conformance::journal::{self, journal};
use exports::case::made_elsewhere::{store, table};
use store::{GuestPen, Order, Pen, PenBorrow};

struct Exporter;
export!(Exporter);

struct Named(RefCell<String>);

impl Drop for Named {
    fn drop(&mut self) {
        journal!("drop {}", self.0.borrow());
    }
}

impl GuestPen for Named {
    fn new(name: String) -> Self {
        journal!("make {name}");
        Self(RefCell::new(name))
    }

    fn name(&self) -> String {
        self.0.borrow().clone()
    }

    fn join(a: Pen, b: Pen) -> Pen {
        let name = format!("{}+{}", a.get::<Named>().name(), b.get::<Named>().name());
        Pen::new(Named::new(name))
    }
}

impl store::Guest for Exporter {
    type Pen = Named;

    fn make(order: Order) -> Result<Vec<Pen>, String> {
        if order.name.is_empty() {
            return Err("no name".into());
        }
        let pen = |i| Pen::new(Named::new(format!("{} {i}", order.name)));
        Ok((1..=order.count).map(pen).collect())
    }

    fn same(a: PenBorrow<'_>, b: PenBorrow<'_>) -> bool {
        std::ptr::eq(a.get::<Named>(), b.get::<Named>())
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}

impl table::Guest for Exporter {
    fn write(using: PenBorrow<'_>, text: String) -> String {
        format!("{text} in {}", using.get::<Named>().name())
    }

    fn lend(pen: Pen) -> Pen {
        journal!("lend {}", pen.get::<Named>().name());
        pen
    }
}

impl exports::doubling::Guest for Exporter {
    fn double(n: u32) -> u32 {
        n * 2
    }
}

impl Guest for Exporter {
    fn plus(a: u32, b: u32) -> u32 {
        a + b
    }
}
