//! An application made from files and options of a command line: what a manifest says, without one.
//!
//! The application is made as data, the same that a manifest is read to, and everything behind that is one way for
//! both. Its manifest is written from the same data ([`withe_manifest::write`](withe_manifest::write())), so what
//! runs and what is shown cannot differ. Making the text first and reading it back was the other way: then messages would
//! point into a text that nobody wrote, and name fields where options are meant.
//!
//! What is linked follows from what the files import and export, so it is decided when they have been read:
//! [`application`], then [`add_providers`], then [`add_links`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use withe_linker::input::{
    Application, Command, Component, ComponentKind, ConfigMap, Grants, Image, Limits, Link,
    NamedConfig, Part, SecretKeys, Spanned,
};
use withe_oci::Reference;
use withe_wit::name::kebab_case;
use withe_wit::{Extern, ExternItem, InterfaceName, World};

use crate::image::stem;
use crate::loaded::LoadedPart;
use crate::registry::Registry;

/// The provider that hands HTTP requests to components.
const HTTP_SERVER: &str = "http-server";

/// An application as a command line says it.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The component that is run or called.
    pub component: PathBuf,
    /// Components that are linked to it, and to each other, when it runs.
    pub links: Vec<PathBuf>,
    /// Components that it is composed with before.
    pub plugs: Vec<PathBuf>,
    /// Providers that are there, whether or not anything asks for them.
    pub providers: Vec<ProviderArgument>,
    /// Providers of which one is linked where something that it exports is imported and nothing else exports it.
    pub embedded: Vec<ProviderArgument>,
    /// The component's configuration.
    pub config: ConfigMap,
    /// The keys of that whose values are secret.
    pub secret_keys: SecretKeys,
    /// What of the machine the component may reach.
    pub grants: Grants,
    /// What starts it; `None` if it is called from outside.
    pub start: Option<StartArguments>,
}

/// A provider that an application is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderArgument {
    /// Its short name, or the path of its program.
    pub name: String,
    /// Its configuration.
    pub config: ConfigMap,
}

/// What starts a component that is not called: a server where it handles HTTP requests, else that it is a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartArguments {
    /// The address where HTTP is served.
    pub address: String,
    /// The arguments of a command.
    pub arguments: Vec<String>,
}

/// A provider that was linked without being named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// The component that it is linked to.
    pub component: String,
    /// The provider's short name.
    pub provider: String,
    /// Its configuration.
    pub config: ConfigMap,
    /// The interfaces that it is linked for, as the component imports them.
    pub interfaces: Vec<String>,
}

/// The application that runs what `arguments` name. It has no providers and no links yet: which ones it
/// needs shows once the files are read, see [`add_providers`] and [`add_links`].
pub(super) fn application(arguments: &Arguments) -> Application {
    let root = &arguments.component;
    let mut components: Vec<Component> = Vec::new();
    for path in std::iter::once(root).chain(&arguments.links) {
        let name = unique(name_of(&name_in(path)), &components);
        components.push(component(name, file(path)));
    }
    let first = &mut components[0];
    if !arguments.plugs.is_empty() {
        let parts = std::iter::once(root).chain(&arguments.plugs);
        let parts = parts.map(|path| Spanned::unplaced(file(path)));
        first.image = Spanned::unplaced(Image::Compose(parts.collect()));
    }
    let (secret, plain): (ConfigMap, ConfigMap) = (arguments.config.clone().into_iter())
        .partition(|(key, _)| arguments.secret_keys.contains(key));
    // The names of configuration are those of the whole application.
    let name = first.name.value.clone();
    first.config.extend(named_config(&name, plain, false));
    let secrets = format!("{name}-secrets");
    first.config.extend(named_config(&secrets, secret, true));
    first.grants = arguments.grants.clone();
    Application {
        name: Spanned::unplaced(name_of(&name_in(root))),
        version: None,
        description: None,
        shared: false,
        components,
        policies: Vec::new(),
    }
}

