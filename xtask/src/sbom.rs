//! `cargo xtask sbom`: what a release is made of, the `withe` command and the component `keyvalue.wasm` beside it, as one
//! CycloneDX 1.5 document.
//!
//! Users of a release have to be able to look up which crates are in it. cargo knows them, and `Cargo.lock` has the
//! digests of their bytes. The document says nothing else, no time and no drawn number, so that anybody who makes it
//! from the same commit for the same platform has the same bytes. A tool that makes such documents was rejected: it
//! would have to be built or fetched, and a release would depend on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{platform, process, tree, ui, wasm_target};

/// The package of the command.
const COMMAND: &str = "withe";
/// The package of the component that is released beside the command, from a workspace with a lock file of its own.
const KEYVALUE: &str = "keyvalue-component";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The platform that it is built for; this one's if not given
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// The file to write; standard output if not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The part of cargo's knowledge of the workspace that is needed.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// The digests of crates' bytes, by name and version.
type Checksums = BTreeMap<(String, String), String>;

/// Writes the document.
///
/// # Errors
///
/// cargo does not say what there is, or the file cannot be written.
pub(crate) async fn run(args: Args) -> Result<()> {
    let target = match args.target {
        Some(target) => target,
        None => platform::host().await?,
    };
    let text = generate(&target).await?;
    match args.output {
        Some(path) => {
            fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
            ui::ok(format!("wrote `{}`", path.display()));
        }
        None => print!("{text}"),
    }
    Ok(())
}

async fn generate(target: &str) -> Result<String> {
    let released = [
        Released::read(COMMAND, tree::root(), target).await?,
        Released::read(KEYVALUE, &tree::keyvalue_component(), wasm_target::TARGET).await?,
    ];
    let document = document(&released)?;
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Something that is released, and what cargo knows of it.
struct Released {
    /// The name of its package.
    name: &'static str,
    /// The platform that it is built for.
    target: String,
    metadata: Metadata,
    checksums: Checksums,
}

impl Released {
    /// Asks cargo about the package of this name in the workspace in `folder`.
    async fn read(name: &'static str, folder: &Path, target: &str) -> Result<Self> {
        let mut cargo = process::cargo(["metadata", "--format-version", "1", "--locked"]);
        cargo.args(["--filter-platform", target]);
        cargo.current_dir(folder);
        let metadata = process::output("ask for all crates", &mut cargo, process::LONG).await?;
        let metadata =
            serde_json::from_str(&metadata).context("`cargo metadata` says something else")?;
        let lock = folder.join("Cargo.lock");
        let lock = fs::read_to_string(&lock)
            .with_context(|| format!("cannot read `{}`", lock.display()))?;
        Ok(Self {
            name,
            target: target.to_owned(),
            metadata,
            checksums: checksums(&lock),
        })
    }

    /// Its own package.
    fn package(&self) -> Result<&Package> {
        let mut packages = self.metadata.packages.iter();
        let own = packages.find(|p| p.name == self.name && p.source.is_none());
        own.with_context(|| format!("there is no crate `{}`", self.name))
    }

    /// The entry that the document has of it.
    fn component(&self) -> Result<Value> {
        let mut component = self.package()?.component("application", &self.checksums);
        component["properties"] = json!([{ "name": "withe:target", "value": self.target }]);
        Ok(component)
    }
}

/// The checksums in a lock file. A path's crate has none.
fn checksums(lock: &str) -> Checksums {
    let mut found = Checksums::new();
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            package.lines().find_map(|line| {
                let value = line.strip_prefix(name)?.strip_prefix(" = \"")?;
                Some(value.strip_suffix('"')?.to_owned())
            })
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (field("name"), field("version"), field("checksum"))
        {
            found.insert((name, version), checksum);
        }
    }
    found
}

/// The document of what is released: the first is what it is about, the others come with it. A crate that several are made of
/// is there once, and uses all that it uses in any of them.
fn document(all: &[Released]) -> Result<Value> {
    let mut components = BTreeMap::new();
    let mut dependencies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for released in all {
        gather(released, &mut components, &mut dependencies)?;
    }
    let (first, beside) = all.split_first().context("nothing is released")?;
    for released in beside {
        let reference = released.package()?.reference();
        components.insert(reference, released.component()?);
    }
    let dependencies = dependencies.into_iter();
    let dependencies = dependencies.map(|(of, on)| json!({ "ref": of, "dependsOn": on }));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": first.component()? },
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    }))
}

