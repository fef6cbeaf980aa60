wit_bindgen::generate!({ world: "importer", path: "cases/handles-in-values" });

use case::handles_in_values::api::{self, Choice, Thing, Viewed};
use conformance::Transcript;

struct Importer;
export!(Importer);

fn ids(things: &[Thing]) -> Vec<u32> {
    things.iter().map(Thing::id).collect()
}

fn chosen(choice: &Choice) -> String {
    match choice {
        Choice::None => "none".into(),
        Choice::One(thing) => format!("one {}", thing.id()),
        Choice::Pair((a, b)) => format!("pair {} {}", a.id(), b.id()),
        Choice::Many(things) => format!("many {:?}", ids(things)),
        Choice::Words(words) => format!("words {words:?}"),
    }
}

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();

        let things = api::make(&[1, 2, 3]);
        t.note("made", ids(&things));
        t.note("sum", api::sum(&things.iter().collect::<Vec<_>>()));
        t.note("sum of none", api::sum(&[]));
        t.note("the same twice", api::sum(&[&things[2], &things[2]]));
        t.note("nothing dropped", api::journal());
        t.note("sum owned", api::sum_owned(things));
        t.note("all dropped", api::journal());

        let labelled = api::label("ten", Thing::new(10));
        let spare = labelled.spare.as_ref().map(Thing::id);
        t.note("labelled", (&labelled.label, labelled.thing.id(), spare));
        let bare = api::label("", Thing::new(20));
        t.note("bare", (&bare.label, bare.thing.id(), bare.spare.is_none()));
        let unlabelled = api::unlabel(vec![labelled, bare]);
        let seen: Vec<_> = unlabelled
            .iter()
            .map(|(l, thing)| (l, thing.id()))
            .collect();
        t.note("unlabelled", seen);
        t.note("the spare dropped", api::journal());
        drop(unlabelled);
        t.note("the rest dropped", api::journal());

        for choice in [
            Choice::None,
            Choice::One(Thing::new(30)),
            Choice::Pair((Thing::new(31), Thing::new(32))),
            Choice::Many(api::make(&[33, 34, 35])),
            Choice::Many(vec![]),
            Choice::Words("some".into()),
        ] {
            let turned = api::turn(choice);
            t.note("turned", chosen(&turned));
            drop(turned);
            t.note("dropped", api::journal());
        }

        let things = api::make(&[40, 41, 42]);
        let viewed = |perhaps| Viewed {
            first: &things[0],
            rest: things.iter().skip(1).collect(),
            perhaps,
        };
        t.note("viewed", api::view(&viewed(None)));
        t.note("viewed", api::view(&viewed(Some(&things[0]))));
        t.note("greatest", api::greatest(things).map(|thing| thing.id()));
        t.note("greatest of none", api::greatest(vec![]).is_none());
        t.note("dropped", api::journal());

        t.note(
            "attempt",
            api::attempt(Thing::new(50), false).map(|b| b.id()).ok(),
        );
        let failed = api::attempt(Thing::new(51), true);
        t.note(
            "failed",
            failed.map_err(|(thing, why)| (thing.id(), why)).err(),
        );
        t.note("dropped", api::journal());

        let some = |id| Some(Thing::new(id));
        let nested = api::nested(vec![vec![some(60), some(61)], vec![some(62), None], vec![]]);
        let seen: Vec<_> = nested.iter().map(|list| list.as_deref().map(ids)).collect();
        t.note("nested", seen);
        t.note("dropped", api::journal());
        drop(nested);
        t.note("dropped", api::journal());
        t.text()
    }
}
