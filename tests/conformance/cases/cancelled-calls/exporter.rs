wit_bindgen::generate!({ world: "exporter", path: "cases/cancelled-calls" });

use std::future::pending;

use conformance::journal::{self, journal};
use exports::case::cancelled_calls::api::{Guest, GuestThing, Thing};
use wit_bindgen::{StreamReader, yield_async};

struct Exporter;
export!(Exporter);

struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        journal!("drop {}", self.0);
    }
}

impl GuestThing for Named {
    fn new(name: String) -> Self {
        Self(name)
    }
}

async fn hang(name: String) -> String {
    journal!("{name} is called");
    let _held = Named(name);
    pending().await
}

impl Guest for Exporter {
    type Thing = Named;

    async fn hang(name: String) -> String {
        hang(name).await
    }

    async fn hang_with(thing: Thing) -> u32 {
        journal!("with {}", thing.get::<Named>().0);
        pending::<()>().await;
        drop(thing);
        0
    }

    async fn hang_reading(mut s: StreamReader<u8>) -> u32 {
        let mut sum = 0;
        while let Some(byte) = s.next().await {
            journal!("read {byte}");
            sum += u32::from(byte);
        }
        sum
    }

    async fn hang_nested(name: String) -> String {
        let _held = Named(format!("outer {name}"));
        yield_async().await;
        hang(format!("inner {name}")).await
    }

    async fn add(a: u32, b: u32) -> u32 {
        yield_async().await;
        a + b
    }

    fn tick() {}

    fn journal() -> Vec<String> {
        journal::take()
    }
}