/// Adds all that is reached from what is released, but not itself to the components.
fn gather(
    released: &Released,
    components: &mut BTreeMap<String, Value>,
    dependencies: &mut BTreeMap<String, BTreeSet<String>>,
) -> Result<()> {
    let metadata = &released.metadata;
    let packages: BTreeMap<&str, &Package> = (metadata.packages.iter())
        .map(|package| (package.id.as_str(), package))
        .collect();
    let used: BTreeMap<&str, Vec<&str>> = (metadata.resolve.nodes.iter())
        .map(|node| (node.id.as_str(), node.used().collect()))
        .collect();
    let own = released.package()?.id.as_str();
    let mut reached = BTreeSet::from([own]);
    let mut left = vec![own];
    while let Some(id) = left.pop() {
        for used in used.get(id).into_iter().flatten() {
            if reached.insert(used) {
                left.push(used);
            }
        }
    }
    for id in &reached {
        let package = packages
            .get(id)
            .with_context(|| format!("cargo says nothing of `{id}`"))?;
        let uses = used.get(id).into_iter().flatten();
        let uses = uses.filter_map(|id| Some(packages.get(id)?.reference()));
        let reference = package.reference();
        let known = dependencies.entry(reference.clone()).or_default();
        known.extend(uses);
        if *id != own {
            components.insert(reference, package.component("library", &released.checksums));
        }
    }
    Ok(())
}

impl Node {
    /// The crates that go into building it, without those that only its tests use.
    fn used(&self) -> impl Iterator<Item = &str> {
        let used = self.deps.iter().filter(|dependency| {
            let mut kinds = dependency.dep_kinds.iter();
            kinds.any(|kind| kind.kind.as_deref() != Some("dev"))
        });
        used.map(|dependency| dependency.pkg.as_str())
    }
}

impl Package {
    /// Its package URL. cargo's own id of a path's crate has the path in it, which is another on each machine.
    fn reference(&self) -> String {
        // A version's build metadata begins with what would be a space in a URL.
        let version = self.version.replace('+', "%2B");
        format!("pkg:cargo/{}@{version}", self.name)
    }

