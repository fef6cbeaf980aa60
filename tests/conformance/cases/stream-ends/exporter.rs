wit_bindgen::generate!({ world: "exporter", path: "cases/stream-ends" });

use conformance::journal::{self, journal};
use exports::case::stream_ends::api::Guest;
use wit_bindgen::{StreamReader, spawn_local};

struct Exporter;
export!(Exporter);

impl Guest for Exporter {
    async fn endless() -> StreamReader<u32> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            let mut n = 0;
            while writer.write_one(n).await.is_none() {
                n += 1;
            }
            journal!("nobody reads numbers");
        });
        reader
    }

    async fn endless_text() -> StreamReader<String> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            let mut unread = Vec::new();
            while unread.is_empty() {
                unread = writer
                    .write_all(vec!["a".into(), "b".into(), "c".into()])
                    .await;
            }
            journal!("nobody reads texts");
        });
        reader
    }

    async fn first(mut s: StreamReader<u32>, n: u32) -> Vec<u32> {
        let mut numbers = Vec::new();
        while numbers.len() < n as usize {
            match s.next().await {
                Some(number) => numbers.push(number),
                None => break,
            }
        }
        numbers
    }

    async fn ignore(s: StreamReader<String>) {
        drop(s);
    }

    async fn some(n: u32) -> StreamReader<u32> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            let unread = writer.write_all((0..n).collect()).await;
            journal!("wrote, with {} unread", unread.len());
        });
        reader
    }

    async fn none() -> StreamReader<String> {
        // Its writer is gone before it is read.
        wit_stream::new().1
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}
