wit_bindgen::generate!({ world: "exporter", path: "cases/resources-of-others" });

use std::cell::RefCell;

use conformance::journal::{self, journal};
use exports::case::resources_of_others::shapes::{GuestShape, Shape, ShapeBorrow};
use exports::case::resources_of_others::{factory, shapes, store};

struct Exporter;
export!(Exporter);

thread_local!(static ITEMS: RefCell<Vec<Shape>> = const { RefCell::new(Vec::new()) });

struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        journal!("drop {}", self.0);
    }
}

impl GuestShape for Named {
    fn new(name: String) -> Self {
        Self(name)
    }

    fn name(&self) -> String {
        self.0.clone()
    }
}

impl shapes::Guest for Exporter {
    type Shape = Named;

    fn journal() -> Vec<String> {
        journal::take()
    }
}

impl factory::Guest for Exporter {
    fn make(names: Vec<String>) -> Vec<Shape> {
        names
            .into_iter()
            .map(|name| Shape::new(Named(name)))
            .collect()
    }

    fn clone(shape: ShapeBorrow<'_>) -> Shape {
        Shape::new(Named(format!("{}'", shape.get::<Named>().0)))
    }
}

impl store::Guest for Exporter {
    fn put(item: Shape) -> u32 {
        ITEMS.with_borrow_mut(|items| {
            items.push(item);
            items.len() as u32
        })
    }

    fn swap(item: Shape) -> Option<Shape> {
        ITEMS.with_borrow_mut(|items| {
            let last = items.pop();
            items.push(item);
            last
        })
    }

    fn names(items: Vec<ShapeBorrow<'_>>) -> String {
        let names: Vec<_> = items
            .iter()
            .map(|item| item.get::<Named>().name())
            .collect();
        names.join(" ")
    }

    fn empty() -> store::Shelf {
        store::Shelf {
            number: 255,
            items: ITEMS.take(),
        }
    }
}
