//! Parts of wasmCloud v1: provider archives, and whatever has an id on the lattice.
//!
//! v1 does not say what a provider exports and imports. The other ends of its links say it: of their imports and
//! exports the ones that the links name, which v1's manifests always do. A part that others run on the lattice may be a component,
//! so providers are such ends, too: they call it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use withe_linker::input::{Application, ConfigCheck, Link, Part, ProviderWorld};
use withe_provider::FunctionName;
use withe_wit::{
    Extern, ExternItem, FuncKind, Function, HttpFace, Interface, InterfaceName, OPEN, ResourceRef,
    Type, World,
};

use crate::artifact::digest;
use crate::loaded::{LoadedPart, PartSource, ProviderSource};
use crate::v1_part::{V1Part, V1Source};

/// Whether the file is a provider's archive, compressed or not.
pub fn is_archive(path: &Path) -> bool {
    let head = || {
        let mut head = Vec::new();
        File::open(path)?.take(262).read_to_end(&mut head)?;
        std::io::Result::Ok(head)
    };
    // A pipe would be waited for.
    path.is_file()
        && head().is_ok_and(|head| {
            head.starts_with(&[0x1f, 0x8b]) || head.get(257..262) == Some(b"ustar")
        })
}

/// Builds a world for each v1 part of `sources`, which has its place among `parts`, from the interfaces that the
/// links to and from it name.
pub(super) fn resolve(
    application: &Application,
    parts: &mut [LoadedPart],
    sources: Vec<(usize, V1Source)>,
) {
    for (place, source) in sources {
        let Some(component) = application.components.get(place) else {
            continue;
        };
        let name = component.name.value.clone();
        let is_lattice = matches!(source, V1Source::Lattice(_));
        let mut world = world(application, parts, &name);
        if is_lattice {
            for called in called_by_providers(application, parts, &name) {
                add(&mut world.exports, called);
            }
        }
        let called = world.imports.iter().flat_map(functions).collect();
        let functions = world.exports.iter().flat_map(functions).collect();
        let digest = match &source {
            V1Source::Archive(_, digest) => digest.clone(),
            V1Source::Lattice(id) => digest(format!("lattice:{id}").as_bytes()),
        };
        parts[place] = LoadedPart {
            input: Part::Provider(ProviderWorld {
                name,
                world: Arc::new(world),
                digest,
                // The provider says in its log what it thinks of its configuration.
                check_config: ConfigCheck::none(),
                may_be_component: is_lattice,
            }),
            source: PartSource::Provider(ProviderSource::V1(Arc::new(V1Part {
                source,
                functions,
                called,
            }))),
        };
    }
}

/// The interfaces that the links to and from `name` name, as their other ends have them.
fn world(application: &Application, parts: &[LoadedPart], name: &str) -> World {
    let mut world = World::default();
    for (component, part) in application.components.iter().zip(parts) {
        let Part::Component { world: other, .. } = &part.input else {
            continue;
        };
        let links = component.links.iter();
        for link in links.filter(|link| link.target.value == name) {
            for import in other.imports.iter().filter(|import| names(link, import)) {
                add(&mut world.exports, import);
            }
        }
        let own = application
            .components
            .iter()
            .filter(|c| c.name.value == name);
        for link in own.flat_map(|c| &c.links) {
            if link.target.value == component.name.value {
                for export in other.exports.iter().filter(|export| names(link, export)) {
                    add(&mut world.imports, export);
                }
            }
        }
    }
    // v1's host opens buckets, so that no component need import the function for it.
    let mut taken = world.imports.iter().flat_map(Extern::functions);
    if let Some(bucket) = taken.find_map(|function| function.first_owned().filter(|r| is_bucket(r)))
    {
        let opener = opener(bucket);
        add(&mut world.imports, &opener);
    }
    let stores = world.exports.iter().filter_map(Extern::interface_name);
    let buckets = stores.map(|name| ResourceRef {
        interface: Some(name.clone()),
        name: BUCKET.into(),
    });
    let buckets: Vec<_> = buckets.filter(is_bucket).collect();
    for bucket in &buckets {
        add(&mut world.exports, &opener(bucket));
    }
    world
}

