wit_bindgen::generate!({ world: "importer", path: "cases/streams-in-streams" });

use std::cell::RefCell;
use std::rc::Rc;

use case::streams_in_streams::api;
use conformance::Transcript;
use wit_bindgen::{FutureReader, StreamReader, spawn_local, yield_async};

struct Importer;
export!(Importer);

/// The messages to writers here.
type Told = Rc<RefCell<Vec<&'static str>>>;

type Wrapped = FutureReader<FutureReader<StreamReader<u8>>>;

fn no_stream() -> StreamReader<u8> {
    wit_stream::new().1
}

fn no_future() -> FutureReader<StreamReader<u8>> {
    wit_future::new(no_stream).1
}

/// Bytes in a stream in a future in a future, each written when somebody else has had a turn.
fn wrapped(bytes: Vec<u8>, told: &Told) -> Wrapped {
    let (outer, reader) = wit_future::new(no_future);
    let told = told.clone();
    spawn_local(async move {
        let (inner, future) = wit_future::new(no_stream);
        let (mut writer, stream) = wit_stream::new();
        yield_async().await;
        if outer.write(future).await.is_err() {
            told.borrow_mut().push("nobody reads the outer future");
            return;
        }
        yield_async().await;
        if inner.write(stream).await.is_err() {
            told.borrow_mut().push("nobody reads the inner future");
            return;
        }
        yield_async().await;
        match writer.write_all(bytes).await.is_empty() {
            true => told.borrow_mut().push("the bytes were read"),
            false => told.borrow_mut().push("nobody reads the bytes"),
        }
    });
    reader
}

async fn unwrap(wrapped: Wrapped) -> Vec<u8> {
    wrapped.await.await.collect().await
}

/// Numbers, each in a future.
fn numbers(count: u8, told: &Told) -> StreamReader<FutureReader<u8>> {
    let (mut writer, reader) = wit_stream::new();
    let told = told.clone();
    spawn_local(async move {
        for number in 0..count {
            let (value, future) = wit_future::new(|| 0);
            if writer.write_one(future).await.is_some() {
                told.borrow_mut().push("nobody reads the numbers");
                break;
            }
            spawn_local(async move {
                _ = value.write(number).await;
            });
        }
    });
    reader
}

/// The messages to writers on both sides when nothing is left to do.
async fn settled(told: &Told) -> (Vec<String>, Vec<&'static str>) {
    let mut journal = Vec::new();
    for _ in 0..200 {
        yield_async().await;
        journal.extend(api::journal());
    }
    (journal, told.take())
}

impl Guest for Importer {
    async fn inward() -> String {
        let (mut t, told) = (Transcript::default(), Told::default());
        t.note(
            "unwrapped",
            api::unwrap(wrapped(vec![1, 2, 3], &told)).await,
        );
        t.note("empty", api::unwrap(wrapped(vec![], &told)).await);
        t.note("each", api::each(numbers(20, &told)).await);
        t.note("none", api::each(numbers(0, &told)).await);
        let (mut writer, streams) = wit_stream::new();
        spawn_local(async move {
            for n in 0..3 {
                let (mut inner, stream) = wit_stream::new();
                writer.write_one(stream).await;
                let texts = (0..n).map(|i| format!("text {i} of {n}")).collect();
                inner.write_all(texts).await;
            }
        });
        t.note("all", api::all(streams).await);
        t.note("told", settled(&told).await);
        t.text()
    }

    async fn outward() -> String {
        let (mut t, told) = (Transcript::default(), Told::default());
        t.note("wrapped", unwrap(api::wrap(vec![9, 8, 7]).await).await);
        let mut numbers = api::numbers(20).await;
        let mut values = Vec::new();
        while let Some(number) = numbers.next().await {
            values.push(number.await);
        }
        t.note("numbers", values);
        // Begun together, and read the other way round.
        let (a, b) = (api::wrap(vec![1]).await, api::wrap(vec![2]).await);
        t.note("the second", unwrap(b).await);
        t.note("the first", unwrap(a).await);
        t.note("told", settled(&told).await);
        t.text()
    }

    async fn both_ways() -> String {
        let (mut t, told) = (Transcript::default(), Told::default());
        // Wasmtime lets one instance write and read a stream of numbers only, so each is only passed on.
        let back = api::through(api::wrap(vec![5, 6]).await).await;
        t.note("its own", unwrap(back).await);
        let twice = api::through(api::through(api::wrap(vec![7]).await).await).await;
        t.note("twice", unwrap(twice).await);
        t.note("told", settled(&told).await);
        t.text()
    }

    async fn refused() -> String {
        let (mut t, told) = (Transcript::default(), Told::default());
        // More than is asked for ahead over a wire.
        let (many, bytes) = (200, || vec![1; 1 << 20]);
        api::refuse(wrapped(bytes(), &told)).await;
        t.note("refused", settled(&told).await);
        api::refuse_inside(wrapped(bytes(), &told), 1).await;
        t.note("refused inside", settled(&told).await);
        api::refuse_inside(wrapped(bytes(), &told), 2).await;
        t.note("refused further inside", settled(&told).await);
        t.note("some", api::some(numbers(many, &told), 3).await);
        t.note("and no more", settled(&told).await);

        drop(api::wrap(bytes()).await);
        t.note("dropped", settled(&told).await);
        drop(api::wrap(bytes()).await.await);
        t.note("dropped inside", settled(&told).await);
        drop(api::wrap(bytes()).await.await.await);
        t.note("dropped further inside", settled(&told).await);
        let mut numbers = api::numbers(many).await;
        let first = numbers.next().await.unwrap();
        drop(numbers);
        t.note("the first is there", first.await);
        t.note("and no more", settled(&told).await);
        t.text()
    }
}
