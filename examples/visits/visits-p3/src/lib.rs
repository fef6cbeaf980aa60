//! Counts visits, and streams those that are asked for.

wit_bindgen::generate!({ world: "visits-component", path: "../wit-0.3", generate_all });

#[path = "../../visits/src/count.rs"]
mod count;

use exports::withe_examples::visits::visits::{Guest, Visit, VisitError};
use wit_bindgen::{StreamReader, spawn_local};

struct Visits;
export!(Visits);

impl Guest for Visits {
    async fn hit(path: String, visitor: Option<String>) -> Result<Visit, VisitError> {
        count::hit(path, visitor)
    }

    async fn top(limit: u32) -> Result<StreamReader<Visit>, VisitError> {
        let visits = count::top(limit)?;
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            // Whoever has read enough leaves.
            _ = writer.write_all(visits).await;
        });
        Ok(reader)
    }
}
