//! The manifest of `examples/visits`, spread over hosts.

use std::path::{Path, PathBuf};

/// The application, as a test wants it. Zones are values of the label `zone`; a part without any is
/// placed as the planner likes.
#[derive(Clone)]
pub(crate) struct Visits {
    pub(crate) http: &'static [&'static str],
    pub(crate) front: &'static [&'static str],
    pub(crate) visits: &'static [&'static str],
    pub(crate) store: &'static [&'static str],
    /// The page's title.
    pub(crate) greeting: String,
    /// More properties of the link from `front` to `visits`, such as `binding: tcp`.
    pub(crate) link: &'static str,
    /// More properties of every link.
    pub(crate) links: &'static str,
    /// Whether there is another counter, `visits-2`, which nothing calls and which has a bucket of its own.
    pub(crate) second: bool,
    /// The component that counts, instead of the example's.
    pub(crate) counter: PathBuf,
    redis: String,
}

impl Visits {
    /// `http` and `front` in zone `a`, `visits` in `b` and `c`, `store` in `a`.
    pub(crate) fn spread(redis: &str) -> Self {
        Self {
            http: &["a"],
            front: &["a"],
            visits: &["b", "c"],
            store: &["a"],
            ..Self::anywhere(redis)
        }
    }

    /// No part asks for anything.
    pub(crate) fn anywhere(redis: &str) -> Self {
        Self {
            http: &[],
            front: &[],
            visits: &[],
            store: &[],
            greeting: "Welcome".into(),
            link: "",
            links: "",
            second: false,
            counter: component("visits"),
            redis: redis.into(),
        }
    }

    /// Its manifest.
    pub(crate) fn manifest(&self) -> String {
        let server = "config: [{name: listen, properties: {address: \"127.0.0.1:0\"}}]";
        let front = format!(
            "compose: [{:?}, {:?}], config: [{{name: texts, properties: {{greeting: {:?}, top: \"3\"}}}}]",
            component("router"),
            component("page"),
            self.greeting
        );
        let mut parts = vec![
            part(
                "http",
                "image: \"withe:http-server\"",
                self.http,
                &[&self.linked(&format!("target: front, source: {{{server}}}"), "")],
            ),
            part(
                "front",
                &front,
                self.front,
                &[&self.linked("target: visits", self.link)],
            ),
            self.counter("visits"),
        ];
        if self.second {
            parts.push(self.counter("visits-2"));
        }
        parts.push(part("store", "image: \"withe:keyvalue\"", self.store, &[]));
        format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: visits}}\n\
             spec:\n  components:\n{}",
            parts.concat()
        )
    }

    /// A link's properties with those that it is given besides.
    fn linked(&self, properties: &str, own: &str) -> String {
        let mut all = vec![properties, own, self.links];
        all.retain(|properties| !properties.is_empty());
        all.join(", ")
    }

    fn counter(&self, name: &str) -> String {
        let properties = format!(
            "image: {:?}, config: [{{name: {name}, properties: {{bucket: {name}}}}}]",
            self.counter
        );
        let store = format!(
            "target: {{name: store, config: [{{name: {name}-store, properties: {{url: {:?}}}}}]}}, \
             timeout: 20s, namespace: wasi, package: keyvalue, interfaces: [store, atomics]",
            self.redis
        );
        part(name, &properties, self.visits, &[&self.linked(&store, "")])
    }
}

/// The file of one of the example's components.
pub(crate) fn component(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/visits/build");
    let path = folder.join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "{} is not built: run `cargo xtask guests`",
        path.display()
    );
    path
}

/// An entry of `spec.components`: a capability if its image is one of ours.
fn part(name: &str, properties: &str, zones: &[&str], links: &[&str]) -> String {
    let kind = match properties.contains("\"withe:") {
        true => "capability",
        false => "component",
    };
    let mut traits: Vec<String> = links
        .iter()
        .map(|link| format!("{{type: link, properties: {{{link}}}}}"))
        .collect();
    if !zones.is_empty() {
        let spread: Vec<_> = zones
            .iter()
            .map(|zone| format!("{{name: {zone}, requirements: {{zone: {zone}}}}}"))
            .collect();
        traits.push(format!(
            "{{type: spreadscaler, properties: {{instances: {}, spread: [{}]}}}}",
            // A provider is one; of components, as many as the load needs.
            if kind == "capability" { 1 } else { 32 },
            spread.join(", ")
        ));
    }
    format!(
        "    - name: {name}\n      type: {kind}\n      properties: {{{properties}}}\n      traits: [{}]\n",
        traits.join(", ")
    )
}
