wit_bindgen::generate!({ world: "exporter", path: "cases/after-the-return" });

use std::cell::Cell;

use exports::case::after_the_return::api::Guest;
use wit_bindgen::{StreamReader, StreamResult, spawn_local, yield_async};

struct Exporter;
export!(Exporter);

thread_local! {
    static SWALLOWED: Cell<u64> = const { Cell::new(0) };
    static WORKED: Cell<u32> = const { Cell::new(0) };
    static BUSY: Cell<u32> = const { Cell::new(0) };
}

impl Guest for Exporter {
    async fn tick(n: u32) -> StreamReader<u32> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for i in 0..n {
                for _ in 0..5 {
                    yield_async().await;
                }
                writer.write_one(i).await;
            }
        });
        reader
    }

    async fn swallow(mut s: StreamReader<u8>) {
        BUSY.set(BUSY.get() + 1);
        spawn_local(async move {
            loop {
                let (result, bytes) = s.read(Vec::with_capacity(1000)).await;
                SWALLOWED.set(SWALLOWED.get() + bytes.len() as u64);
                if !matches!(result, StreamResult::Complete(_)) {
                    break;
                }
            }
            BUSY.set(BUSY.get() - 1);
        });
    }

    fn swallowed() -> u64 {
        SWALLOWED.get()
    }

    async fn work(turns: u32) {
        BUSY.set(BUSY.get() + 1);
        spawn_local(async move {
            for _ in 0..turns {
                yield_async().await;
                WORKED.set(WORKED.get() + 1);
            }
            BUSY.set(BUSY.get() - 1);
        });
    }

    fn worked() -> u32 {
        WORKED.get()
    }

    async fn idle() {
        while BUSY.get() > 0 {
            yield_async().await;
        }
    }
}
