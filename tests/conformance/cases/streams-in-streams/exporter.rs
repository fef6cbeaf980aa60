wit_bindgen::generate!({ world: "exporter", path: "cases/streams-in-streams" });

use conformance::journal::{self, journal};
use exports::case::streams_in_streams::api::Guest;
use wit_bindgen::{FutureReader, StreamReader, spawn_local, yield_async};

struct Exporter;
export!(Exporter);

type Wrapped = FutureReader<FutureReader<StreamReader<u8>>>;

fn no_stream() -> StreamReader<u8> {
    wit_stream::new().1
}

fn no_future() -> FutureReader<StreamReader<u8>> {
    wit_future::new(no_stream).1
}

impl Guest for Exporter {
    async fn unwrap(f: Wrapped) -> Vec<u8> {
        f.await.await.collect().await
    }

    async fn each(mut s: StreamReader<FutureReader<u8>>) -> Vec<u8> {
        let mut values = Vec::new();
        while let Some(number) = s.next().await {
            values.push(number.await);
        }
        values
    }

    async fn all(mut s: StreamReader<StreamReader<String>>) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        while let Some(texts) = s.next().await {
            all.push(texts.collect().await);
        }
        all
    }

    async fn wrap(bytes: Vec<u8>) -> Wrapped {
        let (outer, reader) = wit_future::new(no_future);
        spawn_local(async move {
            let (inner, future) = wit_future::new(no_stream);
            let (mut writer, stream) = wit_stream::new();
            yield_async().await;
            if outer.write(future).await.is_err() {
                journal!("nobody reads the outer future");
                return;
            }
            yield_async().await;
            if inner.write(stream).await.is_err() {
                journal!("nobody reads the inner future");
                return;
            }
            yield_async().await;
            match writer.write_all(bytes).await.is_empty() {
                true => journal!("the bytes were read"),
                false => journal!("nobody reads the bytes"),
            }
        });
        reader
    }

    async fn numbers(count: u8) -> StreamReader<FutureReader<u8>> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for number in 0..count {
                let (value, future) = wit_future::new(|| 0);
                if writer.write_one(future).await.is_some() {
                    journal!("nobody reads the numbers");
                    break;
                }
                spawn_local(async move {
                    _ = value.write(number).await;
                });
            }
        });
        reader
    }

    async fn through(f: Wrapped) -> Wrapped {
        f
    }

    async fn refuse(f: Wrapped) {
        drop(f);
    }

    async fn refuse_inside(f: Wrapped, layers: u8) {
        let inner = f.await;
        if layers > 1 {
            drop(inner.await);
        }
    }

    async fn some(mut s: StreamReader<FutureReader<u8>>, count: u32) -> Vec<u8> {
        let mut values = Vec::new();
        for _ in 0..count {
            match s.next().await {
                Some(number) => values.push(number.await),
                None => break,
            }
        }
        values
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}
