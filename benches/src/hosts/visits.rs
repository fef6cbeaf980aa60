//! The example application, placed in zones.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// How many instances of a component may run at a time, on all hosts: more than there are callers.
const INSTANCES: u32 = 128;

/// The application as a benchmark wants it.
pub(super) struct Visits<'a> {
    pub(super) name: &'a str,
    pub(super) address: SocketAddr,
    pub(super) redis: &'a str,
    /// The zone of `http` and `front`.
    pub(super) front: &'a str,
    /// The zones of `visits`.
    pub(super) visits: &'a [&'a str],
    /// The zone of `store`.
    pub(super) store: &'a str,
    /// The binding of the link from `front` to `visits`.
    pub(super) binding: &'a str,
    /// The zone of another counter, `visits-2`, which nothing calls yet.
    pub(super) second: Option<&'a str>,
}

impl Visits<'_> {
    /// Its manifest.
    pub(super) fn manifest(&self) -> String {
        let component = |name: &str| built(name).display().to_string();
        let mut text = format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: {}}}\nspec:\n  components:\n",
            self.name
        );
        let link = |link: String| format!("{{type: link, properties: {{{link}}}}}");
        text += &part(
            "http",
            "type: capability, properties: {image: \"withe:http-server\"}",
            &[
                scaler(1, &[self.front]),
                link(format!(
                    "target: front, source: {{config: [{{name: l, properties: {{address: \"{}\"}}}}]}}",
                    self.address
                )),
            ],
        );
        text += &part(
            "front",
            &format!(
                "type: component, properties: {{compose: [{:?}, {:?}], config: [{{name: f, properties: \
                 {{greeting: Hello, top: \"3\"}}}}]}}",
                component("router"),
                component("page")
            ),
            &[
                scaler(INSTANCES, &[self.front]),
                link(format!("target: visits, binding: {}", self.binding)),
            ],
        );
        let second = self.second.map(|zone| ("visits-2", vec![zone]));
        for (name, zones) in [("visits", self.visits.to_vec())].into_iter().chain(second) {
            text += &part(
                name,
                &format!(
                    "type: component, properties: {{image: {:?}, config: [{{name: {name}, properties: {{bucket: {}-{name}}}}}]}}",
                    component("visits"),
                    self.name
                ),
                &[
                    scaler(INSTANCES, &zones),
                    link(format!(
                        "namespace: wasi, package: keyvalue, interfaces: [store, atomics], \
                         target: {{name: store, config: [{{name: {name}-store, properties: {{url: {:?}}}}}]}}",
                        self.redis
                    )),
                ],
            );
        }
        let store = "type: capability, properties: {image: \"withe:keyvalue\"}";
        text + &part("store", store, &[scaler(1, &[self.store])])
    }
}

fn part(name: &str, what: &str, traits: &[String]) -> String {
    format!(
        "    - {{name: {name}, {what}, traits: [{}]}}\n",
        traits.join(", ")
    )
}

fn scaler(instances: u32, zones: &[&str]) -> String {
    let spread: Vec<_> = zones
        .iter()
        .map(|zone| format!("{{name: {zone}, requirements: {{zone: {zone}}}}}"))
        .collect();
    format!(
        "{{type: spreadscaler, properties: {{instances: {instances}, spread: [{}]}}}}",
        spread.join(", ")
    )
}

/// A component that `cargo xtask guests` builds.
fn built(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/visits/build");
    folder.join(format!("{name}.wasm"))
}
