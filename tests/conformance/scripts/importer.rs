wit_bindgen::generate!({ world: "importer", path: "scripts" });

use case::scripts::api::{self, Ending, Step};
use fastrand::Rng;
use futures::future::{join, join_all};
use wit_bindgen::yield_async;

include!("ends.rs");

struct Importer;
export!(Importer);

/// The halves of a script.
struct Script {
    writer: Vec<Step>,
    reader: Vec<Step>,
    ending: Ending,
}

impl Script {
    fn draw(rng: &mut Rng, exporter_reads: bool) -> Self {
        let (mut writer, mut reader) = (Vec::new(), Vec::new());
        for _ in 0..rng.u32(0..7) {
            match rng.u32(0..5) {
                0 | 1 => {
                    let most = if rng.bool() { 4 } else { 100 };
                    let count = rng.u32(1..=most);
                    writer.push(Step::Exactly(count));
                    reader.push(Step::Exactly(count));
                }
                2 | 3 => {
                    let most = if rng.u32(0..8) == 0 { 20_000 } else { 60 };
                    let count = rng.u32(1..=most);
                    writer.push(Step::Loosely(pieces(rng, count)));
                    reader.push(Step::Loosely(pieces(rng, count)));
                }
                _ => {
                    let count = rng.u32(1..10);
                    writer.push(Step::TakenBack(count));
                    reader.push(Step::TakenBack(count));
                }
            }
        }
        let endings = [Ending::WriterGoes, Ending::ReaderGoes, Ending::CallGoes];
        // A call that has returned cannot go.
        let ending = endings[rng.usize(0..if exporter_reads { 3 } else { 2 })];
        Self {
            writer,
            reader,
            ending,
        }
    }
}

/// Numbers of which so many are the sum.
fn pieces(rng: &mut Rng, mut count: u32) -> Vec<u32> {
    let mut pieces = Vec::new();
    while count > 0 {
        let most = if rng.bool() { count } else { count.min(5) };
        let piece = rng.u32(1..=most);
        pieces.push(piece);
        count -= piece;
    }
    pieces
}

/// The importer writes, and the exporter reads.
macro_rules! writes {
    ($reads:path, $id:ident, $script:ident) => {{
        let Script {
            writer,
            reader,
            ending,
        } = $script;
        let (to, from) = wit_stream::new();
        let (last, steps) = (reader.len() as u32, reader);
        let waits = async |steps| {
            while api::done($id) < steps {
                yield_async().await;
            }
        };
        let writing = write(to, writer, ending, waits);
        let call = $reads($id, from, steps, ending);
        let reading = async {
            if let Ending::CallGoes = ending {
                let done = Box::pin(async {
                    while api::done($id) < last {
                        yield_async().await;
                    }
                });
                let call = Box::pin(call);
                // Whichever comes first, the call is dropped here.
                drop(futures::future::select(call, done).await);
                return vec!["the call is dropped".to_owned()];
            }
            call.await
        };
        let (written, read) = join(writing, reading).await;
        (written, read)
    }};
}

/// The exporter writes, and the importer reads.
macro_rules! reads {
    ($writes:path, $id:ident, $script:ident) => {{
        let Script {
            writer,
            reader,
            ending,
        } = $script;
        let stream = $writes($id, writer, ending).await;
        let read = read(stream, reader, ending, |steps| api::did($id, steps)).await;
        (api::written($id).await, read)
    }};
}

/// Runs one stream; a line of what both ends saw.
async fn stream(id: u32, mut rng: Rng) -> String {
    let kind = rng.u32(0..6);
    let script = Script::draw(&mut rng, kind < 3);
    let (written, read) = match kind {
        0 => writes!(api::reads_bytes, id, script),
        1 => writes!(api::reads_numbers, id, script),
        2 => writes!(api::reads_texts, id, script),
        3 => reads!(api::writes_bytes, id, script),
        4 => reads!(api::writes_numbers, id, script),
        _ => reads!(api::writes_texts, id, script),
    };
    format!("[{}] [{}]", written.join("; "), read.join("; "))
}

impl Guest for Importer {
    async fn run(first: u64, count: u32) -> String {
        let mut text = String::new();
        let mut id = 0;
        for seed in first..first + u64::from(count) {
            let mut rng = Rng::with_seed(seed);
            let streams = (0..rng.u32(1..=3)).map(|_| {
                id += 1;
                stream(id, rng.fork())
            });
            let streams: Vec<_> = streams.collect();
            let seen = join_all(streams).await;
            text += &format!("{seed}: {}\n", seen.join(" | "));
        }
        text
    }
}
