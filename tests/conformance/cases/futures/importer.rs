wit_bindgen::generate!({ world: "importer", path: "cases/futures" });

use case::futures::api::{self, Thing};
use conformance::Transcript;
use futures::future::join;
use wit_bindgen::{FutureReader, spawn_local, yield_async};

struct Importer;
export!(Importer);

/// A future that is written after some turns.
fn written<T: wit_future::FuturePayload>(
    value: T,
    turns: u32,
    default: fn() -> T,
) -> FutureReader<T> {
    let (writer, reader) = wit_future::new(default);
    spawn_local(async move {
        for _ in 0..turns {
            yield_async().await;
        }
        // The reader may have gone.
        _ = writer.write(value).await;
    });
    reader
}

fn text(text: &str, turns: u32) -> FutureReader<String> {
    written(text.to_owned(), turns, String::new)
}

/// The notes once nothing is left to do.
async fn journal() -> Vec<String> {
    let mut journal = Vec::new();
    for _ in 0..100 {
        yield_async().await;
        journal.extend(api::journal());
    }
    journal
}

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        t.note("at once", api::repeat(text("ab", 0), 2).await);
        t.note("after a while", api::repeat(text("ß", 50), 3).await);
        t.note(
            "long",
            api::repeat(text(&"x".repeat(1 << 20), 1), 1).await.len(),
        );
        t.note("later", api::later("text".into(), 50).await.await);
        let future = api::later("ready".into(), 0).await;
        for _ in 0..50 {
            yield_async().await;
        }
        t.note("asked late", future.await);
        let chained = api::chain(text("chain", 3)).await;
        t.note("chained", chained.await);
        let (a, b) = join(api::later("a".into(), 20), api::later("b".into(), 10)).await;
        t.note("two", join(a.into_future(), b.into_future()).await);

        let thing = api::give(7).await.await;
        t.note("given", (thing.id(), journal().await));
        drop(thing);
        t.note("dropped", journal().await);
        let thing = written(Thing::new(8), 2, || Thing::new(9));
        t.note("taken", (api::take(thing).await, journal().await));

        let jobs = api::start(vec!["one".into(), String::new(), "three".into()]).await;
        for job in jobs.into_iter().rev() {
            t.note("job", (job.name, job.done.await));
        }
        t.note("nested", api::nested("inner".into()).await.await.await);
        t.note("signal", api::signal(written((), 5, || ())).await);
        t.note("one of both", api::both(written(1, 3, || 0), None).await);
        let both = api::both(written(1, 3, || 0), Some(written(2, 1, || 0)));
        t.note("both", both.await);

        t.note("answer", api::answer("yes".into()).await.await);
        t.note("journal", journal().await);
        // A dropped writer writes the default.
        let (writer, reader) = wit_future::new(|| "default".to_owned());
        drop::<wit_bindgen::FutureWriter<String>>(writer);
        t.note("default", api::repeat(reader, 1).await);
        t.text()
    }

    async fn dropped_unread() -> String {
        drop(api::answer("no".into()).await);
        format!("{:?}", journal().await)
    }
}
