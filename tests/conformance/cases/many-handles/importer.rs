wit_bindgen::generate!({ world: "importer", path: "cases/many-handles" });

use case::many_handles::api::{self, Cell};
use conformance::Transcript;

struct Importer;
export!(Importer);

const N: u32 = 10_000;
/// How many calls are made one after the other: each takes two turns of the scheduler where the callee is another
/// process, and that is long on a busy machine.
const FEW: u32 = 200;

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        let mut cells = api::make(N);
        t.note("made", (cells.len(), api::alive()));
        t.note(
            "values",
            cells
                .iter()
                .enumerate()
                .step_by((N / FEW) as usize)
                .all(|(i, cell)| cell.value() == i as u32),
        );
        t.note("sum", api::sum(&cells.iter().collect::<Vec<_>>()));
        // Every other one goes, and its place may be taken again.
        let mut stays = false;
        cells.retain(|_| {
            stays = !stays;
            stays
        });
        t.note("half", (cells.len(), api::alive()));
        cells.extend((0..FEW).map(|i| Cell::new(N + i)));
        t.note("filled up", (cells.len(), api::alive()));
        t.note("sum", api::sum(&cells.iter().rev().collect::<Vec<_>>()));
        t.note("taken", (api::take(cells), api::alive()));
        let sum: u64 = (0..FEW).map(|i| u64::from(Cell::new(i).value())).sum();
        t.note("one after the other", (sum, api::alive()));
        t.text()
    }
}
