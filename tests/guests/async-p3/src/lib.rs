//! Asynchronous functions, streams and futures.

wit_bindgen::generate!({ world: "async-p3", path: "../wit-0.3", generate_all });

use exports::t::streams::pipe::{Guest, Item};
use wit_bindgen::{FutureReader, StreamReader, StreamResult, spawn_local, yield_async};

struct AsyncP3;
export!(AsyncP3);

/// How many bytes are moved at a time.
const CHUNK: usize = 4096;

impl Guest for AsyncP3 {
    async fn add(a: u32, b: u32) -> u32 {
        yield_async().await;
        a.wrapping_add(b)
    }

    async fn upper(mut input: StreamReader<u8>) -> StreamReader<u8> {
        let (mut output, result) = wit_stream::new();
        spawn_local(async move {
            loop {
                let (status, mut bytes) = input.read(Vec::with_capacity(CHUNK)).await;
                bytes.make_ascii_uppercase();
                let unread = output.write_all(bytes).await;
                if !unread.is_empty() || !matches!(status, StreamResult::Complete(_)) {
                    break;
                }
            }
        });
        result
    }

    async fn count(mut input: StreamReader<u8>) -> u64 {
        let mut count = 0;
        loop {
            let (status, bytes) = input.read(Vec::with_capacity(CHUNK)).await;
            count += bytes.len() as u64;
            if !matches!(status, StreamResult::Complete(_)) {
                return count;
            }
        }
    }

    async fn items(n: u32) -> StreamReader<Item> {
        let (mut output, result) = wit_stream::new();
        spawn_local(async move {
            for id in 0..n {
                let item = Item {
                    id,
                    name: format!("item {id}"),
                };
                if output.write_one(item).await.is_some() {
                    break;
                }
            }
        });
        result
    }

    async fn later(text: String) -> FutureReader<String> {
        let (writer, reader) = wit_future::new(String::new);
        spawn_local(async move {
            yield_async().await;
            // Whoever asked may have lost interest.
            _ = writer.write(format!("done: {text}")).await;
        });
        reader
    }

    async fn twice(text: FutureReader<String>) -> String {
        text.await.repeat(2)
    }

    async fn nested(text: String) -> FutureReader<StreamReader<u8>> {
        let (mut output, stream) = wit_stream::new();
        let (writer, reader) = wit_future::new(|| wit_stream::new().1);
        spawn_local(async move {
            yield_async().await;
            if writer.write(stream).await.is_ok() {
                // The reader may stop early.
                output.write_all(text.into_bytes()).await;
            }
        });
        reader
    }
}
