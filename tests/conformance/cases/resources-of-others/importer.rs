wit_bindgen::generate!({ world: "importer", path: "cases/resources-of-others" });

use case::resources_of_others::shapes::{self, Shape};
use case::resources_of_others::{factory, store};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        let mut made = factory::make(&["a".into(), "b".into()]);
        let own = Shape::new("c");
        let copy = factory::clone(&own);
        t.note("names", store::names(&[&own, &copy, &made[0], &made[1]]));
        t.note("put", store::put(own));
        t.note("put", made.pop().map(store::put));
        t.note("swap", store::swap(copy).map(|shape| shape.name()));
        t.note("dropped", shapes::journal());
        let shelf = store::empty();
        let names: Vec<_> = shelf.items.iter().map(Shape::name).collect();
        t.note("emptied", (shelf.number, names));
        t.note("nothing left", store::swap(Shape::new("last")).is_none());
        drop(shelf);
        t.note("dropped", shapes::journal());
        drop(made);
        t.note("dropped", shapes::journal());
        drop(store::empty());
        t.note("dropped", shapes::journal());
        t.text()
    }
}
