wit_bindgen::generate!({ world: "importer", path: "cases/large-values" });

use case::large_values::api;
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        let bytes: Vec<u8> = (0..8 << 20).map(|i: u32| (i % 251) as u8).collect();
        let inverted = api::invert(&bytes);
        t.note("8 MiB", inverted.len());
        t.note(
            "inverted",
            bytes.iter().zip(&inverted).all(|(a, b)| *a == !*b),
        );
        let numbers: Vec<u64> = (0..500_000).map(|i| i << 32).collect();
        t.note("sum", api::sum(&numbers));
        let strings: Vec<String> = (0..100_000).map(|i| format!("string {i}")).collect();
        let answer = api::strings(&strings);
        t.note("100,000 strings", answer.len());
        t.note(
            "each",
            answer
                .iter()
                .zip(&strings)
                .all(|(a, b)| *a == format!("{b}!")),
        );
        let points = api::points(50_000);
        t.note("points", points.len());
        t.note("one", points[49_998]);
        t.note("another", points[1]);
        let lists: Vec<Vec<u32>> = (0..10_000).map(|i| vec![i; (i % 20) as usize]).collect();
        let sums = api::lists(&lists);
        t.note("sums", (sums.len(), sums[9_999], sums.iter().sum::<u64>()));
        t.text()
    }
}
