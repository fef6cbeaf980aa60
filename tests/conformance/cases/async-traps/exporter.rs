wit_bindgen::generate!({ world: "exporter", path: "cases/async-traps" });

use std::future::pending;

use exports::case::async_traps::api::Guest;
use wit_bindgen::{FutureReader, StreamReader, spawn_local, yield_async};

struct Exporter;
export!(Exporter);

async fn trap(turns: u32) -> u32 {
    for _ in 0..turns {
        yield_async().await;
    }
    panic!("after {turns} turns");
}

impl Guest for Exporter {
    async fn trap(turns: u32) -> u32 {
        trap(turns).await
    }

    async fn hang() {
        pending().await
    }

    async fn stream_then_trap(n: u32) -> StreamReader<u8> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            writer.write_all(vec![1; n as usize]).await;
            trap(10).await;
        });
        reader
    }

    async fn trap_reading(mut s: StreamReader<u8>) {
        s.next().await;
        trap(10).await;
    }

    async fn future_then_trap() -> FutureReader<String> {
        let (writer, reader) = wit_future::new(String::new);
        spawn_local(async move {
            trap(10).await;
            drop(writer);
        });
        reader
    }
}
