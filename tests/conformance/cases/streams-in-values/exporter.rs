wit_bindgen::generate!({ world: "exporter", path: "cases/streams-in-values" });

use std::cell::RefCell;

use exports::case::streams_in_values::api::{Feed, Guest};
use wit_bindgen::{FutureReader, StreamReader, spawn_local};

struct Exporter;
export!(Exporter);

type Kept = (StreamReader<u8>, FutureReader<String>);

thread_local!(static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) });

fn written<T: wit_stream::StreamPayload>(values: Vec<T>) -> StreamReader<T> {
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move {
        writer.write_all(values).await;
    });
    reader
}

fn later(text: String) -> FutureReader<String> {
    let (writer, reader) = wit_future::new(String::new);
    spawn_local(async move {
        // The reader may have gone.
        _ = writer.write(text).await;
    });
    reader
}

async fn sum(s: StreamReader<u8>) -> u32 {
    s.collect().await.into_iter().map(u32::from).sum()
}

impl Guest for Exporter {
    async fn feeds(names: Vec<String>) -> Vec<Feed> {
        let feed = |name: String| Feed {
            texts: written(name.split(' ').map(String::from).collect()),
            last: (!name.is_empty()).then(|| later(format!("the end of {name}"))),
            name,
        };
        names.into_iter().map(feed).collect()
    }

    async fn count(feed: Feed) -> String {
        let texts = feed.texts.collect().await;
        let last = match feed.last {
            Some(last) => last.await,
            None => "nothing".into(),
        };
        format!("{}: {texts:?} and {last}", feed.name)
    }

    async fn attempt(fail: bool) -> Result<StreamReader<u8>, FutureReader<String>> {
        if fail {
            return Err(later("as asked".into()));
        }
        Ok(written(vec![1, 2, 3]))
    }

    async fn perhaps(s: Option<StreamReader<u8>>) -> Option<u32> {
        Some(sum(s?).await)
    }

    async fn two((a, b): (StreamReader<u8>, StreamReader<u16>)) -> Vec<u32> {
        let b = b.collect().await.into_iter().map(u32::from).sum();
        vec![sum(a).await, b]
    }

    async fn of_streams(n: u32) -> StreamReader<StreamReader<u8>> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for i in 0..n {
                writer.write_one(written(vec![i as u8; i as usize])).await;
            }
        });
        reader
    }

    async fn sums(mut s: StreamReader<StreamReader<u8>>) -> Vec<u32> {
        let mut sums = Vec::new();
        while let Some(inner) = s.next().await {
            sums.push(sum(inner).await);
        }
        sums
    }

    async fn pass(s: StreamReader<u8>) -> StreamReader<u8> {
        s
    }

    async fn keep(s: StreamReader<u8>, f: FutureReader<String>) {
        KEPT.set(Some((s, f)));
    }

    async fn kept() -> Option<Kept> {
        KEPT.take()
    }
}