    fn component(&self, kind: &str, checksums: &Checksums) -> Value {
        let mut component = json!({
            "type": kind,
            "bom-ref": self.reference(),
            "purl": self.reference(),
            "name": self.name,
            "version": self.version,
        });
        if let Some(license) = &self.license {
            // The form that crates had before SPDX's.
            let expression = license.replace('/', " OR ");
            component["licenses"] = json!([{ "expression": expression }]);
        }
        if let Some(source) = &self.source {
            component["properties"] = json!([{ "name": "cargo:source", "value": source }]);
        }
        if let Some(checksum) = checksums.get(&(self.name.clone(), self.version.clone())) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"version = 4

[[package]]
name = "used"
version = "1.0.0+b"
source = "registry+https://example.com/index"
checksum = "abcd"
dependencies = [
 "name",
]

[[package]]
name = "withe"
version = "0.1.0"
"#;

    fn small() -> Released {
        let package = |id: &str, name: &str, version: &str, source: Option<&str>| json!({ "id": id, "name": name, "version": version, "license": "MIT/Apache-2.0", "source": source });
        let uses = |pkg: &str, kinds: &[Option<&str>]| {
            let kinds: Vec<_> = kinds.iter().map(|kind| json!({ "kind": kind })).collect();
            json!({ "pkg": pkg, "dep_kinds": kinds })
        };
        let registry = Some("registry+https://example.com/index");
        let metadata = json!({
            "packages": [
                package("path+file:///here#withe", "withe", "0.1.0", None),
                package("u", "used", "1.0.0+b", registry),
                package("b", "built-with", "2.0.0", registry),
                package("t", "tested-with", "3.0.0", registry),
                package("o", "of-others", "4.0.0", registry),
            ],
            "resolve": { "nodes": [
                { "id": "path+file:///here#withe", "deps": [
                    uses("u", &[None]), uses("b", &[Some("dev"), Some("build")]), uses("t", &[Some("dev")]),
                ]},
                { "id": "u", "deps": [uses("b", &[None])] },
                { "id": "b", "deps": [uses("u", &[None])] },
                { "id": "t", "deps": [] },
                { "id": "o", "deps": [uses("u", &[None])] },
            ]},
        });
        Released {
            name: COMMAND,
            target: "here".into(),
            metadata: serde_json::from_value(metadata).unwrap(),
            checksums: checksums(LOCK),
        }
    }

    /// A component that is released beside it, with a crate that it has too.
    fn beside() -> Released {
        let registry = "registry+https://example.com/index";
        let metadata = json!({
            "packages": [
                { "id": "k", "name": "keyvalue-component", "version": "0.1.0", "license": "MIT", "source": null },
                { "id": "u", "name": "used", "version": "1.0.0+b", "license": "MIT/Apache-2.0", "source": registry },
                { "id": "l", "name": "its-own", "version": "5.0.0", "license": "MIT", "source": registry },
            ],
            "resolve": { "nodes": [
                { "id": "k", "deps": [{ "pkg": "u", "dep_kinds": [{ "kind": null }] }] },
                { "id": "u", "deps": [{ "pkg": "l", "dep_kinds": [{ "kind": null }] }] },
                { "id": "l", "deps": [] },
            ]},
        });
        Released {
            name: KEYVALUE,
            target: "wasm".into(),
            metadata: serde_json::from_value(metadata).unwrap(),
            checksums: checksums(LOCK),
        }
    }

    #[test]
    fn what_is_released_beside_the_command_is_there_with_all_of_its_own() {
        let document = document(&[small(), beside()]).unwrap();
        assert_eq!(document["metadata"]["component"]["name"], "withe");
        let components = document["components"].as_array().unwrap();
        let names: Vec<_> = components.iter().map(|c| c["name"].as_str()).collect();
        let expected = ["built-with", "its-own", "keyvalue-component", "used"];
        assert_eq!(names, expected.map(Some));
        assert_eq!(components[2]["type"], "application");
        let target = json!([{ "name": "withe:target", "value": "wasm" }]);
        assert_eq!(components[2]["properties"], target);
        assert_eq!(
            document["dependencies"][3],
            json!({
                "ref": "pkg:cargo/used@1.0.0%2Bb",
                "dependsOn": ["pkg:cargo/built-with@2.0.0", "pkg:cargo/its-own@5.0.0"],
            })
        );
    }

    #[test]
    fn only_what_is_built_with_is_there() {
        let document = document(&[small()]).unwrap();
        let components = document["components"].as_array().unwrap();
        let expected = [
            json!({
                "type": "library",
                "bom-ref": "pkg:cargo/built-with@2.0.0",
                "purl": "pkg:cargo/built-with@2.0.0",
                "name": "built-with",
                "version": "2.0.0",
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "properties": [{ "name": "cargo:source", "value": "registry+https://example.com/index" }],
            }),
            json!({
                "type": "library",
                "bom-ref": "pkg:cargo/used@1.0.0%2Bb",
                "purl": "pkg:cargo/used@1.0.0%2Bb",
                "name": "used",
                "version": "1.0.0+b",
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "properties": [{ "name": "cargo:source", "value": "registry+https://example.com/index" }],
                "hashes": [{ "alg": "SHA-256", "content": "abcd" }],
            }),
        ];
        assert_eq!(components[..], expected);
        assert_eq!(
            document["dependencies"][2],
            json!({
                "ref": "pkg:cargo/withe@0.1.0",
                "dependsOn": ["pkg:cargo/built-with@2.0.0", "pkg:cargo/used@1.0.0%2Bb"],
            })
        );
    }

    #[tokio::test]
    async fn the_command_is_made_of_what_it_is_known_to_be_made_of() {
        let target = platform::host().await.unwrap();
        let text = generate(&target).await.unwrap();
        assert_eq!(generate(&target).await.unwrap(), text);
        let root = tree::root().to_str().unwrap();
        assert!(!text.contains(root), "a path of this machine is in it");

        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["bomFormat"], "CycloneDX");
        assert_eq!(document["specVersion"], "1.5");
        assert_eq!(document["metadata"]["component"]["name"], "withe");
        let components = document["components"].as_array().unwrap();
        let named = |name: &str| components.iter().find(|c| c["name"] == name);
        // The last comes with the component alone.
        for name in [
            "withe-linker",
            "wasmtime",
            "tokio",
            "async-nats",
            "serde",
            "wit-bindgen",
        ] {
            let component = named(name).unwrap_or_else(|| panic!("`{name}` is not there"));
            assert!(component["licenses"][0]["expression"].is_string(), "{name}");
            let is_ours = name.starts_with("withe");
            assert_eq!(component["hashes"].is_null(), is_ours, "{name}");
            assert_eq!(component["properties"].is_null(), is_ours, "{name}");
        }
        assert!(named("xtask").is_none() && named("withe-testing").is_none());
        assert_eq!(named(KEYVALUE).unwrap()["type"], "application");
        let known: BTreeSet<_> = (components.iter())
            .chain([&document["metadata"]["component"]])
            .map(|component| component["bom-ref"].as_str().unwrap())
            .collect();
        for dependency in document["dependencies"].as_array().unwrap() {
            assert!(known.contains(dependency["ref"].as_str().unwrap()));
            for used in dependency["dependsOn"].as_array().unwrap() {
                assert!(known.contains(used.as_str().unwrap()), "{used}");
            }
        }
    }
}
