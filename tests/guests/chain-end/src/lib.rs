//! Counts, for each trail, how often it came.

wit_bindgen::generate!({ world: "chain-end", path: "../wit", generate_all });

use exports::t::chain::step::Guest;
use wasi::keyvalue::{atomics, store};

struct ChainEnd;
export!(ChainEnd);

impl Guest for ChainEnd {
    fn step(trail: String) -> String {
        let bucket = store::open("").expect("a link without a bucket's name has one");
        let count =
            atomics::increment(&bucket, &trail, 1).expect("only this component writes here");
        format!("{trail} {count}")
    }
}
