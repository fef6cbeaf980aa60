wit_bindgen::generate!({ world: "importer", path: "cases/streams-in-values" });

use case::streams_in_values::api::{self, Feed};
use conformance::Transcript;
use wit_bindgen::{FutureReader, StreamReader, spawn_local, yield_async};

struct Importer;
export!(Importer);

/// A stream of these values, written when somebody else has had a turn.
fn written<T: wit_stream::StreamPayload>(values: Vec<T>) -> StreamReader<T> {
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move {
        yield_async().await;
        writer.write_all(values).await;
    });
    reader
}

fn later<T: wit_future::FuturePayload>(value: T, default: fn() -> T) -> FutureReader<T> {
    let (writer, reader) = wit_future::new(default);
    spawn_local(async move {
        yield_async().await;
        // The reader may have gone.
        _ = writer.write(value).await;
    });
    reader
}

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        let feeds = api::feeds(vec!["one two three".into(), String::new()]).await;
        for feed in feeds {
            let texts = feed.texts.collect().await;
            let last = match feed.last {
                Some(last) => Some(last.await),
                None => None,
            };
            t.note("feed", (feed.name, texts, last));
        }
        let feed = Feed {
            name: "mine".into(),
            texts: written(vec!["a".into(), "ß".into()]),
            last: Some(later("z".to_owned(), String::new)),
        };
        t.note("count", api::count(feed).await);
        match api::attempt(false).await {
            Ok(stream) => t.note("attempt", stream.collect().await),
            Err(_) => t.line("it failed"),
        }
        match api::attempt(true).await {
            Ok(_) => t.line("it did not fail"),
            Err(why) => t.note("failed", why.await),
        }
        t.note(
            "perhaps",
            api::perhaps(Some(written(vec![1, 2, 250]))).await,
        );
        t.note("perhaps not", api::perhaps(None).await);
        let two = (written(vec![1, 2]), written(vec![1000, 2000]));
        t.note("two", api::two(two).await);

        let mut streams = api::of_streams(4).await;
        while let Some(inner) = streams.next().await {
            t.note("inner", inner.collect().await);
        }
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for i in 1..4 {
                writer.write_one(written(vec![i; 10])).await;
            }
        });
        t.note("sums", api::sums(reader).await);

        // The stream that comes back is read and written here: Wasmtime allows that of numbers
        // only.
        let passed = api::pass(written(vec![1, 2, 3])).await;
        t.note("passed through", passed.collect().await);
        let passed = api::pass(api::pass(written(vec![4, 5])).await).await;
        t.note("passed through twice", passed.collect().await);
        // And one of its own goes to it again.
        let Ok(own) = api::attempt(false).await else {
            return "it failed".into();
        };
        let passed = api::pass(own).await;
        t.note("its own", api::perhaps(Some(passed)).await);

        let Ok(own) = api::attempt(false).await else {
            return "it failed".into();
        };
        let text = api::attempt(true).await.err();
        let Some(text) = text else {
            return "it did not fail".into();
        };
        api::keep(own, text).await;
        t.note("elsewhere", api::perhaps(None).await);
        if let Some((stream, text)) = api::kept().await {
            t.note("kept", (stream.collect().await, text.await));
        }
        t.note("nothing kept", api::kept().await.is_none());
        t.text()
    }
}
