wit_bindgen::generate!({ world: "exporter", path: "cases/streams-of-bytes" });

use exports::case::streams_of_bytes::api::Guest;
use wit_bindgen::{StreamReader, StreamResult, StreamWriter, spawn_local};

struct Exporter;
export!(Exporter);

/// The next piece of a stream, of at most so many bytes; `None` at its end.
async fn piece(bytes: &mut StreamReader<u8>, at_most: usize) -> Option<Vec<u8>> {
    let (result, piece) = bytes.read(Vec::with_capacity(at_most)).await;
    (matches!(result, StreamResult::Complete(_)) || !piece.is_empty()).then_some(piece)
}

async fn write_numbers(mut writer: StreamWriter<u8>, n: u32, size: u32) {
    let numbers: Vec<u8> = (0..n).map(|i| (i % 251) as u8).collect();
    for piece in numbers.chunks(size as usize) {
        if !writer.write_all(piece.into()).await.is_empty() {
            break;
        }
    }
}

impl Guest for Exporter {
    async fn count(mut bytes: StreamReader<u8>) -> u64 {
        let mut count = 0;
        while let Some(piece) = piece(&mut bytes, 1000).await {
            count += piece.len() as u64;
        }
        count
    }

    async fn collect(bytes: StreamReader<u8>) -> Vec<u8> {
        bytes.collect().await
    }

    async fn numbers(n: u32, piece: u32) -> StreamReader<u8> {
        let (writer, reader) = wit_stream::new();
        spawn_local(write_numbers(writer, n, piece));
        reader
    }

    async fn invert(mut bytes: StreamReader<u8>) -> StreamReader<u8> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            while let Some(mut piece) = piece(&mut bytes, 4096).await {
                piece.iter_mut().for_each(|byte| *byte = !*byte);
                if !writer.write_all(piece).await.is_empty() {
                    break;
                }
            }
        });
        reader
    }

    async fn deal(mut bytes: StreamReader<u8>) -> (StreamReader<u8>, StreamReader<u8>) {
        let (mut a, a_reader) = wit_stream::new();
        let (mut b, b_reader) = wit_stream::new();
        spawn_local(async move {
            while let Some(byte) = bytes.next().await {
                a.write_one(byte).await;
                std::mem::swap(&mut a, &mut b);
            }
        });
        (a_reader, b_reader)
    }

    async fn join(mut a: StreamReader<u8>, mut b: StreamReader<u8>) -> StreamReader<u8> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for bytes in [&mut a, &mut b] {
                while let Some(piece) = piece(bytes, 7).await {
                    writer.write_all(piece).await;
                }
            }
        });
        reader
    }
}
