//! Passes calls on.

wit_bindgen::generate!({ world: "names-front", path: "../wit", generate_all });

use exports::t::names::run::Guest;

struct Front;
export!(Front);

impl Guest for Front {
    fn run(names: Vec<String>) -> Vec<String> {
        t::names::run::run(&names)
    }
}
