//! The exports and imports of a component, as plain data: read from its compiled type once, for all units that are
//! made of it.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem, Type};
use wasmtime::component::{Component, ComponentExportIndex, ResourceType};

use crate::abi::Shape;

/// How to call one exported function.
#[derive(Clone)]
pub(crate) struct ExportFn {
    /// `interface.function`, or the function's name alone if it is the world's.
    pub(crate) name: Arc<str>,
    pub(crate) index: ComponentExportIndex,
    /// How many core values its result is, see [`Shape::results`].
    pub(crate) results: u8,
    /// The import that its first parameter is a resource of, if that is handed over.
    pub(crate) first_of: Option<Arc<str>>,
    /// By which of the functions that the unit calls over links its first parameter is opened, if its caller gives the
    /// name: see [`crate::opened`].
    pub(crate) opener: Option<usize>,
}

/// A component's exported functions.
#[derive(Default)]
pub(crate) struct Exports {
    /// Of the world itself.
    world: HashMap<String, ExportFn>,
    interfaces: HashMap<String, HashMap<String, ExportFn>>,
}

impl Exports {
    /// The exports of `component`.
    pub(crate) fn of(component: &Component) -> Self {
        let engine = component.engine();
        let mut exports = Self::default();
        let resources = Imported::of(component);
        for (name, item) in component.component_type().exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(ty) => {
                    if let Some(index) = component.get_export_index(None, name) {
                        let export = ExportFn::new(name.into(), index, &ty, &resources);
                        exports.world.insert(name.to_owned(), export);
                    }
                }
                ComponentItem::ComponentInstance(ty) => {
                    let Some(instance) = component.get_export_index(None, name) else {
                        continue;
                    };
                    let functions = functions(&ty, component).filter_map(|(function, ty)| {
                        let index = component.get_export_index(Some(&instance), &function)?;
                        let full = format!("{name}.{function}").into();
                        Some((function, ExportFn::new(full, index, &ty, &resources)))
                    });
                    exports
                        .interfaces
                        .insert(name.to_owned(), functions.collect());
                }
                _ => {}
            }
        }
        exports
    }

    /// The function exported under an interface (`None`: by the world) and a name.
    pub(crate) fn get(&self, interface: Option<&str>, function: &str) -> Option<&ExportFn> {
        match interface {
            None => self.world.get(function),
            Some(interface) => self.interfaces.get(interface)?.get(function),
        }
    }

    /// All of them: interface, if any, and name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Option<&str>, &str, &ExportFn)> {
        let world = (self.world.iter()).map(|(name, export)| (None, name.as_str(), export));
        let of_interfaces = self.interfaces.iter().flat_map(|(interface, functions)| {
            (functions.iter())
                .map(|(name, export)| (Some(interface.as_str()), name.as_str(), export))
        });
        world.chain(of_interfaces)
    }
}

impl ExportFn {
    fn new(
        name: Arc<str>,
        index: ComponentExportIndex,
        ty: &ComponentFunc,
        resources: &Imported,
    ) -> Self {
        let first_of = match ty.params().next() {
            Some((_, Type::Own(resource))) => resources.import_of(&resource),
            _ => None,
        };
        Self {
            name,
            index,
            first_of,
            opener: None,
            // Counts above the canonical ABI's maximum are all alike, and that is 16.
            results: Shape::of(ty).results as u8,
        }
    }
}

/// The resources that a component imports, with the imports that have them.
struct Imported(Vec<(ResourceType, Arc<str>)>);

impl Imported {
    fn of(component: &Component) -> Self {
        let engine = component.engine();
        let mut resources = Vec::new();
        for (name, item) in component.component_type().imports(engine) {
            let ComponentItem::ComponentInstance(ty) = item.ty else {
                continue;
            };
            let import: Arc<str> = name.into();
            for (_, item) in ty.exports(engine) {
                if let ComponentItem::Resource(resource) = item.ty {
                    resources.push((resource, import.clone()));
                }
            }
        }
        Self(resources)
    }

    /// The first import that has the resource: others may use it.
    fn import_of(&self, resource: &ResourceType) -> Option<Arc<str>> {
        let mut all = self.0.iter();
        let found = all.find(|(imported, _)| imported == resource);
        found.map(|(_, import)| import.clone())
    }
}

fn functions<'a>(
    ty: &'a ComponentInstance,
    component: &'a Component,
) -> impl Iterator<Item = (String, ComponentFunc)> + use<'a> {
    let items = ty.exports(component.engine());
    items.filter_map(|(name, item)| match item.ty {
        ComponentItem::ComponentFunc(ty) => Some((name.to_owned(), ty)),
        _ => None,
    })
}

/// One import of a component.
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) item: ImportItem,
}

/// An imported item.
pub(crate) enum ImportItem {
    Function(Shape),
    Interface {
        functions: Vec<(String, Shape)>,
        resources: Vec<String>,
    },
    /// Types, modules, components: nothing that anybody calls.
    Other,
}

/// The imports of `component`.
pub(crate) fn imports(component: &Component) -> Vec<Import> {
    let engine = component.engine();
    let imports = component.component_type();
    let imports = imports.imports(engine);
    imports
        .map(|(name, item)| Import {
            name: name.to_owned(),
            item: match item.ty {
                ComponentItem::ComponentFunc(ty) => ImportItem::Function(Shape::of(&ty)),
                ComponentItem::ComponentInstance(ty) => ImportItem::Interface {
                    functions: functions(&ty, component)
                        .map(|(name, ty)| (name, Shape::of(&ty)))
                        .collect(),
                    resources: ty
                        .exports(engine)
                        .filter(|(_, item)| matches!(item.ty, ComponentItem::Resource(_)))
                        .map(|(name, _)| name.to_owned())
                        .collect(),
                },
                _ => ImportItem::Other,
            },
        })
        .collect()
}
