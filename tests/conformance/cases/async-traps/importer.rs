wit_bindgen::generate!({ world: "importer", path: "cases/async-traps" });

use case::async_traps::api;
use futures::future::join3;
use wit_bindgen::yield_async;

struct Importer;
export!(Importer);

impl Guest for Importer {
    async fn at_once() -> String {
        api::trap(0).await.to_string()
    }

    async fn after_a_while() -> String {
        api::trap(50).await.to_string()
    }

    async fn with_others() -> String {
        join3(api::hang(), api::trap(5), api::hang()).await;
        "not reached".into()
    }

    async fn in_a_stream() -> String {
        let stream = api::stream_then_trap(5).await;
        format!("{:?}", stream.collect().await)
    }

    async fn of_a_reader() -> String {
        let (mut writer, reader) = wit_stream::new();
        let write = async {
            writer.write_all(vec![1; 1000]).await;
        };
        futures::future::join(api::trap_reading(reader), write).await;
        "not reached".into()
    }

    async fn in_a_future() -> String {
        api::future_then_trap().await.await
    }

    async fn of_the_caller() -> String {
        futures::future::join(api::hang(), async {
            yield_async().await;
            panic!("of the caller");
        })
        .await;
        "not reached".into()
    }
}
