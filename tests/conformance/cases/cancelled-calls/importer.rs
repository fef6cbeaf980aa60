wit_bindgen::generate!({ world: "importer", path: "cases/cancelled-calls" });

use std::pin::pin;

use case::cancelled_calls::api::{self, Thing};
use conformance::Transcript;
use futures::future::{Either, select};
use wit_bindgen::yield_async;

struct Importer;
export!(Importer);

/// Gives everybody their turn, wherever they run.
async fn turns() {
    for _ in 0..100 {
        yield_async().await;
        api::tick();
    }
}

/// Calls, gives up after a while, and says whether the call was still under way.
async fn given_up<T>(call: impl Future<Output = T>) -> bool {
    matches!(select(pin!(call), pin!(turns())).await, Either::Right(_))
}

async fn journal() -> Vec<String> {
    turns().await;
    api::journal()
}

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        api::tick();
        t.note("given up", given_up(api::hang("a".into())).await);
        t.note("journal", journal().await);
        t.note("it can be called", api::add(1, 2).await);
        t.note("given up", given_up(api::hang_nested("b".into())).await);
        t.note("journal", journal().await);
        t.note("given up", given_up(api::hang_with(Thing::new("c"))).await);
        t.note("journal", journal().await);

        let (mut writer, reader) = wit_stream::new();
        let reading = async {
            let write = async {
                writer.write_all(vec![1, 2]).await;
                std::future::pending::<()>().await;
            };
            futures::future::join(api::hang_reading(reader), write).await
        };
        t.note("given up", given_up(reading).await);
        t.note("journal", journal().await);
        t.note("nobody reads", writer.write_all(vec![3]).await);

        let mut all = Vec::new();
        for i in 0..50 {
            all.push(Box::pin(api::hang(format!("{i}"))));
        }
        let all = futures::future::join_all(all);
        t.note("fifty given up", given_up(all).await);
        t.note("journal", journal().await.len());
        t.note("not given up", given_up(api::add(3, 4)).await);
        // A call that was never made.
        drop(api::hang("d".into()));
        t.note("journal", journal().await);
        t.note("it can be called", api::add(5, 6).await);
        t.text()
    }
}
