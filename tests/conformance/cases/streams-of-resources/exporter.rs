wit_bindgen::generate!({ world: "exporter", path: "cases/streams-of-resources" });

use std::rc::Rc;

use conformance::gate::Gate;
use conformance::journal::{self, journal};
use exports::case::streams_of_resources::api::{Guest, GuestThing, Thing};
use wit_bindgen::{StreamReader, spawn_local};

struct Exporter;
export!(Exporter);

thread_local!(static LET_GO: Rc<Gate> = Rc::default());

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

impl Guest for Exporter {
    type Thing = Numbered;

    async fn give(n: u32) -> StreamReader<Thing> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for id in 0..n {
                if writer.write_one(Thing::new(Numbered(id))).await.is_some() {
                    break;
                }
            }
            journal!("no more to give");
        });
        reader
    }

    async fn take(mut things: StreamReader<Thing>) -> Vec<u32> {
        let mut ids = Vec::new();
        while let Some(thing) = things.next().await {
            ids.push(id(&thing));
        }
        ids
    }

    async fn take_some(mut things: StreamReader<Thing>, n: u32) -> Vec<u32> {
        let mut ids = Vec::new();
        for _ in 0..n {
            ids.extend(things.next().await.as_ref().map(id));
        }
        LET_GO.with(Rc::clone).wait().await;
        ids
    }

    fn let_go() {
        LET_GO.with(|gate| gate.open());
    }

    async fn odd(mut things: StreamReader<Thing>) -> StreamReader<Thing> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            while let Some(thing) = things.next().await {
                if id(&thing) % 2 == 1 {
                    writer.write_one(thing).await;
                }
            }
        });
        reader
    }

    async fn pairs(mut things: StreamReader<Thing>) -> StreamReader<(Thing, Option<Thing>)> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            while let Some(thing) = things.next().await {
                let other = things.next().await;
                // A stream must not be read again after its end.
                let is_last = other.is_none();
                writer.write_one((thing, other)).await;
                if is_last {
                    break;
                }
            }
        });
        reader
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}
