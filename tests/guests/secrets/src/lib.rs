//! Says what its secrets are, which nobody should do.

wit_bindgen::generate!({ world: "secrets", path: "../wit", generate_all });

use exports::t::names::run::Guest;
use wasmcloud::secrets::reveal::reveal;
use wasmcloud::secrets::store::{self, SecretValue, SecretsError};

struct Secrets;
export!(Secrets);

impl Guest for Secrets {
    fn run(names: Vec<String>) -> Vec<String> {
        let value = |name: &String| match store::get(name) {
            Ok(secret) => match reveal(&secret) {
                SecretValue::String(text) => text,
                SecretValue::Bytes(bytes) => format!("{} bytes", bytes.len()),
            },
            Err(SecretsError::NotFound) => "not found".to_owned(),
            Err(SecretsError::Io(why) | SecretsError::Upstream(why)) => why,
        };
        names
            .iter()
            .map(|name| format!("{name}: {}", value(name)))
            .collect()
    }
}
