wit_bindgen::generate!({ world: "exporter", path: "cases/async-functions" });

use std::cell::Cell;

use conformance::journal::{self, journal};
use exports::case::async_functions::api::{Account, AccountBorrow, Guest, GuestAccount, Item};
use wit_bindgen::yield_async;

struct Exporter;
export!(Exporter);

struct Balance(Cell<u32>);

impl Drop for Balance {
    fn drop(&mut self) {
        journal!("drop account of {}", self.0.get());
    }
}

impl GuestAccount for Balance {
    fn new(balance: u32) -> Self {
        Self(Cell::new(balance))
    }

    async fn open(balance: u32) -> Result<Account, String> {
        yield_async().await;
        if balance == 0 {
            return Err("nothing to open it with".into());
        }
        Ok(Account::new(Self::new(balance)))
    }

    async fn deposit(&self, amount: u32) -> u32 {
        yield_async().await;
        self.0.set(self.0.get() + amount);
        self.0.get()
    }

    fn balance(&self) -> u32 {
        self.0.get()
    }
}

impl Guest for Exporter {
    type Account = Balance;

    async fn add(a: u32, b: u32) -> u32 {
        for _ in 0..10 {
            yield_async().await;
        }
        a.wrapping_add(b)
    }

    async fn add_at_once(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn add_plainly(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    async fn nothing() {
        yield_async().await;
        journal!("nothing");
    }

    async fn items(names: Vec<String>) -> Vec<Item> {
        yield_async().await;
        (0..)
            .zip(names)
            .map(|(id, name)| Item { id, name })
            .collect()
    }

    async fn attempt(fail: bool) -> Result<Item, String> {
        yield_async().await;
        if fail {
            return Err("as asked".into());
        }
        Ok(Item {
            id: u32::MAX,
            name: "ß".into(),
        })
    }

    async fn many(
        a: u8,
        b: u16,
        c: u32,
        d: u64,
        e: f32,
        f: f64,
        g: char,
        h: String,
        i: Vec<u8>,
        j: i8,
        k: i16,
        l: i32,
    ) -> String {
        yield_async().await;
        format!("{:?}", (a, b, c, d, e, f, g, h, i, j, k, l))
    }

    async fn transfer(to: AccountBorrow<'_>, others: Vec<Account>) -> u32 {
        let to: &Balance = to.get();
        for other in others {
            yield_async().await;
            let amount = other.get::<Balance>().0.take();
            to.0.set(to.0.get() + amount);
        }
        to.0.get()
    }

    async fn large(mut bytes: Vec<u8>) -> Vec<u8> {
        yield_async().await;
        bytes.reverse();
        bytes
    }

    fn journal() -> Vec<String> {
        journal::take()
    }
}
