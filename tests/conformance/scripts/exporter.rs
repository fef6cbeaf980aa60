wit_bindgen::generate!({ world: "exporter", path: "scripts" });

use std::cell::RefCell;
use std::collections::BTreeMap;

use exports::case::scripts::api::{Ending, Guest, Promise, Step};
use wit_bindgen::spawn_local;

include!("ends.rs");

struct Exporter;
export!(Exporter);

/// The exporter's knowledge of one stream.
#[derive(Default)]
struct Known {
    /// The steps that this end has done, and the other.
    done: u32,
    did: u32,
    /// The writer's notes, once it has ended.
    written: Option<Vec<String>>,
}

thread_local!(static STREAMS: RefCell<BTreeMap<u32, Known>> = const { RefCell::new(BTreeMap::new()) });

fn with<R>(id: u32, then: impl FnOnce(&mut Known) -> R) -> R {
    STREAMS.with_borrow_mut(|streams| then(streams.entry(id).or_default()))
}

async fn reads<T: Element>(
    id: u32,
    reader: StreamReader<T>,
    steps: Vec<Step>,
    ending: Ending,
) -> Vec<String> {
    let notes = read(reader, steps, ending, |done| {
        with(id, |known| known.done = done)
    })
    .await;
    if let Ending::CallGoes = ending {
        // Dropped with the call.
        std::future::pending::<()>().await;
    }
    notes
}

/// Writes to a stream, whose writing end and reading end these are.
fn writes<T: Element>(
    id: u32,
    (writer, reader): (StreamWriter<T>, StreamReader<T>),
    steps: Vec<Step>,
    ending: Ending,
) -> StreamReader<T> {
    spawn_local(async move {
        let notes = write(writer, steps, ending, async |steps| waits(id, steps).await).await;
        with(id, |known| known.written = Some(notes));
    });
    reader
}

/// Waits until the importer has done so many steps.
async fn waits(id: u32, steps: u32) {
    while with(id, |known| known.did < steps) {
        yield_async().await;
    }
}

/// Keeps promises of which the importer has the readers.
fn keeps(id: u32, writers: Vec<FutureWriter<String>>, promises: Vec<Promise>) {
    spawn_local(async move {
        let notes = keep(writers, promises, async |steps| waits(id, steps).await).await;
        with(id, |known| known.written = Some(notes));
    });
}

impl Guest for Exporter {
    async fn reads_bytes(
        id: u32,
        s: StreamReader<u8>,
        steps: Vec<Step>,
        ending: Ending,
    ) -> Vec<String> {
        reads(id, s, steps, ending).await
    }

    async fn reads_numbers(
        id: u32,
        s: StreamReader<u32>,
        steps: Vec<Step>,
        ending: Ending,
    ) -> Vec<String> {
        reads(id, s, steps, ending).await
    }

    async fn reads_texts(
        id: u32,
        s: StreamReader<String>,
        steps: Vec<Step>,
        ending: Ending,
    ) -> Vec<String> {
        reads(id, s, steps, ending).await
    }

    async fn writes_bytes(id: u32, steps: Vec<Step>, ending: Ending) -> StreamReader<u8> {
        writes(id, wit_stream::new(), steps, ending)
    }

    async fn writes_numbers(id: u32, steps: Vec<Step>, ending: Ending) -> StreamReader<u32> {
        writes(id, wit_stream::new(), steps, ending)
    }

    async fn writes_texts(id: u32, steps: Vec<Step>, ending: Ending) -> StreamReader<String> {
        writes(id, wit_stream::new(), steps, ending)
    }

    async fn reads_future(id: u32, f: FutureReader<String>, promise: Promise) -> Vec<String> {
        claim(vec![f], vec![promise], |done| {
            with(id, |known| known.done = done)
        })
        .await
    }

    async fn writes_future(id: u32, promise: Promise) -> FutureReader<String> {
        let (writer, reader) = wit_future::new(|| "nothing".to_owned());
        keeps(id, vec![writer], vec![promise]);
        reader
    }

    async fn reads_futures(
        id: u32,
        s: StreamReader<FutureReader<String>>,
        promises: Vec<Promise>,
        pieces: Vec<u32>,
    ) -> Vec<String> {
        let futures = receive(s, pieces).await;
        claim(futures, promises, |done| {
            with(id, |known| known.done = done)
        })
        .await
    }

    async fn writes_futures(
        id: u32,
        promises: Vec<Promise>,
        pieces: Vec<u32>,
    ) -> StreamReader<FutureReader<String>> {
        let (writer, stream) = wit_stream::new();
        let (writers, readers) = futures_for(&promises);
        spawn_local(send(writer, readers, pieces));
        keeps(id, writers, promises);
        stream
    }

    async fn written(id: u32) -> Vec<String> {
        loop {
            if let Some(notes) = with(id, |known| known.written.take()) {
                STREAMS.with_borrow_mut(|streams| streams.remove(&id));
                return notes;
            }
            yield_async().await;
        }
    }

    fn done(id: u32) -> u32 {
        with(id, |known| known.done)
    }

    fn did(id: u32, steps: u32) {
        with(id, |known| known.did = steps);
    }
}
