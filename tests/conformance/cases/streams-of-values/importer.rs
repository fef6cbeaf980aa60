wit_bindgen::generate!({ world: "importer", path: "cases/streams-of-values" });

use case::streams_of_values::api::{self, Access, Colour, Item, Shape};
use conformance::Transcript;
use wit_bindgen::{StreamReader, spawn_local};

struct Importer;
export!(Importer);

/// A stream of these values, written all at once.
fn written<T: wit_stream::StreamPayload>(values: Vec<T>) -> StreamReader<T> {
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move {
        writer.write_all(values).await;
    });
    reader
}

fn strings(strings: &[&str]) -> Vec<String> {
    strings.iter().map(|&string| string.into()).collect()
}

impl Guest for Importer {
    async fn run() -> String {
        let mut t = Transcript::default();
        let numbers = api::numbers(written(vec![0, 1 << 63, u64::MAX])).await;
        t.note("numbers", numbers.collect().await);
        let floats = api::floats(written(vec![-0.0, f32::NAN, f32::MIN])).await;
        t.note("floats", floats.collect().await);
        let bools = api::bools(written(vec![true, false, true])).await;
        t.note("bools", bools.collect().await);
        let texts = api::strings(written(strings(&["", "a", "ß🦀"]))).await;
        t.note("strings", texts.collect().await);
        let item = |id, name: &str, weight| Item {
            id,
            name: name.into(),
            weight,
        };
        let items = vec![item(0, "", None), item(255, "last", Some(0.5))];
        t.note("items", api::items(written(items)).await.collect().await);
        let shapes = vec![
            Shape::None,
            Shape::Circle(1.5),
            Shape::Named("n".into()),
            Shape::Many(vec![1, 2]),
            Shape::Many(vec![]),
        ];
        t.note("shapes", api::shapes(written(shapes)).await.collect().await);
        let colours = vec![Colour::Blue, Colour::Red, Colour::Green];
        t.note(
            "colours",
            api::colours(written(colours)).await.collect().await,
        );
        let accesses = vec![Access::empty(), Access::READ | Access::RUN, Access::all()];
        t.note(
            "accesses",
            api::accesses(written(accesses)).await.collect().await,
        );
        let lists = vec![strings(&[]), strings(&["a", ""]), strings(&["ß"])];
        t.note("lists", api::lists(written(lists)).await.collect().await);
        let tuples = api::tuples(written(vec![(1, u64::MAX), (2, 0)])).await;
        t.note("tuples", tuples.collect().await);
        let results = vec![Ok(1), Err("no".into()), Ok(2)];
        t.note(
            "results",
            api::results(written(results)).await.collect().await,
        );
        t.note("units", api::units(written(vec![(); 1000])).await);
        t.note(
            "given units",
            api::give_units(7).await.collect().await.len(),
        );

        t.note(
            "no numbers",
            api::numbers(written(vec![])).await.collect().await,
        );
        t.note(
            "no strings",
            api::strings(written(vec![])).await.collect().await,
        );
        let many: Vec<String> = (0..10_000).map(|i| format!("string {i}")).collect();
        let back = api::strings(written(many.clone())).await.collect().await;
        t.note("many strings", back == many);
        let many: Vec<u64> = (0..100_000).collect();
        let back = api::numbers(written(many.clone())).await.collect().await;
        t.note("many numbers", back == many);
        t.text()
    }
}
