wit_bindgen::generate!({ world: "exporter", path: "cases/futures" });

use conformance::journal::{self, journal};
use exports::case::futures::api::{Guest, GuestThing, Job, Thing};
use wit_bindgen::{FutureReader, spawn_local, yield_async};

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

fn later(text: String, turns: u32) -> FutureReader<String> {
    let (writer, reader) = wit_future::new(String::new);
    spawn_local(async move {
        for _ in 0..turns {
            yield_async().await;
        }
        // The reader may have gone.
        _ = writer.write(text).await;
    });
    reader
}

impl Guest for Exporter {
    type Thing = Numbered;

    async fn repeat(text: FutureReader<String>, times: u32) -> String {
        text.await.repeat(times as usize)
    }

    async fn later(text: String, turns: u32) -> FutureReader<String> {
        later(text, turns)
    }

    async fn chain(text: FutureReader<String>) -> FutureReader<String> {
        let (writer, reader) = wit_future::new(String::new);
        spawn_local(async move {
            _ = writer.write(text.await + "!").await;
        });
        reader
    }

    async fn give(id: u32) -> FutureReader<Thing> {
        let (writer, reader) = wit_future::new(|| Thing::new(Numbered(0)));
        spawn_local(async move {
            _ = writer.write(Thing::new(Numbered(id))).await;
        });
        reader
    }

    async fn take(thing: FutureReader<Thing>) -> u32 {
        thing.await.get::<Numbered>().0
    }

    async fn start(names: Vec<String>) -> Vec<Job> {
        let start = |name: String| {
            let (writer, done) = wit_future::new(|| Err("never written".into()));
            let outcome = match name.is_empty() {
                true => Err("no name".into()),
                false => Ok(name.len() as u32),
            };
            spawn_local(async move {
                _ = writer.write(outcome).await;
            });
            Job { name, done }
        };
        names.into_iter().map(start).collect()
    }

    async fn nested(text: String) -> FutureReader<FutureReader<String>> {
        let (writer, reader) = wit_future::new(|| later(String::new(), 0));
        spawn_local(async move {
            _ = writer.write(later(text, 2)).await;
        });
        reader
    }

    async fn signal(done: FutureReader<()>) -> bool {
        done.await;
        true
    }

    async fn both(a: FutureReader<u32>, b: Option<FutureReader<u32>>) -> u32 {
        let b = match b {
            Some(b) => b.await,
            None => 0,
        };
        a.await + b
    }

    async fn answer(text: String) -> FutureReader<String> {
        let (writer, reader) = wit_future::new(String::new);
        spawn_local(async move {
            match writer.write(text).await {
                Ok(()) => journal!("read"),
                Err(error) => journal!("not read: {}", error.value),
            }
        });
        reader
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}
