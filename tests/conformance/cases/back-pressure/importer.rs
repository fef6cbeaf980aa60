wit_bindgen::generate!({ world: "importer", path: "cases/back-pressure" });

use std::cell::Cell;
use std::rc::Rc;

use case::back_pressure::api;
use conformance::Transcript;
use futures::future::join;
use wit_bindgen::{spawn_local, yield_async};

struct Importer;
export!(Importer);

/// The number of elements offered.
const N: u32 = 1000;

/// The most elements that may be on their way.
const FEW: u32 = 16;

async fn settle() {
    for _ in 0..200 {
        yield_async().await;
        // Somebody else is asked, so that all get their turn.
        api::taken();
    }
}

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        for size in [1, 64 << 10] {
            let mut offered = api::offer(N, size).await;
            settle().await;
            t.note("few taken before any is read", api::taken() <= FEW);
            for _ in 0..3 {
                t.note("read", offered.next().await.map(|item| item.len()));
            }
            settle().await;
            let taken = api::taken();
            t.note("few more than three", (3..=3 + FEW).contains(&taken));
            t.note("the rest", offered.collect().await.len());
        }

        let (mut writer, reader) = wit_stream::new();
        let taken = Rc::new(Cell::new(0));
        let count = taken.clone();
        spawn_local(async move {
            for _ in 0..N {
                if writer.write_one(vec![7; 1000]).await.is_some() {
                    break;
                }
                count.set(count.get() + 1);
            }
        });
        let look = async {
            settle().await;
            t.note("few more than five", (5..=5 + FEW).contains(&taken.get()));
            api::go_on();
        };
        let (read, ()) = join(api::slow(reader, 5), look).await;
        t.note("all read", read);
        t.note("all taken", taken.get());
        t.text()
    }
}
