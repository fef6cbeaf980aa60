//! Renders the page that a browser shows, as the visits come.

wit_bindgen::generate!({ world: "page-component", path: "../wit-0.3", generate_all });

#[path = "../../page/src/html.rs"]
mod html;

use exports::withe_examples::visits::page::{Guest, View, Visit};
use wit_bindgen::{StreamReader, StreamWriter, spawn_local};

struct Page;
export!(Page);

impl Guest for Page {
    async fn render(view: View, top: StreamReader<Visit>) -> StreamReader<u8> {
        let (page, reader) = wit_stream::new();
        spawn_local(async move {
            // Nobody is left to tell when the visitor leaves early.
            _ = write(page, view, top).await;
        });
        reader
    }
}

/// The reader has gone.
struct Unread;

async fn write(
    mut page: StreamWriter<u8>,
    view: View,
    mut top: StreamReader<Visit>,
) -> Result<(), Unread> {
    let mut say = async |text: String| match page.write_all(text.into_bytes()).await {
        left if left.is_empty() => Ok(()),
        _ => Err(Unread),
    };
    say(html::opening(&view.greeting, view.visit, &view.now)).await?;
    while let Some(visit) = top.next().await {
        say(html::row(&visit)).await?;
    }
    say(html::CLOSING.into()).await
}
