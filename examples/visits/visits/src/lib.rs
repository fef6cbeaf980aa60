//! Counts visits.

wit_bindgen::generate!({ world: "visits-component", path: "../wit", generate_all });

mod count;

use exports::withe_examples::visits::visits::{Guest, Visit, VisitError};

struct Visits;
export!(Visits);

impl Guest for Visits {
    fn hit(path: String, visitor: Option<String>) -> Result<Visit, VisitError> {
        count::hit(path, visitor)
    }

    fn top(limit: u32) -> Result<Vec<Visit>, VisitError> {
        count::top(limit)
    }
}
