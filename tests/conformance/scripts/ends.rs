// The actions of both ends of a script: each includes this file, for the types of its own bindings.

use std::fmt::Debug;

use futures::future::join_all;
use wit_bindgen::{
    FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter, yield_async,
};

/// How often a writer writes to a reader that is about to go: more than any wire keeps.
const MOST_WRITES: u32 = 1_000_000;

/// An element of streams.
trait Element: Debug + PartialEq + Sized + 'static {
    /// The element that is counted so.
    fn of(n: u32) -> Self;
}

impl Element for u8 {
    fn of(n: u32) -> Self {
        n as u8
    }
}

impl Element for u32 {
    fn of(n: u32) -> Self {
        n
    }
}

impl Element for String {
    fn of(n: u32) -> Self {
        format!("text {n}")
    }
}

/// The elements that are counted from `from` on.
fn elements<T: Element>(from: u32, count: u32) -> Vec<T> {
    (from..from + count).map(T::of).collect()
}

/// The note about elements that should be those from `from` on.
fn told<T: Element>(values: &[T], from: u32) -> String {
    let are_right = (from..)
        .map(T::of)
        .zip(values)
        .all(|(right, value)| right == *value);
    match are_right {
        true => format!("{} from {from}", values.len()),
        false => format!("{values:?} in place of those from {from}"),
    }
}

/// Does the writing half. `waits` waits until the reader has done so many steps.
async fn write<T: Element>(
    mut writer: StreamWriter<T>,
    steps: Vec<Step>,
    ending: Ending,
    waits: impl AsyncFn(u32),
) -> Vec<String> {
    let mut notes = Vec::new();
    let mut next = 0;
    for (i, step) in (1..).zip(steps) {
        match step {
            Step::Exactly(count) => {
                let (result, left) = writer.write(elements(next, count)).await;
                notes.push(format!(
                    "wrote {result:?} of {count}, {} left",
                    left.remaining()
                ));
                next += count;
            }
            Step::Loosely(counts) => {
                for count in counts {
                    let left = writer.write_all(elements(next, count)).await;
                    if !left.is_empty() {
                        notes.push(format!("{} of {count} were not taken", left.len()));
                    }
                    next += count;
                }
            }
            Step::TakenBack(_) => waits(i).await,
        }
    }
    if let Ending::WriterGoes = ending {
        return notes;
    }
    for _ in 0..MOST_WRITES {
        let (result, _) = writer.write(elements(next, 1)).await;
        next += 1;
        if result == StreamResult::Dropped {
            notes.push("the reader has gone".into());
            return notes;
        }
    }
    notes.push("the reader never goes".into());
    notes
}

/// Does the reading half. `did` tells how many steps are done.
async fn read<T: Element>(
    mut reader: StreamReader<T>,
    steps: Vec<Step>,
    ending: Ending,
    mut did: impl FnMut(u32),
) -> Vec<String> {
    let mut notes = Vec::new();
    let mut next = 0;
    for (i, step) in (1..).zip(steps) {
        match step {
            Step::Exactly(count) => {
                let (result, values) = reader.read(Vec::with_capacity(count as usize)).await;
                notes.push(format!("read {result:?}: {}", told(&values, next)));
                next += count;
            }
            Step::Loosely(counts) => {
                for mut count in counts {
                    while count > 0 {
                        let buffer = Vec::with_capacity(count as usize);
                        let (result, values) = reader.read(buffer).await;
                        let read = values.len() as u32;
                        let are_right = told(&values, next) == format!("{read} from {next}");
                        if !are_right || read == 0 || read > count {
                            notes.push(format!("read {result:?}: {}", told(&values, next)));
                            return notes;
                        }
                        count -= read;
                        next += read;
                    }
                }
                notes.push(format!("read as far as {next}"));
            }
            Step::TakenBack(count) => {
                let mut reading = Box::pin(reader.read(Vec::with_capacity(count as usize)));
                let polled = futures::poll!(reading.as_mut());
                let (result, values) = match polled {
                    std::task::Poll::Ready(read) => read,
                    std::task::Poll::Pending => reading.as_mut().cancel(),
                };
                notes.push(format!("took back {result:?}: {values:?}"));
                drop(reading);
            }
        }
        did(i);
    }
    if let Ending::WriterGoes = ending {
        let (result, values) = reader.read(Vec::with_capacity(4)).await;
        notes.push(format!("the writer has gone: {result:?} {values:?}"));
    }
    notes
}

