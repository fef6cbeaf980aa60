//! Goes one step further, and says who did.

wit_bindgen::generate!({ world: "chain-middle", path: "../wit", generate_all });

use exports::t::chain::step::Guest;
use t::chain::step;

struct ChainMiddle;
export!(ChainMiddle);

impl Guest for ChainMiddle {
    fn step(trail: String) -> String {
        let who = std::env::var("WHO").unwrap_or_default();
        step::step(&format!("{trail} {who}"))
    }
}
