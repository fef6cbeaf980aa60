//! An application made from files named on the command line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use withe_linker::input::{
    Application, Component, ComponentKind, Grants, Image, Limits, Link, Part, Spanned,
};
use withe_wit::name::kebab_case;
use withe_wit::{Extern, ExternItem, InterfaceName, World};

use crate::image::stem;
use crate::loaded::LoadedPart;

/// The application that runs `root` with `others` to link to. It has no links yet: which ones it
/// needs shows once the files are read, see [`add_links`].
pub(super) fn application(root: &Path, others: &[PathBuf]) -> Application {
    let mut components: Vec<Component> = Vec::new();
    for path in std::iter::once(root).chain(others.iter().map(PathBuf::as_path)) {
        let name = unique(name_of(&stem(path)), &components);
        components.push(component(name, path));
    }
    Application {
        name: Spanned::unplaced(name_of(&stem(root))),
        version: None,
        description: None,
        shared: false,
        components,
        policies: Vec::new(),
    }
}

/// Links every component to every other one, but the first, that exports something it imports; where several
/// export it, to those with the very version, if there are any. What exactly the link carries, and whether it
/// fits, is for the linker to say.
pub(super) fn add_links(application: &mut Application, parts: &[LoadedPart]) {
    let names: Vec<String> = application
        .components
        .iter()
        .map(|c| c.name.value.clone())
        .collect();
    for (source, component) in application.components.iter_mut().enumerate() {
        let Some(importer) = world(&parts[source]) else {
            continue;
        };
        let others = (1..parts.len()).filter(|target| *target != source);
        let others: Vec<_> = others
            .filter_map(|target| Some((target, world(&parts[target])?)))
            .collect();
        let mut targets = BTreeSet::new();
        for import in &importer.imports {
            let offering = |offers: &dyn Fn(&Extern) -> bool| -> Vec<usize> {
                let exporters = others.iter().filter(|(_, w)| w.exports.iter().any(offers));
                exporters.map(|(target, _)| *target).collect()
            };
            let exact = offering(&|export| {
                offers(export, import) && export.interface_name() == import.interface_name()
            });
            let exporters = match exact.is_empty() {
                true => offering(&|export| offers(export, import)),
                false => exact,
            };
            targets.extend(exporters);
        }
        let links = targets.into_iter().map(|target| link(&names[target]));
        component.links.extend(links);
    }
}

fn world(part: &LoadedPart) -> Option<&World> {
    match &part.input {
        Part::Component { world, .. } => Some(world),
        Part::Provider(provider) => Some(&provider.world),
        Part::Unavailable => None,
    }
}

/// Whether `export` is the interface that `import` is, in whatever version, or a function of its name.
fn offers(export: &Extern, import: &Extern) -> bool {
    match (&import.item, &export.item) {
        (ExternItem::Interface(wanted), ExternItem::Interface(offered)) => {
            match (&wanted.name, &offered.name) {
                (Some(wanted), Some(offered)) => InterfaceName::same_interface(wanted, offered),
                _ => import.name == export.name,
            }
        }
        (ExternItem::Function(_), ExternItem::Function(_)) => import.name == export.name,
        _ => false,
    }
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
        pairs: Vec::new(),
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

/// A component's name, made from its file's.
fn name_of(text: &str) -> String {
    match kebab_case(text) {
        name if name.is_empty() => "component".into(),
        name => name,
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
