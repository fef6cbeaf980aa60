//! `withe inspect`: what a component imports and exports, and where it comes from.

mod producers;

use std::path::PathBuf;

use serde::Serialize;
use withe_load::Artifact;
use withe_wit::{Extern, ExternItem, Function, Type, World};

use crate::Outcome;
use crate::render::units::{bytes, count};
use crate::render::{diagnostics, json};
use crate::terminal::Terminal;
use producers::Producers;

const EXAMPLES: &str = "\
Examples:
  withe inspect cart.wasm
  withe inspect cart.wasm --wit > cart.wit
  withe inspect cart.wasm --json | jq -r '.imports[].name'";

/// Show what a component imports and exports.
///
/// Also its size, digest, the tools that made it, and whether it needs asynchronous calls. An import
/// under a label of its own shows the interface it implements.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The component's file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print its world as WIT.
    #[arg(long, conflicts_with = "json")]
    wit: bool,
    /// Print all of it as JSON.
    #[arg(long)]
    json: bool,
}

/// The report to show.
#[derive(Serialize)]
struct Report {
    file: String,
    /// In bytes.
    size: usize,
    digest: String,
    /// Whether a function is `async`, or a type is a stream or a future.
    #[serde(rename = "async")]
    is_async: bool,
    producers: Producers,
    imports: Vec<Item>,
    exports: Vec<Item>,
}

/// An import or export.
#[derive(Serialize)]
struct Item {
    name: String,
    /// The interface that a label stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    implements: Option<String>,
    kind: Kind,
    /// Functions as WIT declares them.
    functions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Interface,
    Function,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let artifact = match Artifact::read(&args.file) {
        Ok(artifact) => artifact,
        Err(error) => {
            terminal.say(&diagnostics::single(terminal, &error.diagnostic()));
            return Ok(Outcome::Problems);
        }
    };
    let text = if args.wit {
        World::wit(&artifact.bytes)?
    } else {
        let report = Report::new(&artifact);
        if args.json {
            json::text(&report)?
        } else {
            report.text()
        }
    };
    terminal.print(&text)?;
    Ok(Outcome::Done)
}

impl Report {
    fn new(artifact: &Artifact) -> Self {
        let world = &artifact.world;
        Self {
            file: artifact.path.display().to_string(),
            size: artifact.bytes.len(),
            digest: artifact.digest.clone(),
            is_async: functions(world).any(needs_async),
            producers: producers::read(&artifact.bytes),
            imports: world.imports.iter().map(Item::new).collect(),
            exports: world.exports.iter().map(Item::new).collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}: component, {}\n", self.file, bytes(self.size));
        text += &format!("digest: {}\n", self.digest);
        for (field, tools) in &self.producers {
            let tools: Vec<_> = tools.iter().map(ToString::to_string).collect();
            text += &format!("{field}: {}\n", tools.join(", "));
        }
        if self.is_async {
            text += "async: yes\n";
        }
        for (title, items) in [("imports", &self.imports), ("exports", &self.exports)] {
            text += &format!(
                "\n{title}:{}\n",
                if items.is_empty() { " nothing" } else { "" }
            );
            items.iter().for_each(|item| item.write(&mut text));
        }
        text
    }
}

impl Item {
    fn new(item: &Extern) -> Self {
        let name = item.name.clone();
        match &item.item {
            ExternItem::Function(function) => Self {
                name,
                implements: None,
                kind: Kind::Function,
                functions: vec![function.to_string()],
                resources: Vec::new(),
            },
            ExternItem::Interface(interface) => Self {
                implements: interface
                    .name
                    .as_ref()
                    .map(ToString::to_string)
                    .filter(|full| *full != name),
                name,
                kind: Kind::Interface,
                functions: interface
                    .functions
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                resources: interface.resources.clone(),
            },
        }
    }

    fn write(&self, text: &mut String) {
        match self.kind {
            Kind::Function => self
                .functions
                .iter()
                .for_each(|f| *text += &format!("  {f}\n")),
            Kind::Interface => {
                *text += &format!("  {}", self.name);
                if let Some(implements) = &self.implements {
                    *text += &format!(" (implements {implements})");
                }
                let functions = count(self.functions.len(), "function", "functions");
                let resources = count(self.resources.len(), "resource", "resources");
                *text += &match (self.functions.len(), self.resources.len()) {
                    (_, 0) => format!(": {functions}"),
                    (0, _) => format!(": {resources}"),
                    _ => format!(": {functions}, {resources}"),
                };
                *text += "\n";
            }
        }
    }
}

fn functions(world: &World) -> impl Iterator<Item = &Function> {
    world
        .imports
        .iter()
        .chain(&world.exports)
        .flat_map(|item| match &item.item {
            ExternItem::Function(function) => std::slice::from_ref(function),
            ExternItem::Interface(interface) => &interface.functions,
        })
}

fn needs_async(function: &Function) -> bool {
    function.is_async
        || function
            .types()
            .any(|ty| ty.any(|t| matches!(t, Type::Stream(_) | Type::Future(_))))
}
