//! A member of the lattice that is hostile: it may write to the buckets, and wants hosts to do what nobody let it.

mod arguments;
mod calls;
mod confined;
mod greeter;
mod numbers;
mod policy;
mod processes;
mod programs;
mod quarantine;
mod rights;
mod secrets;
mod signed;
#[path = "../../lattice/support/mod.rs"]
#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "shared with the tests of lattices, which use all of it"
)]
mod support;

use serde_json::{Value, json};
use support::lattice::Lattice;
use withe_lattice::nats::Options;
use withe_lattice::{Expect, Lattice as _, Nats};

/// A client that may write to a lattice, and is no host.
struct Member {
    runtime: tokio::runtime::Runtime,
    lattice: Nats,
}

impl Member {
    fn of(lattice: &Lattice) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let options = Options::new(lattice.nats.url(), "default");
        let lattice = runtime.block_on(Nats::connect(options)).unwrap();
        Self { runtime, lattice }
    }

    /// Puts what it likes in the place of an entry.
    fn put(&self, key: &str, value: &Value) {
        let value = value.to_string().into();
        let putting = self.lattice.put(key, value, Expect::Any);
        self.runtime.block_on(putting).unwrap();
    }

    /// The record in an entry, if there is one.
    fn entry(&self, key: &str) -> Option<Value> {
        let entry = self.runtime.block_on(self.lattice.get(key)).unwrap()?;
        Some(serde_json::from_slice(&entry.value).unwrap())
    }

    /// Takes part as a host, as far as others can see.
    fn put_lease(&self, key: &str, value: &Value) {
        let value = value.to_string().into();
        let putting = self.lattice.put_lease(key, value, Expect::Any);
        self.runtime.block_on(putting).unwrap();
    }

    /// Puts an application of this manifest with these programs, of which nobody has ever checked anything.
    fn put_application(&self, name: &str, manifest: &str, programs: Value) {
        let record = json!({
            "name": name, "manifest": manifest, "file": "app.yaml", "folder": "/",
            "images": {}, "programs": programs,
        });
        self.put(&format!("apps.{name}"), &record);
    }
}

/// The fault of an application, as `withe get apps` has it, once there is one.
fn problem(lattice: &Lattice, name: &str) -> String {
    support::eventually(&format!("`{name}` has a problem"), || {
        let apps = lattice.json(&["get", "apps"]);
        let app = apps.as_array()?.iter().find(|app| app["name"] == name)?;
        let problems = app["problems"].as_array()?;
        (!problems.is_empty()).then(|| app["problems"].to_string())
    })
}
