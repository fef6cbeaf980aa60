wit_bindgen::generate!({ world: "importer", path: "cases/held-calls" });

use case::held_calls::api;
use conformance::Transcript;
use futures::future::{join, join_all};

struct Importer;
export!(Importer);

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        t.note("before", api::call("a".into()).await);
        let calls = join_all(["b", "c", "d"].map(|name| api::call(name.into())));
        let ((), numbers) = join(api::close(50), calls).await;
        t.note("numbers", numbers);
        t.note("after", api::call("e".into()).await);
        t.note("journal", api::journal().await);
        t.text()
    }
}
