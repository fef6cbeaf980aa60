wit_bindgen::generate!({ world: "importer", path: "cases/streams-of-resources" });

use case::streams_of_resources::api::{self, Thing};
use conformance::Transcript;
use futures::future::join;
use wit_bindgen::{StreamReader, spawn_local, yield_async};

struct Importer;
export!(Importer);

/// The most elements that may be on their way.
const FEW: u32 = 20;

/// A stream of things of these numbers, one by one; what nobody reads is dropped here.
fn written(ids: std::ops::Range<u32>) -> StreamReader<Thing> {
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move {
        for id in ids {
            if writer.write_one(Thing::new(id)).await.is_some() {
                break;
            }
        }
    });
    reader
}

/// The notes once nothing is left to do; the order in which two components do things at once is theirs
/// to choose.
async fn journal() -> Vec<String> {
    let mut journal = Vec::new();
    for _ in 0..100 {
        yield_async().await;
        journal.extend(api::journal());
    }
    journal.sort();
    journal
}

/// Whether each thing from `first` on that left its writer was dropped once. More may leave it than were
/// read, but few.
fn dropped_from(first: u32, read: u32, journal: &[String]) -> String {
    let ids = journal.iter().filter_map(|line| line.strip_prefix("drop "));
    let mut ids: Vec<u32> = ids.map(|id| id.parse().unwrap_or(u32::MAX)).collect();
    ids.sort();
    let n = ids.len() as u32;
    if !ids.iter().copied().eq(first..first + n) {
        return "not each dropped once".into();
    }
    if !(read..read + FEW).contains(&n) {
        return format!("{n} were dropped when {read} were read");
    }
    "each dropped once, and few more than were read".into()
}

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        let mut given = api::give(3).await;
        let mut things = Vec::new();
        while let Some(thing) = given.next().await {
            things.push(thing);
        }
        let ids: Vec<_> = things.iter().map(Thing::id).collect();
        t.note("given", ids);
        t.note("nothing dropped", journal().await);
        things.remove(1);
        t.note("one dropped", journal().await);
        drop(things);
        t.note("all dropped", journal().await);

        t.note("taken", api::take(written(10..14)).await);
        t.note("dropped", journal().await);
        let settled = async {
            let journal = journal().await;
            api::let_go();
            journal
        };
        let (taken, mut noted) = join(api::take_some(written(20..120), 2), settled).await;
        t.note("some taken", taken);
        noted.extend(journal().await);
        t.line(dropped_from(20, 2, &noted));

        let mut odd = api::odd(written(30..35)).await;
        let mut ids = Vec::new();
        while let Some(thing) = odd.next().await {
            ids.push(thing.id());
        }
        t.note("odd", ids);
        t.note("dropped", journal().await);

        let mut pairs = api::pairs(written(40..43)).await;
        let mut ids = Vec::new();
        while let Some((a, b)) = pairs.next().await {
            ids.push((a.id(), b.map(|b| b.id())));
        }
        t.note("pairs", ids);
        t.note("dropped", journal().await);

        let mut given = api::give(100).await;
        t.note("one of many", given.next().await.map(|thing| thing.id()));
        let mut noted = journal().await;
        drop(given);
        noted.extend(journal().await);
        t.line(dropped_from(0, 1, &noted));
        t.text()
    }
}
