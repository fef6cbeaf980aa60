wit_bindgen::generate!({ world: "importer", path: "cases/concurrent-calls" });

use case::concurrent_calls::api;
use conformance::Transcript;
use futures::future::{join, join_all};
use wit_bindgen::yield_async;

struct Importer;
export!(Importer);

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        // A wire does not promise that calls begin in the order in which they were made.
        let second = async {
            while api::under_way() == 0 {
                yield_async().await;
            }
            api::second("b".into()).await
        };
        t.note("both", join(api::first("a".into()), second).await);
        t.note("journal", api::journal());

        // A call that comes when the gate is open does not wait.
        t.note("third", api::first("c".into()).await);

        let numbers = join_all((0..100).map(|_| api::meet(100))).await;
        t.note("met", (numbers.len(), numbers.iter().sum::<u32>()));

        let counts = join(api::count("x".into(), 3), api::count("y".into(), 5)).await;
        t.note("counts", counts);
        let mut journal = api::journal();
        journal.sort();
        t.note("journal", journal);
        t.note("under way", api::under_way());
        t.text()
    }

    async fn plain_call_meanwhile() -> String {
        let plain = async { api::under_way() };
        let both = join(api::count("x".into(), 3), plain).await;
        format!("{both:?}")
    }
}