/// The functions that providers call of the part `name`: of their imports those that their links to it name and v1's wire can carry.
fn called_by_providers<'a>(
    application: &'a Application,
    parts: &'a [LoadedPart],
    name: &'a str,
) -> impl Iterator<Item = &'a Extern> {
    let sources = application.components.iter().zip(parts);
    sources.flat_map(move |(component, part)| {
        let world = match &part.input {
            Part::Provider(provider) => Some(&*provider.world),
            Part::Component { .. } | Part::Unavailable => None,
        };
        let links = component.links.iter();
        let links = links.filter(move |link| link.target.value == name);
        let imports = world.into_iter().flat_map(|world| &world.imports);
        imports.filter(move |import| {
            links.clone().any(|link| names(link, import)) && is_carried(import)
        })
    })
}

/// The draft of `watcher` that v1 has.
const WATCHER: &str = "wasi:keyvalue/watcher@0.2.0-draft";

/// Whether v1's wire has calls of an interface from a provider of ours: one without resources, but for the bucket of whoever
/// hears of changes, which goes by its name. Requests are no calls; v1 has those of WASI 0.2.
fn is_carried(import: &Extern) -> bool {
    let Some(name) = import.interface_name() else {
        return false;
    };
    if name.to_string() == WATCHER {
        return true;
    }
    if HttpFace::of(name).is_some() {
        return name.interface == "incoming-handler";
    }
    let mut has_handles = false;
    for ty in import.functions().iter().flat_map(Function::sent) {
        ty.walk(&mut |ty| has_handles |= matches!(ty, Type::Own(_) | Type::Borrow(_)));
    }
    !has_handles
}

/// The resource of `wasi:keyvalue/store`.
const BUCKET: &str = "bucket";

fn is_bucket(resource: &ResourceRef) -> bool {
    let is_store = |name: &InterfaceName| {
        (&*name.namespace, &*name.package, &*name.interface) == ("wasi", "keyvalue", "store")
    };
    resource.name == BUCKET && resource.interface.as_ref().is_some_and(is_store)
}

/// The interface of a bucket, with the function that opens one by its name.
fn opener(bucket: &ResourceRef) -> Extern {
    let open = Function {
        name: OPEN.into(),
        kind: FuncKind::Free,
        is_async: false,
        params: vec![("identifier".into(), Type::String)],
        result: Some(Type::Result(Some(Type::Own(bucket.clone()).into()), None)),
    };
    Extern {
        name: (bucket.interface.as_ref()).map_or_else(String::new, ToString::to_string),
        item: ExternItem::Interface(Arc::new(Interface {
            name: bucket.interface.clone(),
            functions: vec![open],
            resources: vec![BUCKET.into()],
            ..Interface::default()
        })),
    }
}

/// Whether a link names the interface that `item` is.
fn names(link: &Link, item: &Extern) -> bool {
    let Some(name) = item.interface_name() else {
        return false;
    };
    let is = |field: &Option<withe_linker::input::Spanned<String>>, value: &str| {
        field.as_ref().is_some_and(|field| field.value == value)
    };
    let interface = |written: &str| written.split('@').next() == Some(name.interface.as_str());
    is(&link.namespace, &name.namespace)
        && is(&link.package, &name.package)
        && (link.interfaces.as_ref())
            .is_some_and(|all| all.iter().any(|written| interface(&written.value)))
}

/// Adds an interface, or what it has beyond one of the same name.
fn add(items: &mut Vec<Extern>, item: &Extern) {
    let ExternItem::Interface(new) = &item.item else {
        return;
    };
    // A label is a name that one importer gives it; the interface has its own.
    let name = new
        .name
        .as_ref()
        .map_or_else(|| item.name.clone(), ToString::to_string);
    let known = items.iter_mut().find(|known| known.name == name);
    let Some(known) = known else {
        let mut item = item.clone();
        item.name = name;
        items.push(item);
        return;
    };
    if let ExternItem::Interface(known) = &mut known.item {
        let known = Arc::make_mut(known);
        for function in &new.functions {
            if known.functions.iter().all(|f| f.name != function.name) {
                known.functions.push(function.clone());
            }
        }
        for resource in &new.resources {
            if !known.resources.contains(resource) {
                known.resources.push(resource.clone());
            }
        }
        for (name, ty) in &new.types {
            if known.types.iter().all(|(known, _)| known != name) {
                known.types.push((name.clone(), ty.clone()));
            }
        }
    }
}

fn functions(export: &Extern) -> Vec<(FunctionName, Function)> {
    let Some(interface) = export.interface() else {
        return Vec::new();
    };
    let named = interface.functions.iter().map(|function| {
        let name = FunctionName {
            interface: export.name.clone(),
            function: function.name.clone(),
        };
        (name, function.clone())
    });
    named.collect()
}
