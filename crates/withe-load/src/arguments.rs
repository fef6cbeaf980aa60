//! An application made from files and options of a command line: what a manifest says, without one.
//!
//! The application is made as data, the same that a manifest is read to, and everything behind that is one way for
//! both. Its manifest is written from the same data ([`withe_manifest::write`](withe_manifest::write())), so what
//! runs and what is shown cannot differ. Making the text first and reading it back was the other way: then messages would
//! point into a text that nobody wrote, and name fields where options are meant.
//!
//! Links follow from the imports and exports in the files, so they are made after those have been read:
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
    /// The mocks, each in the place of whatever else exports some interfaces.
    pub mocks: Vec<MockArgument>,
    /// Providers that are there, whether or not anything asks for them.
    pub providers: Vec<ProviderArgument>,
    /// Providers of which one is linked where something that it exports is imported and nothing else exports it.
    pub embedded: Vec<ProviderArgument>,
    /// The component's configuration.
    pub config: ConfigMap,
    /// The keys of that whose values are secret.
    pub secret_keys: SecretKeys,
    /// The machine's resources that the component may reach.
    pub grants: Grants,
    /// The part that starts it; `None` if it is called from outside.
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

/// A mock: the target of some imports, whatever else exports them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MockArgument {
    /// `namespace:package`, or one interface of it: `namespace:package/interface`.
    pub name: String,
    /// The part that takes their place.
    pub with: MockWith,
}

/// The kind of part that a mock is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MockWith {
    /// A component, which may itself import what it takes the place of.
    Component(PathBuf),
    /// The embedded provider that exports it.
    Embedded,
}

impl MockArgument {
    /// Whether an import is meant, of whatever version.
    pub fn is_meant(&self, import: &Extern) -> bool {
        let Some(name) = import.interface_name() else {
            return false;
        };
        let package = format!("{}:{}", name.namespace, name.package);
        self.name == package || self.name == format!("{package}/{}", name.interface)
    }
}

/// The start of a component that is not called: a server where it handles HTTP requests, else that it is a command.
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

