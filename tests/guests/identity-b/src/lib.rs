//! The second of two components that look at who they are. Both ask for the same keys, and must get
//! different answers.

wit_bindgen::generate!({ world: "identity-b", path: "../wit", generate_all });

use exports::t::identity::other::Guest;
use wasi::config::store as config;
use wasi::keyvalue::store as keyvalue;
use wasi::logging::logging::{Level, log};

struct IdentityB;
export!(IdentityB);

const ME: &str = "b";

impl Guest for IdentityB {
    fn report() -> Vec<String> {
        log(Level::Info, "identity", "b was asked");
        vec![
            format!("{ME} config who: {:?}", config::get("who")),
            format!("{ME} env WHO: {:?}", std::env::var("WHO").ok()),
            format!("{ME} keyvalue last: {:?}", leave_mark()),
        ]
    }
}

/// Who was here last, according to this component's store; it is us from now on.
fn leave_mark() -> Result<Option<String>, keyvalue::Error> {
    let bucket = keyvalue::open("")?;
    let last = bucket.get("last")?;
    bucket.set("last", ME.as_bytes())?;
    Ok(last.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
