wit_bindgen::generate!({ world: "importer", path: "cases/stream-writes" });

use std::fmt::Debug;

use case::stream_writes::api;
use conformance::Transcript;
use futures::join;
use wit_bindgen::{StreamReader, StreamResult, yield_async};

struct Importer;
export!(Importer);

/// The result of each write, and how many elements it left.
macro_rules! written {
    ($writer:ident, $writes:expr) => {
        async move {
            let mut results = Vec::new();
            for values in $writes {
                let (result, left) = $writer.write(values).await;
                results.push((result, left.remaining()));
            }
            results
        }
    };
}

/// Notes the results of reads, and of writes of these sizes, when the reader reads as many at a time as `reads` says.
macro_rules! both {
    ($t:ident, $read:path, $value:expr, $cases:expr) => {
        for (writes, reads) in $cases {
            let (mut writer, reader) = wit_stream::new();
            let mut next = 0;
            let values: Vec<Vec<_>> = (writes.iter())
                .map(|n| {
                    (0..*n)
                        .map(|_| {
                            next += 1;
                            $value(next - 1)
                        })
                        .collect()
                })
                .collect();
            let what = format!("write {writes:?}, read {reads:?}");
            let (read, written) = join!($read(reader, reads), written!(writer, values));
            $t.note(format!("{what}: read"), read);
            $t.note(format!("{what}: written"), written);
        }
    };
}

/// Writes and reads that meet.
fn meeting() -> Vec<(Vec<u32>, Vec<u32>)> {
    vec![
        (vec![1], vec![1]),
        (vec![4], vec![4]),
        (vec![3], vec![8]),
        (vec![2, 3], vec![2, 3]),
        (vec![5, 1, 7], vec![5, 1, 7]),
        (vec![100], vec![100]),
    ]
}

/// The results of reading a stream, as many elements at a time as each of these.
async fn read<T: Debug>(
    mut reader: StreamReader<T>,
    counts: Vec<u32>,
) -> Vec<(StreamResult, Vec<T>)> {
    let mut results = Vec::new();
    for count in counts {
        results.push(reader.read(Vec::with_capacity(count as usize)).await);
    }
    results
}

impl Guest for Importer {
    async fn numbers() -> String {
        let mut t = Transcript::default();
        both!(t, api::read_numbers, |n: u32| n, meeting());
        t.text()
    }

    async fn texts() -> String {
        let mut t = Transcript::default();
        both!(t, api::read_texts, |n: u32| format!("text {n}"), meeting());
        t.text()
    }

    async fn bytes() -> String {
        let mut t = Transcript::default();
        both!(t, api::read_bytes, |n: u32| n as u8, meeting());
        t.text()
    }

    async fn units() -> String {
        let mut t = Transcript::default();
        // A vector of units is never full, so that a read may take several writes.
        let single = meeting()
            .into_iter()
            .filter(|(writes, _)| writes.len() == 1);
        both!(t, api::read_units, |_: u32| (), single);
        t.text()
    }

    async fn read() -> String {
        let mut t = Transcript::default();
        for (writes, reads) in meeting() {
            let what = format!("write {writes:?}, read {reads:?}");
            let stream = api::write_numbers(writes.clone()).await;
            t.note(
                format!("{what}: numbers"),
                read(stream, reads.clone()).await,
            );
            let stream = api::write_texts(writes.clone()).await;
            t.note(format!("{what}: texts"), read(stream, reads.clone()).await);
            let stream = api::write_bytes(writes).await;
            t.note(format!("{what}: bytes"), read(stream, reads).await);
            for _ in 0..100 {
                yield_async().await;
            }
            t.note(format!("{what}: written"), api::journal());
        }
        t.text()
    }

    async fn cancelled() -> String {
        let mut t = Transcript::default();
        // A write that nobody reads is taken back whole.
        let (mut writer, reader) = wit_stream::new();
        {
            let mut write = Box::pin(writer.write(vec![1, 2, 3]));
            _ = futures::poll!(write.as_mut());
            let (result, left) = write.as_mut().cancel();
            t.note("taken back", (result, left.into_vec()));
        }
        let (read, written) = join!(
            api::read_numbers(reader, vec![2]),
            written!(writer, [vec![7, 8]])
        );
        t.note("read", read);
        t.note("written", written);
        // A read that is taken back takes nothing of what is written then.
        let (mut writer, reader) = wit_stream::new();
        let write = async {
            while api::journal().is_empty() {
                yield_async().await;
            }
            writer.write(vec![4, 5]).await
        };
        let (read, (result, left)) = join!(api::takes_back(reader, 5, 2), write);
        t.note("read", read);
        t.note("written", (result, left.remaining()));
        t.text()
    }
}
