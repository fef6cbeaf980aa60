wit_bindgen::generate!({ world: "importer", path: "scripts" });

use case::scripts::api::{self, Ending, Promise, Step};
use fastrand::Rng;
use futures::future::{join, join3};

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
        let writing = write(to, writer, ending, async |steps| waits($id, steps).await);
        let call = $reads($id, from, steps, ending);
        let reading = async {
            if let Ending::CallGoes = ending {
                let done = Box::pin(waits($id, last));
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

fn promise(rng: &mut Rng) -> Promise {
    let turns = |rng: &mut Rng| if rng.bool() { 0 } else { rng.u32(0..20) };
    Promise {
        writes_after: turns(rng),
        reads_after: turns(rng),
        taken_back: rng.u32(0..4) == 0,
        left: rng.u32(0..6) == 0,
    }
}

/// Waits until the exporter has done so many steps.
async fn waits(id: u32, steps: u32) {
    while api::done(id) < steps {
        yield_async().await;
    }
}

/// Runs a future, or several that come in a stream; what both ends saw.
async fn promises(id: u32, kind: u32, mut rng: Rng) -> (Vec<String>, Vec<String>) {
    if kind < 2 {
        let promise = promise(&mut rng);
        return match kind {
            0 => {
                let (writer, reader) = wit_future::new(|| "nothing".to_owned());
                let waits = async |steps| waits(id, steps).await;
                let kept = keep(vec![writer], vec![promise], waits);
                join(kept, api::reads_future(id, reader, promise)).await
            }
            _ => {
                let reader = api::writes_future(id, promise).await;
                let did = |steps| api::did(id, steps);
                let claimed = claim(vec![reader], vec![promise], did).await;
                (api::written(id).await, claimed)
            }
        };
    }
    let count = rng.u32(1..12);
    let promises: Vec<_> = (0..count).map(|_| promise(&mut rng)).collect();
    let (written, read) = (pieces(&mut rng, count), pieces(&mut rng, count));
    if kind == 2 {
        let (to, from) = wit_stream::new();
        let (writers, readers) = futures_for(&promises);
        let sent = send(to, readers, written);
        let kept = keep(writers, promises.clone(), async |steps| {
            waits(id, steps).await
        });
        let claimed = api::reads_futures(id, from, promises, read);
        let (_, kept, claimed) = join3(sent, kept, claimed).await;
        (kept, claimed)
    } else {
        let stream = api::writes_futures(id, promises.clone(), written).await;
        let readers = receive(stream, read).await;
        let claimed = claim(readers, promises, |steps| api::did(id, steps)).await;
        (api::written(id).await, claimed)
    }
}

/// Runs one stream or future; a line of what both ends saw.
async fn stream(id: u32, mut rng: Rng) -> String {
    let kind = rng.u32(0..10);
    if let Some(kind) = kind.checked_sub(6) {
        let (kept, claimed) = promises(id, kind, rng).await;
        return format!("[{}] [{}]", kept.join("; "), claimed.join("; "));
    }
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
