wit_bindgen::generate!({ world: "exporter", path: "cases/handles-in-values" });

use conformance::journal::{self, journal};
use exports::case::handles_in_values::api::{
    Choice, Guest, GuestThing, Labelled, Thing, ThingBorrow, Viewed,
};

struct Exporter;
export!(Exporter);

struct Numbered(u32);

impl Drop for Numbered {
    fn drop(&mut self) {
        journal!("drop {}", self.0);
    }
}

impl GuestThing for Numbered {
    fn new(id: u32) -> Self {
        Self(id)
    }

    fn id(&self) -> u32 {
        self.0
    }
}

fn id(thing: &Thing) -> u32 {
    thing.get::<Numbered>().0
}

fn seen(thing: &ThingBorrow<'_>) -> u32 {
    thing.get::<Numbered>().0
}

impl Guest for Exporter {
    type Thing = Numbered;

    fn make(ids: Vec<u32>) -> Vec<Thing> {
        ids.into_iter().map(|id| Thing::new(Numbered(id))).collect()
    }

    fn sum(things: Vec<ThingBorrow<'_>>) -> u32 {
        things.iter().map(seen).sum()
    }

    fn sum_owned(things: Vec<Thing>) -> u32 {
        things.iter().map(id).sum()
    }

    fn label(label: String, thing: Thing) -> Labelled {
        let spare = (!label.is_empty()).then(|| Thing::new(Numbered(id(&thing) + 1000)));
        Labelled {
            label,
            thing,
            spare,
        }
    }

    fn unlabel(labelled: Vec<Labelled>) -> Vec<(String, Thing)> {
        labelled.into_iter().map(|l| (l.label, l.thing)).collect()
    }

    fn turn(choice: Choice) -> Choice {
        match choice {
            Choice::None => Choice::Words("none".into()),
            Choice::One(thing) => Choice::Many(vec![thing]),
            Choice::Pair((a, b)) => Choice::Pair((b, a)),
            Choice::Many(mut things) => things.pop().map_or(Choice::None, Choice::One),
            Choice::Words(_) => Choice::None,
        }
    }

    fn view(viewed: Viewed<'_>) -> Vec<u32> {
        let all = std::iter::once(&viewed.first).chain(&viewed.rest);
        all.chain(&viewed.perhaps).map(seen).collect()
    }

    fn greatest(things: Vec<Thing>) -> Option<Thing> {
        things.into_iter().max_by_key(id)
    }

    fn attempt(thing: Thing, fail: bool) -> Result<Thing, (Thing, String)> {
        if fail {
            return Err((thing, "as asked".into()));
        }
        Ok(thing)
    }

    fn nested(things: Vec<Vec<Option<Thing>>>) -> Vec<Option<Vec<Thing>>> {
        let turned = |list: Vec<Option<Thing>>| list.into_iter().collect();
        things.into_iter().map(turned).collect()
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}
