wit_bindgen::generate!({ world: "importer", path: "cases/streams-of-bytes" });

use case::streams_of_bytes::api;
use conformance::Transcript;
use futures::future::join;
use wit_bindgen::{StreamReader, StreamResult, spawn_local};

struct Importer;
export!(Importer);

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i % 251) as u8).collect()
}

/// A stream of these bytes, written in pieces of one size.
fn written(bytes: Vec<u8>, piece: usize) -> StreamReader<u8> {
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move {
        for piece in bytes.chunks(piece) {
            if !writer.write_all(piece.into()).await.is_empty() {
                break;
            }
        }
    });
    reader
}

/// All of a stream, read with room for at most so many bytes.
async fn read(mut stream: StreamReader<u8>, room: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let (result, piece) = stream.read(Vec::with_capacity(room)).await;
        all.extend(piece);
        if !matches!(result, StreamResult::Complete(_)) {
            return all;
        }
    }
}

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        t.note("count", api::count(written(bytes(100_000), 777)).await);
        t.note("count none", api::count(written(vec![], 1)).await);
        t.note("collect", api::collect(written(bytes(10), 3)).await);
        let collected = api::collect(written(bytes(1 << 20), 1 << 20)).await;
        t.note("a mebibyte at once", collected == bytes(1 << 20));

        t.note("numbers", read(api::numbers(10, 4).await, 3).await);
        t.note("one by one", read(api::numbers(5, 1).await, 1).await);
        let numbers = read(api::numbers(300_000, 65_536).await, 1000).await;
        t.note("less than is written", numbers == bytes(300_000));
        let numbers = read(api::numbers(300_000, 1000).await, 65_536).await;
        t.note("more than is written", numbers == bytes(300_000));
        t.note("no numbers", read(api::numbers(0, 1).await, 10).await);

        // 4 MiB there and back, in pieces that fit nothing.
        let n = 4 << 20;
        let inverted = api::invert(written(bytes(n), 12_345)).await;
        let inverted = read(inverted, 54_321).await;
        t.note("inverted", inverted.len());
        t.note("each", inverted.iter().zip(bytes(n)).all(|(a, b)| *a == !b));
        let twice = api::invert(api::invert(written(bytes(10), 2)).await).await;
        t.note("inverted twice", read(twice, 10).await);

        let (a, b) = api::deal(written(bytes(9), 4)).await;
        t.note("dealt", join(read(a, 2), read(b, 2)).await);
        let joined = api::join(written(bytes(20), 6), written(bytes(3), 1)).await;
        t.note("joined", read(joined, 100).await);
        t.text()
    }
}