/// Adds the providers that were asked for, those that something imports which nothing else exports, and an HTTP server if
/// the first component is to be started and handles requests; or makes it a command, if it is one. Returns which
/// were not asked for.
pub(super) fn add_providers(
    application: &mut Application,
    parts: &[LoadedPart],
    arguments: &Arguments,
    registry: &Registry,
) -> Vec<Assumed> {
    let mut assumed = Vec::new();
    for given in &arguments.providers {
        add_provider(application, given);
    }
    let named = |name: &str| arguments.providers.iter().any(|given| given.name == name);
    for embedded in arguments.embedded.iter().filter(|p| !named(&p.name)) {
        let exports = registry.worlds().find(|(name, _)| *name == embedded.name);
        let exports = exports.map_or(&[][..], |(_, world)| &world.exports);
        let of_provider = |import: &&Extern| exports.iter().any(|e| satisfies(e, import));
        let mut linked = false;
        for (place, part) in parts.iter().enumerate() {
            let imports = world(part).map_or(&[][..], |world| &world.imports);
            let others = || parts[1..].iter().filter_map(world);
            let is_missing =
                |import: &&Extern| !others().any(|w| w.exports.iter().any(|e| offers(e, import)));
            let interfaces: Vec<_> = (imports.iter())
                .filter(of_provider)
                .filter(is_missing)
                .map(|import| import.name.clone())
                .collect();
            if !interfaces.is_empty() {
                linked = true;
                assumed.push(Assumed {
                    component: application.components[place].name.value.clone(),
                    provider: embedded.name.clone(),
                    config: embedded.config.clone(),
                    interfaces,
                });
            }
        }
        if linked {
            add_provider(application, embedded);
        }
    }
    if let (Some(start), Some(world)) = (&arguments.start, parts.first().and_then(world)) {
        if world.http_handler().is_some() {
            if !named(HTTP_SERVER) {
                let config = [("address".to_owned(), start.address.clone())];
                let server = ProviderArgument {
                    name: HTTP_SERVER.into(),
                    config: config.into(),
                };
                add_provider(application, &server);
            }
        } else if world.command().is_some() {
            application.components[0].command = Some(Spanned::unplaced(Command {
                arguments: start.arguments.clone(),
            }));
        }
    }
    assumed
}

/// Adds a provider, under a name of its own.
fn add_provider(application: &mut Application, given: &ProviderArgument) {
    // A short name is one word; what is not may be a path.
    let is_path = given.name.contains(['/', '.']);
    let (name, image) = match is_path {
        true => (
            name_of(&stem(Path::new(&given.name))),
            Image::File(given.name.clone()),
        ),
        false => (given.name.clone(), Image::Builtin(given.name.clone())),
    };
    let name = unique(name, &application.components);
    let config = named_config(&name, given.config.clone(), false);
    let mut provider = component(name, image);
    provider.kind = ComponentKind::Provider;
    provider.config.extend(config);
    application.components.push(provider);
}

/// Configuration, unless there is none.
fn named_config(name: &str, values: ConfigMap, secret: bool) -> Option<NamedConfig> {
    let values: BTreeMap<_, _> = (values.into_iter())
        .map(|(key, value)| (key, Spanned::unplaced(value)))
        .collect();
    (!values.is_empty()).then(|| NamedConfig {
        name: Spanned::unplaced(name.into()),
        properties: Some(values),
        secret,
    })
}

/// Links every component to every other one, but the first, that exports something it imports; where several
/// export it, to those with the very version, if there are any. Providers that call components are linked to the
/// first, if it exports what they call. What exactly the link carries, and whether it fits, is for the linker to say.
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
        if component.kind == ComponentKind::Provider {
            let called = world(&parts[0]).is_some_and(|root| calls(importer, root));
            component.links.extend(called.then(|| link(&names[0])));
            continue;
        }
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

/// Whether a provider calls something that a component exports.
fn calls(provider: &World, component: &World) -> bool {
    let mut imports = provider.imports.iter().filter(|i| !i.is_types_only());
    imports.any(|import| component.exports.iter().any(|e| satisfies(e, import)))
}

/// Whether `export` is what `import` asks for, by name and version.
fn satisfies(export: &Extern, import: &Extern) -> bool {
    match (export.interface_name(), import.interface_name()) {
        (Some(export), Some(import)) => import.is_satisfied_by(export),
        _ => false,
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

/// The scheme of what is in a registry.
const REGISTRY: &str = "oci://";

fn file(path: &Path) -> Image {
    let path = path.to_string_lossy();
    match path.strip_prefix(REGISTRY) {
        Some(reference) => Image::Oci(reference.into()),
        None => Image::File(path.into_owned()),
    }
}

/// The name of a component: after its file's path, or its reference.
fn name_in(path: &Path) -> String {
    let text = path.to_string_lossy();
    let reference = text.strip_prefix(REGISTRY).map(Reference::parse);
    match reference {
        Some(Ok(reference)) => reference.short_name().to_owned(),
        _ => stem(path),
    }
}

fn component(name: String, image: Image) -> Component {
    Component {
        name: Spanned::unplaced(name),
        kind: ComponentKind::Component,
        image: Spanned::unplaced(image),
        id: None,
        config: Vec::new(),
        secrets: Vec::new(),
        links: Vec::new(),
        scaling: None,
        limits: Limits::default(),
        grants: Grants::default(),
        reuse: None,
        process: None,
        command: None,
        on_missing: None,
        build: None,
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
        let application = application(&Arguments {
            component: "a/my app.component.wasm".into(),
            links: others.into(),
            ..Arguments::default()
        });
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
