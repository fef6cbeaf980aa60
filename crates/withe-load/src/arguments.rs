//! An application made from files named on the command line.

use std::path::{Path, PathBuf};

use withe_linker::input::{
    Application, Component, ComponentKind, Grants, Image, Limits, Link, Part, Spanned,
};
use withe_wit::{ExternItem, InterfaceName, World};

use crate::image::stem;
use crate::loaded::LoadedPart;

/// The application that runs `root` with `others` to link to. It has no links yet: which ones it
/// needs shows once the files are read, see [`add_links`].
pub(super) fn application(root: &Path, others: &[PathBuf]) -> Application {
    let mut components: Vec<Component> = Vec::new();
    for path in std::iter::once(root).chain(others.iter().map(PathBuf::as_path)) {
        let name = unique(kebab(&stem(path)), &components);
        components.push(component(name, path));
    }
    Application {
        name: Spanned::unplaced(kebab(&stem(root))),
        version: None,
        description: None,
        shared: false,
        components,
        policies: Vec::new(),
    }
}

/// Links every component to every other one, but the first, that exports something it imports. What
/// exactly the link carries, and whether it fits, is for the linker to say.
pub(super) fn add_links(application: &mut Application, parts: &[LoadedPart]) {
    let names: Vec<String> = application
        .components
        .iter()
        .map(|c| c.name.value.clone())
        .collect();
    for (source, component) in application.components.iter_mut().enumerate() {
        for target in (1..parts.len()).filter(|target| *target != source) {
            if let (Some(importer), Some(exporter)) = (world(&parts[source]), world(&parts[target]))
                && offers(exporter, importer)
            {
                component.links.push(link(&names[target]));
            }
        }
    }
}

fn world(part: &LoadedPart) -> Option<&World> {
    match &part.input {
        Part::Component { world, .. } => Some(world),
        Part::Provider(provider) => Some(&provider.world),
        Part::Unavailable => None,
    }
}

/// Whether `exporter` exports an interface, in whatever version, or a function by a name, that
/// `importer` imports.
fn offers(exporter: &World, importer: &World) -> bool {
    importer.imports.iter().any(|import| {
        exporter
            .exports
            .iter()
            .any(|export| match (&import.item, &export.item) {
                (ExternItem::Interface(wanted), ExternItem::Interface(offered)) => {
                    match (&wanted.name, &offered.name) {
                        (Some(wanted), Some(offered)) => {
                            InterfaceName::same_interface(wanted, offered)
                        }
                        _ => import.name == export.name,
                    }
                }
                (ExternItem::Function(_), ExternItem::Function(_)) => import.name == export.name,
                _ => false,
            })
    })
}

fn component(name: String, path: &Path) -> Component {
    Component {
        name: Spanned::unplaced(name),
        kind: ComponentKind::Component,
        image: Spanned::unplaced(Image::File(path.to_string_lossy().into_owned())),
        id: None,
        config: Vec::new(),
        secrets: Vec::new(),
        links: Vec::new(),
        scaling: None,
        limits: Limits::default(),
        grants: Grants::default(),
        reuse: None,
        process: None,
    }
}

fn link(target: &str) -> Link {
    Link {
        span: None,
        target: Spanned::unplaced(target.into()),
        name: None,
        namespace: None,
        package: None,
        interfaces: None,
        source_config: Vec::new(),
        source_secrets: Vec::new(),
        target_config: Vec::new(),
        target_secrets: Vec::new(),
        binding: None,
        scope: None,
        timeout: None,
        locality: None,
        idempotent: None,
    }
}

/// A name in kebab-case made from a file's.
fn kebab(text: &str) -> String {
    let words = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let name = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
    if name.is_empty() {
        "component".into()
    } else {
        name
    }
}

/// `name`, or `name-2`, `name-3` … if components have it already.
fn unique(name: String, components: &[Component]) -> String {
    let taken = |name: &str| components.iter().any(|c| *c.name == name);
    if !taken(&name) {
        return name;
    }
    let mut number = 2;
    loop {
        let candidate = format!("{name}-{number}");
        if !taken(&candidate) {
            return candidate;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_files_and_are_unique() {
        let others = ["b/My_App.wasm", "c/my-app.wasm", "Ünï.wasm", "-.wasm"].map(PathBuf::from);
        let application = application(Path::new("a/my app.component.wasm"), &others);
        let names: Vec<_> = application
            .components
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["my-app-component", "my-app", "my-app-2", "n", "component"]
        );
        assert_eq!(*application.name, "my-app-component");
    }
}
