//! Applications of any size: nine of ten components import ten interfaces from ten other components.
//!
//! The components are of a number of kinds; all of a kind are the same file, as the instances of one service
//! are. Links name only their target, so that the linker has to find what each is for.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

/// How many interfaces a component imports, each from another component.
const IMPORTS: usize = 10;

/// One component in so many imports nothing.
const LEAVES: usize = 10;

/// Writes the application and its components into `folder`; returns its manifest's path.
///
/// # Errors
///
/// If `kinds` does not divide `components` or is too small for ten different targets; if a file cannot be
/// written.
pub(crate) fn write(folder: &Path, components: usize, kinds: usize) -> Result<PathBuf> {
    ensure!(
        kinds > IMPORTS && components.is_multiple_of(kinds),
        "{components} components cannot be of {kinds} kinds"
    );
    fs::create_dir_all(folder)?;
    for kind in 0..kinds {
        fs::write(folder.join(file(kind)), component(kind, kinds)?)?;
    }
    let path = folder.join("app.yaml");
    fs::write(&path, manifest(components, kinds)).context("cannot write the manifest")?;
    Ok(path)
}

fn file(kind: usize) -> String {
    format!("kind{kind}.wasm")
}

/// The kinds whose interfaces components of `kind` import.
fn imported(kind: usize, kinds: usize) -> impl Iterator<Item = usize> {
    let count = if kind.is_multiple_of(LEAVES) {
        0
    } else {
        IMPORTS
    };
    (1..=count).map(move |i| (kind + i) % kinds)
}

fn manifest(components: usize, kinds: usize) -> String {
    let mut text = String::from(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata:\n  name: scale\nspec:\n  components:\n",
    );
    let mut random = Random(1);
    for component in 0..components {
        let kind = component % kinds;
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "  - name: part{component}\n    type: component\n    properties:\n      image: file://./{}\n",
            file(kind)
        );
        let mut targets = imported(kind, kinds).peekable();
        if targets.peek().is_some() {
            text += "    traits:\n";
        }
        for target in targets {
            let target = target + kinds * random.below(components / kinds);
            let _ = write!(
                text,
                "    - type: link\n      properties:\n        target: part{target}\n"
            );
        }
    }
    text
}

/// A component of `kind`. All of its functions trap: it is there to be linked.
fn component(kind: usize, kinds: usize) -> Result<Vec<u8>> {
    let mut wit = String::from("package scale:app@1.0.0;\n");
    for interface in imported(kind, kinds).chain([kind]) {
        let _ = writeln!(wit, "interface i{interface} {{ {INTERFACE} }}");
    }
    wit += "world component {\n";
    for interface in imported(kind, kinds) {
        let _ = writeln!(wit, "  import i{interface};");
    }
    let _ = writeln!(wit, "  export i{kind};\n}}");
    let mut resolve = Resolve::default();
    let package = resolve.push_source("scale.wit", &wit)?;
    let world = resolve.select_world(&[package], Some("component"))?;
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let bytes = ComponentEncoder::default().module(&module)?.encode()?;
    Ok(bytes)
}

const INTERFACE: &str = "
    record item { name: string, price: f64, tags: list<string> }
    variant problem { unknown(string), busy, other(item) }
    get: func(name: string) -> result<item, problem>;
    put: func(item: item) -> result<_, problem>;
    all: func(first: u32, most: u32) -> list<item>;
    count: func() -> u64;
";

/// Numbers that are the same in every run (Knuth's linear congruential generator).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // The upper bits are the good ones.
        ((self.0 >> 33) as usize) % bound
    }
}
