//! Uses asynchronous functions, streams and futures over a link.

wit_bindgen::generate!({ world: "async-p3-user", path: "../wit-0.3", generate_all });

use std::fmt::Debug;

use exports::t::streams::run::Guest;
use t::streams::pipe;
use wit_bindgen::{StreamReader, spawn_local};

/// How many bytes `flow` writes at a time.
const PIECE: usize = 64 * 1024;

struct AsyncP3User;
export!(AsyncP3User);

impl Guest for AsyncP3User {
    async fn run() -> Result<(), String> {
        same("add", 3, pipe::add(1, 2).await)?;

        let text = "stream of bytes ".repeat(2000);
        same(
            "count",
            text.len() as u64,
            pipe::count(written(text.clone())).await,
        )?;
        same(
            "count of nothing",
            0,
            pipe::count(written(String::new())).await,
        )?;

        let upper = pipe::upper(written(text.clone())).await.collect().await;
        same("upper", text.to_uppercase().into_bytes(), upper)?;

        let items = pipe::items(100).await.collect().await;
        let names: Vec<_> = items
            .iter()
            .map(|item| (item.id, item.name.clone()))
            .collect();
        same(
            "items",
            (0..100).map(|id| (id, format!("item {id}"))).collect(),
            names,
        )?;

        // One item is taken and the rest is left: the writer must not be stuck.
        let mut some = pipe::items(100).await;
        same("first item", Some(0), some.next().await.map(|item| item.id))?;
        drop(some);

        same(
            "later",
            "done: text".to_string(),
            pipe::later("text".into()).await.await,
        )?;

        let (writer, reader) = wit_future::new(String::new);
        spawn_local(async move {
            // A reader that is gone shows in the result of the call.
            _ = writer.write("ab".into()).await;
        });
        same("twice", "abab".to_string(), pipe::twice(reader).await)?;

        // The future is read to its end before its stream is.
        let stream = pipe::nested(text.clone()).await.await;
        same("nested", text.into_bytes(), stream.collect().await)
    }

    async fn flow(mib: u32) -> u64 {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            let mut piece = vec![7; PIECE];
            for _ in 0..u64::from(mib) * 1024 * 1024 / PIECE as u64 {
                // The write gives back its rest: nothing, unless nobody reads any more.
                let left = writer.write_all(piece).await;
                if !left.is_empty() {
                    return;
                }
                piece = left;
                piece.resize(PIECE, 7);
            }
        });
        pipe::count(reader).await
    }
}

fn same<T: PartialEq + Debug>(what: &str, expected: T, found: T) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}

/// A stream of these bytes.
fn written(text: String) -> StreamReader<u8> {
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move {
        // Whoever reads may stop early.
        writer.write_all(text.into_bytes()).await;
    });
    reader
}
