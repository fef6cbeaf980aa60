wit_bindgen::generate!({ world: "importer", path: "cases/stream-ends" });

use std::cell::Cell;
use std::rc::Rc;

use case::stream_ends::api;
use conformance::Transcript;
use wit_bindgen::{StreamReader, StreamResult, spawn_local, yield_async};

struct Importer;
export!(Importer);

/// The notes once nothing is left to do.
async fn journal() -> Vec<String> {
    let mut journal = Vec::new();
    for _ in 0..100 {
        yield_async().await;
        journal.extend(api::journal());
    }
    journal
}

/// A stream of these numbers, and whether it was told that nobody reads it.
fn written(numbers: std::ops::Range<u32>) -> (StreamReader<u32>, Rc<Cell<bool>>) {
    let (mut writer, reader) = wit_stream::new();
    let told = Rc::new(Cell::new(false));
    let tell = told.clone();
    spawn_local(async move {
        for number in numbers {
            if writer.write_one(number).await.is_some() {
                tell.set(true);
                break;
            }
        }
    });
    (reader, told)
}

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        let mut endless = api::endless().await;
        let (a, b) = (endless.next().await, endless.next().await);
        t.note("two of an endless stream", (a, b));
        t.note("it goes on", journal().await);
        drop(endless);
        t.note("it ends", journal().await);
        drop(api::endless().await);
        t.note("not read at all", journal().await);
        let mut texts = api::endless_text().await;
        t.note("a text", texts.next().await);
        t.note("another", texts.next().await);
        drop(texts);
        t.note("it ends", journal().await);

        let (numbers, told) = written(0..1000);
        t.note("first", api::first(numbers, 3).await);
        journal().await;
        t.note("told", told.get());
        let (numbers, told) = written(0..3);
        t.note("all there are", api::first(numbers, 1000).await);
        journal().await;
        t.note("told", told.get());

        let (mut writer, reader) = wit_stream::new();
        api::ignore(reader).await;
        // Over a wire the writer hears of it by and by, as of any reader that goes.
        journal().await;
        let unread = writer.write_all(vec!["a".to_owned(), "b".to_owned()]).await;
        t.note("ignored", unread);

        let mut some = api::some(5).await;
        t.note("some", some.read(Vec::with_capacity(100)).await.1);
        let (result, rest) = some.read(Vec::with_capacity(100)).await;
        t.note("then", (result == StreamResult::Dropped, rest));
        t.note("its writer", journal().await);
        t.note("none", api::none().await.next().await);
        t.note("no numbers", api::some(0).await.next().await);

        // An empty write and an empty read leave a stream as it is.
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            writer.write_all(vec![]).await;
            writer.write_all(vec![1, 2]).await;
            writer.write_all(vec![]).await;
            writer.write_all(vec![3]).await;
        });
        t.note("with gaps", api::first(reader, 10).await);
        t.text()
    }
}