async fn yields(times: u32) {
    for _ in 0..times {
        yield_async().await;
    }
}

/// Does the writing ends of futures. `waits` waits until the reader has done so many steps.
async fn keep(
    writers: Vec<FutureWriter<String>>,
    promises: Vec<Promise>,
    waits: impl AsyncFn(u32),
) -> Vec<String> {
    let waits = &waits;
    let kept = (1..).zip(writers.into_iter().zip(promises));
    let kept = kept.map(|(i, (writer, promise))| async move {
        if promise.taken_back {
            waits(i).await;
        }
        yields(promise.writes_after).await;
        let written = writer.write(format!("promise {i}")).await;
        match (promise.left, written) {
            // A wire may have taken it before it knew that nobody reads.
            (true, _) => format!("{i} is left"),
            (false, Ok(())) => format!("{i} is kept"),
            (false, Err(left)) => format!("{i} was not read: {}", left.value),
        }
    });
    join_all(kept).await
}

/// Does the reading ends of futures. `did` tells how many steps are done.
async fn claim(
    readers: Vec<FutureReader<String>>,
    promises: Vec<Promise>,
    mut did: impl FnMut(u32),
) -> Vec<String> {
    let mut notes = Vec::new();
    let mut claimed = Vec::new();
    for (i, (reader, promise)) in (1..).zip(readers.into_iter().zip(promises)) {
        if !promise.taken_back {
            claimed.push((i, reader, promise));
            continue;
        }
        let mut reading = Box::pin(reader.into_future());
        let polled = futures::poll!(reading.as_mut());
        let taken_back = match polled {
            std::task::Poll::Ready(value) => Err(value),
            std::task::Poll::Pending => match reading.as_mut().cancel() {
                Ok(value) => Err(value),
                Err(reader) => Ok(reader),
            },
        };
        match taken_back {
            Ok(reader) => claimed.push((i, reader, promise)),
            Err(value) => notes.push(format!("{i} came too early: {value}")),
        }
        did(i);
    }
    let claimed = claimed.into_iter().map(|(i, reader, promise)| async move {
        yields(promise.reads_after).await;
        match promise.left {
            true => format!("{i} is left"),
            false => format!("{i}: {}", reader.await),
        }
    });
    notes.extend(join_all(claimed).await);
    notes
}

/// A pair of ends of a future for each promise.
fn futures_for(promises: &[Promise]) -> (Vec<FutureWriter<String>>, Vec<FutureReader<String>>) {
    let ends = promises.iter().map(|_| wit_future::new(|| "nothing".to_owned()));
    ends.unzip()
}

/// Writes the futures in pieces of these sizes.
async fn send(
    mut writer: StreamWriter<FutureReader<String>>,
    futures: Vec<FutureReader<String>>,
    pieces: Vec<u32>,
) {
    let mut futures = futures.into_iter();
    for piece in pieces {
        let some = futures.by_ref().take(piece as usize).collect();
        // A reader that does not take them misses them when they are claimed.
        _ = writer.write_all(some).await;
    }
}

/// Reads the futures in pieces of these sizes.
async fn receive(
    mut reader: StreamReader<FutureReader<String>>,
    pieces: Vec<u32>,
) -> Vec<FutureReader<String>> {
    let mut futures = Vec::new();
    for mut piece in pieces {
        while piece > 0 {
            let (_, some) = reader.read(Vec::with_capacity(piece as usize)).await;
            if some.is_empty() {
                return futures;
            }
            piece -= some.len() as u32;
            futures.extend(some);
        }
    }
    futures
}
