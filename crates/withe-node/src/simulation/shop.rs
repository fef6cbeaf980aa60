//! Applications that are put in a simulated lattice.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use fastrand::Rng;
use withe_load::{Loaded, Registry, SourceText, Supplied, load_supplied};

/// Calls the one that follows, which runs wherever this one does.
const FRONT: &str = r#"(component
    (import "shop:cart/api" (instance $api (export "total" (func (result u32)))))
    (core func $total (canon lower (func $api "total")))
    (core module $m
        (import "api" "total" (func $total (result i32)))
        (func (export "show") (result i32) call $total))
    (core instance $i (instantiate $m (with "api" (instance (export "total" (func $total))))))
    (func (export "show") (result u32) (canon lift (core func $i "show"))))"#;

/// Says which version it is.
const CART: &str = r#"(component
    (core module $m (func (export "total") (result i32) i32.const VERSION))
    (core instance $i (instantiate $m))
    (func $total (result u32) (canon lift (core func $i "total")))
    (instance $api (export "total" (func $total)))
    (export "shop:cart/api" (instance $api)))"#;

/// Where a part is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// Where nothing is said.
    Unsaid,
    /// A number of instances in all.
    Instances(u32),
    /// On every host.
    Every,
}

/// An application.
#[derive(Clone, Debug)]
pub(super) struct Shop {
    name: String,
    version: u32,
    pub(super) parts: BTreeMap<String, Spread>,
}

impl Shop {
    /// An application of this name, with a front and its cart, and up to two parts of no links.
    pub(super) fn draw(name: &str, version: u32, rng: &mut Rng) -> Self {
        let mut parts = BTreeMap::from([("cart".to_owned(), Spread::Unsaid)]);
        let others = (0..rng.usize(..3)).map(|i| format!("part{i}"));
        for part in others.chain(["front".to_owned()]) {
            let spread = match rng.u8(..3) {
                0 => Spread::Unsaid,
                1 => Spread::Instances(rng.u32(1..4)),
                _ => Spread::Every,
            };
            parts.insert(part, spread);
        }
        Self {
            name: name.to_owned(),
            version,
            parts,
        }
    }

    /// The application as its deployer has read it.
    pub(super) fn load(&self) -> Loaded {
        let manifest = self.manifest();
        let parsed = withe_manifest::parse(&manifest);
        let source = SourceText {
            path: "shop.yaml".into(),
            text: manifest,
        };
        let components = self.parts.keys().map(|part| {
            let text = match part.as_str() {
                "front" => FRONT.to_owned(),
                // Each version of a part has other bytes, and those of two applications are the same.
                _ => CART.replace("VERSION", &self.version.to_string()),
            };
            (part.clone(), wat::parse_str(text).unwrap().into())
        });
        let supplied = Supplied {
            components: components.collect(),
            ..Supplied::default()
        };
        let registry = Registry::new(&[]).unwrap();
        load_supplied(source, parsed, Path::new("/shop"), &supplied, &registry)
    }

    fn manifest(&self) -> String {
        let mut text = format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: {}}}\nspec:\n  components:\n",
            self.name
        );
        for (part, spread) in &self.parts {
            let image = format!("properties: {{image: ./{part}.wasm}}");
            writeln!(
                text,
                "    - name: {part}\n      type: component\n      {image}"
            )
            .unwrap();
            let scaler = match spread {
                Spread::Unsaid => None,
                Spread::Instances(n) => Some(format!(
                    "{{type: spreadscaler, properties: {{instances: {n}}}}}"
                )),
                Spread::Every => {
                    Some("{type: daemonscaler, properties: {instances: 1}}".to_owned())
                }
            };
            let link = (part == "front").then(|| {
                "{type: link, properties: {target: cart, namespace: shop, package: cart, interfaces: [api]}}"
                    .to_owned()
            });
            let traits: Vec<_> = scaler.into_iter().chain(link).collect();
            if !traits.is_empty() {
                writeln!(text, "      traits: [{}]", traits.join(", ")).unwrap();
            }
        }
        text
    }
}
