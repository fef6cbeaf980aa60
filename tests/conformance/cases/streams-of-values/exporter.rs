wit_bindgen::generate!({ world: "exporter", path: "cases/streams-of-values" });

use exports::case::streams_of_values::api::{Access, Colour, Guest, Item, Shape};
use wit_bindgen::{StreamReader, spawn_local};

struct Exporter;
export!(Exporter);

/// Every value is passed on when it comes, and those that come together, together.
macro_rules! passed_on {
    ($($function:ident: $ty:ty),* $(,)?) => {
        $(async fn $function(mut s: StreamReader<$ty>) -> StreamReader<$ty> {
            let (mut writer, reader) = wit_stream::new();
            spawn_local(async move {
                while let Some(value) = s.next().await {
                    if writer.write_one(value).await.is_some() {
                        break;
                    }
                }
            });
            reader
        })*
    };
}

impl Guest for Exporter {
    passed_on! {
        numbers: u64, floats: f32, bools: bool, strings: String, items: Item, shapes: Shape,
        colours: Colour, accesses: Access, lists: Vec<String>, tuples: (u8, u64),
        results: Result<u32, String>,
    }

    async fn units(s: StreamReader<()>) -> u32 {
        s.collect().await.len() as u32
    }

    async fn give_units(n: u32) -> StreamReader<()> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            writer.write_all(vec![(); n as usize]).await;
        });
        reader
    }
}
