wit_bindgen::generate!({ world: "importer", path: "cases/after-the-return" });

use case::after_the_return::api;
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        let mut ticks = api::tick(10).await;
        t.note("tick", ticks.next().await);
        // Other calls come and go meanwhile.
        api::idle().await;
        t.note("the rest", ticks.collect().await);

        let (mut writer, reader) = wit_stream::new();
        api::swallow(reader).await;
        t.note("nothing swallowed", api::swallowed());
        let unread = writer.write_all(vec![1; 100_000]).await;
        t.note("unread", unread.len());
        drop(writer);
        api::idle().await;
        t.note("swallowed", api::swallowed());

        api::work(1000).await;
        api::idle().await;
        t.note("worked", api::worked());
        t.text()
    }
}
