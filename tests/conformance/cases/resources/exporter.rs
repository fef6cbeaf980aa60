wit_bindgen::generate!({ world: "exporter", path: "cases/resources" });

use std::cell::RefCell;

use conformance::journal::{self, journal};
use exports::case::resources::api::{Box, BoxBorrow, Guest, GuestBox};

struct Exporter;
export!(Exporter);

thread_local!(static KEPT: RefCell<Option<Box>> = const { RefCell::new(None) });

struct Named(RefCell<String>);

impl Named {
    fn make(name: &str) -> Self {
        journal!("make {name}");
        Self(RefCell::new(name.into()))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        journal!("drop {}", self.0.borrow());
    }
}

impl GuestBox for Named {
    fn new(name: String) -> Self {
        Self::make(&name)
    }

    fn open(name: String) -> Result<Box, String> {
        if name.is_empty() {
            return Err("no name".into());
        }
        Ok(Box::new(Self::make(&name)))
    }

    fn join(a: Box, b: Box) -> Box {
        let name = format!("{}+{}", a.get::<Self>().name(), b.get::<Self>().name());
        Box::new(Self::make(&name))
    }

    fn rename(&self, name: String) -> String {
        journal!("rename to {name}");
        self.0.replace(name)
    }

    fn name(&self) -> String {
        self.0.borrow().clone()
    }

    fn copy(&self) -> Box {
        Box::new(Self::make(&format!("{}'", self.0.borrow())))
    }

    fn same(&self, other: BoxBorrow<'_>) -> bool {
        std::ptr::eq(self, other.get::<Self>())
    }
}

impl Guest for Exporter {
    type Box = Named;

    fn look(b: BoxBorrow<'_>) -> String {
        journal!("look");
        b.get::<Named>().name()
    }

    fn take(b: Box) -> String {
        journal!("take");
        b.get::<Named>().name()
    }

    fn give_back(b: Box) -> Box {
        journal!("give back");
        b
    }

    fn keep(b: Box) {
        KEPT.set(Some(b));
        journal!("kept");
    }

    fn kept() -> Option<Box> {
        KEPT.take()
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}
