wit_bindgen::generate!({ world: "importer", path: "cases/resources" });

use case::resources::api::{self, Box};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();

        let a = Box::new("a");
        t.note("renamed from", a.rename("b"));
        t.note("name", a.name());
        t.note("look", api::look(&a));
        let copy = a.copy();
        t.note("same", (a.same(&a), a.same(&copy), copy.same(&a)));
        t.note("before dropping", api::journal());
        drop(a);
        t.note("after dropping one", api::journal());
        t.note("the other", copy.name());
        drop(copy);
        t.note("after dropping both", api::journal());

        t.note("take", api::take(Box::new("taken")));
        t.note("taken", api::journal());
        let back = api::give_back(Box::new("back"));
        t.note("given back", (back.name(), api::journal()));
        let back = api::give_back(api::give_back(back));
        t.note("twice more", (back.name(), api::journal()));
        drop(back);
        t.note("dropped", api::journal());

        t.note("open nothing", Box::open("").map(|b| b.name()));
        let joined = Box::join(Box::open("x").unwrap(), Box::new("y"));
        t.note("joined", (joined.name(), api::journal()));
        api::keep(joined);
        t.note("kept", api::journal());
        // The one that is kept gives way to the next.
        api::keep(Box::new("z"));
        t.note("kept another", api::journal());
        let kept = api::kept();
        t.note("kept", kept.as_ref().map(Box::name));
        t.note("nothing left", api::kept().is_none());
        drop(kept);
        t.note("at the end", api::journal());
        t.text()
    }
}
