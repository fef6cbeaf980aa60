wit_bindgen::generate!({ world: "exporter", path: "cases/stream-writes" });

use std::fmt::Debug;

use conformance::journal::{self, journal};
use exports::case::stream_writes::api::Guest;
use wit_bindgen::{StreamReader, StreamResult, spawn_local};

struct Exporter;
export!(Exporter);

/// The results of reads of these sizes.
async fn read<T: Debug>(mut s: StreamReader<T>, counts: Vec<u32>) -> Vec<String> {
    let mut results = Vec::new();
    for count in counts {
        let (result, values) = s.read(Vec::with_capacity(count as usize)).await;
        results.push(format!("{result:?} {values:?}"));
    }
    results
}

/// The reading end of a stream to which values are written, as many at a time as each of these.
macro_rules! write {
    ($counts:ident, $value:expr) => {{
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            let mut next = 0;
            for count in $counts {
                let values: Vec<_> = (0..count)
                    .map(|_| {
                        next += 1;
                        $value(next - 1)
                    })
                    .collect();
                let (result, left) = writer.write(values).await;
                journal!("{result:?}, {} left", left.remaining());
                if result == StreamResult::Dropped {
                    break;
                }
            }
        });
        reader
    }};
}

impl Guest for Exporter {
    async fn read_numbers(s: StreamReader<u32>, counts: Vec<u32>) -> Vec<String> {
        read(s, counts).await
    }

    async fn read_texts(s: StreamReader<String>, counts: Vec<u32>) -> Vec<String> {
        read(s, counts).await
    }

    async fn read_bytes(s: StreamReader<u8>, counts: Vec<u32>) -> Vec<String> {
        read(s, counts).await
    }

    async fn read_units(s: StreamReader<()>, counts: Vec<u32>) -> Vec<String> {
        read(s, counts).await
    }

    async fn write_numbers(counts: Vec<u32>) -> StreamReader<u32> {
        write!(counts, |n: u32| n)
    }

    async fn write_texts(counts: Vec<u32>) -> StreamReader<String> {
        write!(counts, |n: u32| format!("text {n}"))
    }

    async fn write_bytes(counts: Vec<u32>) -> StreamReader<u8> {
        write!(counts, |n: u32| n as u8)
    }

    async fn takes_back(mut s: StreamReader<u32>, first: u32, then: u32) -> Vec<String> {
        let mut results = Vec::new();
        {
            let mut read = Box::pin(s.read(Vec::with_capacity(first as usize)));
            _ = futures::poll!(read.as_mut());
            let (result, values) = read.as_mut().cancel();
            results.push(format!("{result:?} {values:?}"));
            journal!("taken back");
        }
        results.extend(read(s, vec![then]).await);
        results
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}
