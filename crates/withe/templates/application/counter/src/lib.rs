//! Counts, in a key-value store.

wit_bindgen::generate!({ world: "counter-component", path: "../wit", generate_all });

use exports::example::{{file}}::counter::Guest;
use wasi::keyvalue::{atomics, store};

struct Counter;
export!(Counter);

impl Guest for Counter {
    fn count(what: String) -> Result<u64, String> {
        let bucket = store::open("default").map_err(|error| format!("no store: {error:?}"))?;
        atomics::increment(&bucket, &key(&what), 1).map_err(|error| format!("not counted: {error:?}"))
    }
}

/// Under which key something is counted.
fn key(what: &str) -> String {
    format!("count:{what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_apart_from_those_of_others() {
        assert_eq!(key("/a"), "count:/a");
    }
}
