//! Results with streams in them, of every form.

wit_bindgen::generate!({ world: "returns-p3", path: "../wit-0.3", generate_all });

use std::cell::RefCell;

use exports::t::returns::carts::{self, Cart, CartBorrow, GuestCart};
use exports::t::returns::streams::{Guest, Report};
use wit_bindgen::{FutureReader, StreamReader, StreamResult, spawn_local, yield_async};

struct Returns;
export!(Returns);

/// A stream of what is there.
fn stream_of(text: String) -> StreamReader<u8> {
    let (mut output, result) = wit_stream::new();
    spawn_local(async move {
        // The reader may stop early.
        output.write_all(text.into_bytes()).await;
    });
    result
}

impl Guest for Returns {
    async fn broken(n: u32) -> StreamReader<String> {
        let (mut output, result) = wit_stream::new();
        spawn_local(async move {
            for i in 0..n {
                output.write_one(format!("line {i}")).await;
            }
            panic!("nothing more is there");
        });
        result
    }

    async fn read(fails: bool) -> (StreamReader<u8>, FutureReader<Result<(), String>>) {
        let (mut output, bytes) = wit_stream::new();
        let (writer, outcome) = wit_future::new(|| Ok(()));
        spawn_local(async move {
            output.write_all(b"some bytes".to_vec()).await;
            drop(output);
            let how = match fails {
                true => Err("the disk is gone".to_owned()),
                false => Ok(()),
            };
            _ = writer.write(how).await;
        });
        (bytes, outcome)
    }

    async fn titled(title: String) -> Report {
        let body = stream_of(format!("about {title}\n"));
        Report { title, body }
    }

    async fn both(n: u32) -> (StreamReader<u32>, StreamReader<String>) {
        let (mut numbers, first) = wit_stream::new();
        let (mut texts, second) = wit_stream::new();
        spawn_local(async move {
            for i in 0..n {
                numbers.write_one(i).await;
                texts.write_one(format!("is {i}")).await;
            }
        });
        (first, second)
    }

    async fn nested() -> StreamReader<StreamReader<u8>> {
        let (mut output, result) = wit_stream::new();
        spawn_local(async move {
            for text in ["one", "two"] {
                output.write_one(stream_of(text.into())).await;
            }
        });
        result
    }

    async fn maybe(n: u32) -> Result<StreamReader<u32>, String> {
        if n == 0 {
            return Err("there are none".into());
        }
        let (mut output, result) = wit_stream::new();
        spawn_local(async move {
            for i in 0..n {
                output.write_one(i).await;
            }
        });
        Ok(result)
    }

    async fn endless() -> StreamReader<u8> {
        let (mut output, result) = wit_stream::new();
        spawn_local(async move { while output.write_all(b"more\n".to_vec()).await.is_empty() {} });
        result
    }

    async fn silent() -> StreamReader<u32> {
        let (output, result) = wit_stream::new::<u32>();
        spawn_local(async move {
            loop {
                yield_async().await;
                std::hint::black_box(&output);
            }
        });
        result
    }

    async fn sum(mut input: StreamReader<u32>) -> u64 {
        let mut sum = 0;
        loop {
            let (status, numbers) = input.read(Vec::with_capacity(16)).await;
            sum += numbers.iter().map(|n| u64::from(*n)).sum::<u64>();
            if !matches!(status, StreamResult::Complete(_)) {
                return sum;
            }
        }
    }

    async fn total(report: Report, factor: FutureReader<u32>) -> u64 {
        let body = report.body.collect().await;
        u64::from(factor.await) * (report.title.len() + body.len()) as u64
    }
}

struct Items(RefCell<Vec<String>>);

impl carts::Guest for Returns {
    type Cart = Items;
}

impl GuestCart for Items {
    fn new(owner: String) -> Self {
        Self(vec![format!("of {owner}")].into())
    }

    fn add(&self, item: String) {
        self.0.borrow_mut().push(item);
    }

    async fn items(&self) -> StreamReader<String> {
        let items = self.0.borrow().clone();
        let (mut output, result) = wit_stream::new();
        spawn_local(async move {
            output.write_all(items).await;
        });
        result
    }

    fn merge(a: Cart, b: Cart) -> Cart {
        let mut items = a.get::<Self>().0.take();
        items.append(&mut b.get::<Self>().0.borrow_mut());
        Cart::new(Self(items.into()))
    }

    fn is_same(&self, other: CartBorrow<'_>) -> bool {
        *self.0.borrow() == *other.get::<Self>().0.borrow()
    }
}