/// The application that runs what `arguments` name. The application has no providers and no links yet: which ones it
/// needs shows once the files are read, see [`add_providers`] and [`add_links`].
pub(super) fn application(arguments: &Arguments) -> Application {
    let root = &arguments.component;
    let mut components: Vec<Component> = Vec::new();
    for path in std::iter::once(root).chain(&arguments.links) {
        let name = unique(name_of(&name_in(path)), &components);
        components.push(component(name, file(path)));
    }
    for path in mock_files(arguments) {
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

/// The components that mocks are, each once, in the order of their places behind the others.
fn mock_files(arguments: &Arguments) -> Vec<&Path> {
    let mut files: Vec<&Path> = Vec::new();
    for mock in &arguments.mocks {
        if let MockWith::Component(path) = &mock.with
            && !files.contains(&path.as_path())
        {
            files.push(path);
        }
    }
    files
}

/// Which of the parts are mocks, and of what.
struct Mocks<'a> {
    arguments: &'a Arguments,
    files: Vec<&'a Path>,
}

impl<'a> Mocks<'a> {
    fn of(arguments: &'a Arguments) -> Self {
        Self {
            arguments,
            files: mock_files(arguments),
        }
    }

    /// The mock that `import` of the part at `source` leads to, if there is one. A mock's own imports are not: it may pass on
    /// what it is called with.
    fn of_import(&self, source: usize, import: &Extern) -> Option<&'a MockArgument> {
        let is_mock = self.is_mock(source);
        let mut mocks = self.arguments.mocks.iter();
        mocks.find(|mock| !is_mock && mock.is_meant(import))
    }

    /// The place of the first of the components that are mocks.
    fn first(&self) -> usize {
        1 + self.arguments.links.len()
    }

    fn is_mock(&self, place: usize) -> bool {
        (self.first()..self.first() + self.files.len()).contains(&place)
    }

    /// Whether the part at `target` may be what `import` of the part at `source` leads to.
    fn allow(
        &self,
        (source, import): (usize, &Extern),
        target: usize,
        application: &[Component],
    ) -> bool {
        match self.of_import(source, import).map(|mock| &mock.with) {
            None => !self.is_mock(target),
            Some(MockWith::Component(path)) => {
                let place = self.files.iter().position(|file| file == path);
                place.is_some_and(|place| self.first() + place == target)
            }
            Some(MockWith::Embedded) => application[target].kind == ComponentKind::Provider,
        }
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
    let mocks = Mocks::of(arguments);
    for embedded in arguments.embedded.iter().filter(|p| !named(&p.name)) {
        let exports = registry.worlds().find(|(name, _)| *name == embedded.name);
        let exports = exports.map_or(&[][..], |(_, world)| &world.exports);
        let of_provider = |import: &&Extern| exports.iter().any(|e| satisfies(e, import));
        let mut linked = false;
        for (place, part) in parts.iter().enumerate() {
            let imports = world(part).map_or(&[][..], |world| &world.imports);
            let is_missing = |import: &&Extern| {
                if let Some(mock) = mocks.of_import(place, import) {
                    return mock.with == MockWith::Embedded;
                }
                let others = (1..parts.len()).filter(|other| !mocks.is_mock(*other));
                let mut others = others.filter_map(|other| world(&parts[other]));
                !others.any(|w| w.exports.iter().any(|e| offers(e, import)))
            };
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

/// Links every component to every other one, but the first, that exports something it imports; where several export it,
/// to those with the very version, if there are any, and to what is its mock, if it has one. Providers that call
/// components are linked to the first, if it exports what they call. The linker decides what exactly the link carries,
/// and whether it fits.
pub(super) fn add_links(
    application: &mut Application,
    parts: &[LoadedPart],
    arguments: &Arguments,
) {
    let names: Vec<String> = application
        .components
        .iter()
        .map(|c| c.name.value.clone())
        .collect();
    let mocks = Mocks::of(arguments);
    for source in 0..application.components.len() {
        let Some(importer) = world(&parts[source]) else {
            continue;
        };
        if application.components[source].kind == ComponentKind::Provider {
            let called = world(&parts[0]).is_some_and(|root| calls(importer, root));
            let links = &mut application.components[source].links;
            links.extend(called.then(|| link(&names[0])));
            continue;
        }
        let others = (1..parts.len()).filter(|target| *target != source);
        let others: Vec<_> = others
            .filter_map(|target| Some((target, world(&parts[target])?)))
            .collect();
        let mut targets = BTreeMap::<usize, Vec<&Extern>>::new();
        for import in &importer.imports {
            let offering = |offers: &dyn Fn(&Extern) -> bool| -> Vec<usize> {
                let exporters = others.iter().filter(|(target, w)| {
                    let components = &application.components;
                    w.exports.iter().any(offers)
                        && mocks.allow((source, import), *target, components)
                });
                exporters.map(|(target, _)| *target).collect()
            };
            let exact = offering(&|export| {
                offers(export, import) && export.interface_name() == import.interface_name()
            });
            let exporters = match exact.is_empty() {
                true => offering(&|export| offers(export, import)),
                false => exact,
            };
            for target in exporters {
                targets.entry(target).or_default().push(import);
            }
        }
        // A link's interfaces are inferred, unless a mock is to have some of them.
        let has_mocks = (importer.imports.iter()).any(|i| mocks.of_import(source, i).is_some());
        let links = targets.into_iter().flat_map(|(target, imports)| {
            let named: Option<Vec<_>> = imports.iter().map(|i| i.interface_name()).collect();
            match named {
                Some(named) if has_mocks => links_of(&names[target], &named),
                _ => vec![link(&names[target])],
            }
        });
        let links: Vec<_> = links.collect();
        application.components[source].links.extend(links);
    }
}

/// Links that carry these interfaces and no others, one for each package.
fn links_of(target: &str, interfaces: &[&InterfaceName]) -> Vec<Link> {
    let mut packages = BTreeMap::<_, BTreeSet<&str>>::new();
    for name in interfaces {
        let package = packages.entry((&name.namespace, &name.package));
        package.or_default().insert(&name.interface);
    }
    let unplaced = |text: &str| Spanned::unplaced(text.to_owned());
    let links = packages
        .into_iter()
        .map(|((namespace, package), names)| Link {
            namespace: Some(unplaced(namespace)),
            package: Some(unplaced(package)),
            interfaces: Some(names.into_iter().map(unplaced).collect()),
            ..link(target)
        });
    links.collect()
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
