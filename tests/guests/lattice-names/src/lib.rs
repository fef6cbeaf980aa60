//! Chooses between links by name, as components of wasmCloud v1 do.

wit_bindgen::generate!({ world: "lattice-names", path: "../wit", generate_all });

use exports::t::names::run::Guest;
use wasi::keyvalue::store::{self, Error};
use wasmcloud::bus::lattice::{CallTargetInterface, set_link_name};

struct LatticeNames;
export!(LatticeNames);

const KEY: &str = "link";

impl Guest for LatticeNames {
    fn run(links: Vec<String>) -> Vec<String> {
        let mut lines = Vec::new();
        for link in &links {
            if let Err(error) = over(link, |bucket| bucket.set(KEY, link.as_bytes())) {
                lines.push(format!("{link}: set: {error:?}"));
            }
        }
        for link in &links {
            lines.push(match over(link, |bucket| bucket.get(KEY)) {
                Ok(Some(value)) => format!("{link}: {}", String::from_utf8_lossy(&value)),
                Ok(None) => format!("{link}: nothing"),
                Err(error) => format!("{link}: get: {error:?}"),
            });
        }
        lines
    }
}

/// Does something with the store at the end of the link of this name.
fn over<T>(link: &str, f: impl FnOnce(&store::Bucket) -> Result<T, Error>) -> Result<T, Error> {
    set_link_name(
        link,
        vec![CallTargetInterface::new("wasi", "keyvalue", "store")],
    );
    f(&store::open("")?)
}
