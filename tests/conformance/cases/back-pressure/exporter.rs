wit_bindgen::generate!({ world: "exporter", path: "cases/back-pressure" });

use std::cell::Cell;
use std::rc::Rc;

use conformance::gate::Gate;
use exports::case::back_pressure::api::Guest;
use wit_bindgen::{StreamReader, spawn_local};

struct Exporter;
export!(Exporter);

thread_local! {
    static TAKEN: Cell<u32> = const { Cell::new(0) };
    static GO_ON: Rc<Gate> = Rc::default();
}

impl Guest for Exporter {
    async fn offer(n: u32, size: u32) -> StreamReader<Vec<u8>> {
        TAKEN.set(0);
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for _ in 0..n {
                if writer.write_one(vec![7; size as usize]).await.is_some() {
                    break;
                }
                TAKEN.set(TAKEN.get() + 1);
            }
        });
        reader
    }

    fn taken() -> u32 {
        TAKEN.get()
    }

    async fn slow(mut s: StreamReader<Vec<u8>>, n: u32) -> u32 {
        let mut read = 0;
        while read < n && s.next().await.is_some() {
            read += 1;
        }
        GO_ON.with(Rc::clone).wait().await;
        while s.next().await.is_some() {
            read += 1;
        }
        read
    }

    fn go_on() {
        GO_ON.with(|gate| gate.open());
    }
}
