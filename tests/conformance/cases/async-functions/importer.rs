wit_bindgen::generate!({ world: "importer", path: "cases/async-functions" });

use case::async_functions::api::{self, Account};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        t.note("add", api::add(u32::MAX, 3).await);
        t.note("at once", api::add_at_once(1, 2).await);
        t.note("plainly", api::add_plainly(3, 4));
        api::nothing().await;
        t.note("journal", api::journal());
        t.note("items", api::items(vec!["a".into(), String::new()]).await);
        t.note("no items", api::items(vec![]).await);
        t.note("attempt", api::attempt(false).await);
        t.note("failed", api::attempt(true).await);
        let many = api::many(
            1,
            2,
            3,
            u64::MAX,
            0.5,
            -0.0,
            '🦀',
            "text".into(),
            vec![1, 2, 3],
            -1,
            -2,
            -3,
        );
        t.note("many", many.await);

        let account = Account::new(10);
        t.note("deposit", (account.deposit(5).await, account.balance()));
        t.note("open nothing", Account::open(0).await.is_err());
        let others = vec![Account::open(100).await.unwrap(), Account::new(1000)];
        t.note("transfer", api::transfer(&account, others).await);
        t.note("two dropped", api::journal());
        drop(account);
        t.note("one dropped", api::journal());

        let bytes: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
        let mut answer = api::large(bytes.clone()).await;
        answer.reverse();
        t.note("large", answer == bytes);
        t.text()
    }
}
