//! A component as composing sees it: validated bytes, its imports and exports in order, and where
//! each type that it imports is named.

use std::collections::HashMap;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType,
    ComponentInstanceTypeId, ComponentItem, ComponentValType, ResourceId,
};
use wasmparser::types::Types;
use wasmparser::{Encoding, Parser, Payload, ValidPayload, Validator, WasmFeatures};

use crate::names::function_resource;

/// Why bytes cannot take part in a composition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bytes are a core module.
    #[error("this is a core WebAssembly module, not a component")]
    CoreModule,
    /// The bytes are not a valid component.
    #[error("this is not a valid component: {0}")]
    Invalid(String),
}

/// A validated component.
///
/// Its type structure is checked; the bodies of its functions are not: the compiler of the
/// composition checks those anyway, and they are nearly all of a component's bytes.
pub(crate) struct Component {
    pub(crate) types: Types,
    /// Imports in the order of the binary.
    pub(crate) imports: Vec<Item>,
    /// Exports in the order of the binary.
    pub(crate) exports: Vec<Item>,
    /// Where a type is named by an import. Two names of one type are two types here, as they are
    /// for validation.
    pub(crate) homes: HashMap<ComponentAnyTypeId, Home>,
    /// Where a resource enters the component: the first import that names it.
    pub(crate) resources: HashMap<ResourceId, Home>,
}

/// An import or export.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) item: ComponentItem,
}

/// The place among a component's imports where a type is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    /// Which import.
    pub(crate) import: usize,
    /// The type's name within an imported instance; `None` if the import is the type itself.
    pub(crate) name: Option<String>,
}

impl Component {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let (types, imports, exports) = validate(bytes)?;
        let find = |names: Vec<String>, get: &dyn Fn(&str) -> Option<ComponentItem>| {
            names
                .into_iter()
                .filter_map(|name| get(&name).map(|item| Item { name, item }))
                .collect()
        };
        let imports = find(imports, &|name| {
            types.component_item_for_import(name).cloned()
        });
        let exports = find(exports, &|name| {
            types.component_item_for_export(name).cloned()
        });
        let mut component = Component {
            types,
            imports,
            exports,
            homes: HashMap::new(),
            resources: HashMap::new(),
        };
        component.find_homes();
        Ok(component)
    }

    pub(crate) fn import(&self, name: &str) -> Option<usize> {
        self.imports.iter().position(|item| item.name == name)
    }

    /// The items of an instance, in order.
    pub(crate) fn instance_items(
        &self,
        id: ComponentInstanceTypeId,
    ) -> impl Iterator<Item = (&str, &ComponentEntityType)> {
        self.types[id]
            .exports
            .iter()
            .map(|(name, item)| (name.as_str(), &item.ty))
    }

    /// The type at a place among the imports.
    pub(crate) fn type_at(&self, home: &Home) -> Option<ComponentAnyTypeId> {
        let ty = match (self.imports[home.import].item.ty, &home.name) {
            (ComponentEntityType::Instance(id), Some(name)) => {
                self.types[id].exports.get(name.as_str())?.ty
            }
            (ty, None) => ty,
            _ => return None,
        };
        match ty {
            ComponentEntityType::Type { created, .. } => Some(created),
            _ => None,
        }
    }

    /// Whether validation wants the type to have a name wherever a composition shows it: of value
    /// types, those that WIT declares.
    pub(crate) fn wants_name(&self, id: ComponentDefinedTypeId) -> bool {
        use ComponentDefinedType as D;
        matches!(
            self.types[id],
            D::Record(_) | D::Variant(_) | D::Enum(_) | D::Flags(_)
        )
    }

    /// A type import that only gives another name to a type that an import has named already: the
    /// place of that first name.
    pub(crate) fn renames(&self, import: usize) -> Option<&Home> {
        match self.imports[import].item.ty {
            ComponentEntityType::Type { created, .. } => self
                .homes
                .get(&created)
                .filter(|home| home.import != import),
            _ => None,
        }
    }

    fn find_homes(&mut self) {
        for import in 0..self.imports.len() {
            match self.imports[import].item.ty {
                ComponentEntityType::Instance(id) => {
                    let named: Vec<_> = self
                        .instance_items(id)
                        .filter_map(|(name, ty)| match ty {
                            ComponentEntityType::Type { created, .. } => Some((
                                *created,
                                Home {
                                    import,
                                    name: Some(name.to_owned()),
                                },
                            )),
                            _ => None,
                        })
                        .collect();
                    for (id, home) in named {
                        self.add_home(id, home);
                    }
                }
                ComponentEntityType::Type {
                    created,
                    referenced,
                } => {
                    let home = match self.homes.get(&referenced) {
                        Some(first) => first.clone(),
                        None => Home { import, name: None },
                    };
                    self.add_home(created, home);
                }
                _ => {}
            }
        }
    }

    fn add_home(&mut self, id: ComponentAnyTypeId, home: Home) {
        if let ComponentAnyTypeId::Resource(resource) = id {
            self.resources
                .entry(resource.resource())
                .or_insert_with(|| home.clone());
        }
        self.homes.entry(id).or_insert(home);
    }
}

/// The types within types.
impl Component {
    /// The types that an item's type mentions itself.
    pub(crate) fn types_in(&self, ty: &ComponentEntityType, found: &mut Vec<ComponentAnyTypeId>) {
        match ty {
            ComponentEntityType::Instance(id) => {
                for (_, ty) in self.instance_items(*id) {
                    match ty {
                        // An instance within an instance is refused elsewhere.
                        ComponentEntityType::Instance(_) => {}
                        ty => self.types_in(ty, found),
                    }
                }
            }
            ComponentEntityType::Func(id) => {
                let func = &self.types[*id];
                let values = func.params.iter().map(|(_, ty)| ty).chain(&func.result);
                found.extend(values.filter_map(defined_id));
            }
            ComponentEntityType::Type { referenced, .. } => found.push(*referenced),
            ComponentEntityType::Module(_)
            | ComponentEntityType::Value(_)
            | ComponentEntityType::Component(_) => {}
        }
    }

    /// The types that a value type is made of, one step down.
    pub(crate) fn children(&self, id: ComponentDefinedTypeId, found: &mut Vec<ComponentAnyTypeId>) {
        use ComponentDefinedType as D;
        match &self.types[id] {
            D::Primitive(_) | D::Enum(_) | D::Flags(_) => {}
            D::Record(ty) => found.extend(ty.fields.values().filter_map(defined_id)),
            D::Variant(ty) => {
                found.extend(
                    ty.cases
                        .values()
                        .filter_map(|case| case.ty.as_ref())
                        .filter_map(defined_id),
                );
            }
            D::Tuple(ty) => found.extend(ty.types.iter().filter_map(defined_id)),
            D::List { element, .. } | D::FixedLengthList { element, .. } => {
                found.extend(defined_id(element))
            }
            D::Map { key, value, .. } => {
                found.extend([key, value].into_iter().filter_map(defined_id))
            }
            D::Option { ty, .. } => found.extend(defined_id(ty)),
            D::Result { ok, err, .. } => found.extend(ok.iter().chain(err).filter_map(defined_id)),
            D::Future { ty, .. } | D::Stream { ty, .. } => {
                found.extend(ty.iter().filter_map(defined_id))
            }
            D::Own(id) | D::Borrow(id) => found.push(ComponentAnyTypeId::Resource(*id)),
        }
    }

    /// The imported resource that a function's name (`[static]r.f`) refers to.
    pub(crate) fn resource_of_name(&self, name: &str) -> Option<ComponentAnyTypeId> {
        let resource = function_resource(name)?;
        match self.imports[self.import(resource)?].item.ty {
            ComponentEntityType::Type { created, .. } => Some(created),
            _ => None,
        }
    }

    /// Where a resource is first exported: which export, and its name in that if it is an instance.
    pub(crate) fn exported_at(&self, resource: ResourceId) -> Option<(usize, Option<&str>)> {
        let is_it = |ty: &ComponentEntityType| {
            matches!(ty, ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(id), .. }
                if id.resource() == resource)
        };
        let mut exports = self.exports.iter().enumerate();
        exports.find_map(|(export, item)| match &item.item.ty {
            ComponentEntityType::Instance(id) => {
                let (name, _) = self.instance_items(*id).find(|(_, ty)| is_it(ty))?;
                Some((export, Some(name)))
            }
            ty => is_it(ty).then_some((export, None)),
        })
    }
}

fn defined_id(ty: &ComponentValType) -> Option<ComponentAnyTypeId> {
    match ty {
        ComponentValType::Type(id) => Some(ComponentAnyTypeId::Defined(*id)),
        ComponentValType::Primitive(_) => None,
    }
}

/// Validates all but function bodies; gives the types and the names of imports and exports.
fn validate(bytes: &[u8]) -> Result<(Types, Vec<String>, Vec<String>), ReadError> {
    let invalid = |e: wasmparser::BinaryReaderError| ReadError::Invalid(e.to_string());
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0;
    let mut types = None;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        match &payload {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if depth == 0 => {
                return Err(ReadError::CoreModule);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section.clone() {
                    imports.push(import.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section.clone() {
                    exports.push(export.map_err(invalid)?.name.name.to_owned());
                }
            }
            _ => {}
        }
        if let ValidPayload::End(end) = validator.payload(&payload).map_err(invalid)? {
            types = Some(end);
        }
    }
    // The outermost end comes last.
    match types {
        Some(types) => Ok((types, imports, exports)),
        None => Err(ReadError::Invalid("it has no end".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_apart_what_it_is_given() {
        let error = |bytes: &[u8]| Component::read(bytes).err();
        assert_eq!(
            error(&wat::parse_str("(module)").unwrap()),
            Some(ReadError::CoreModule)
        );
        assert!(matches!(error(b"text"), Some(ReadError::Invalid(_))));
        assert!(matches!(error(b""), Some(ReadError::Invalid(_))));
        assert_eq!(error(&wat::parse_str("(component)").unwrap()), None);
    }

    #[test]
    fn a_resource_is_at_home_where_it_is_first_named() {
        let component = Component::read(
            &wat::parse_str(
                r#"(component
                    (import "a:b/one" (instance $one (export "r" (type (sub resource)))))
                    (alias export $one "r" (type $r))
                    (import "a:b/two" (instance
                        (alias outer 1 $r (type $r'))
                        (export "q" (type $q (eq $r')))
                        (export "f" (func (param "x" (own $q))))))
                    (import "s" (type (eq $r))))"#,
            )
            .unwrap(),
        )
        .unwrap();
        assert_eq!(component.imports.len(), 3);
        let homes: Vec<_> = component.resources.values().collect();
        assert_eq!(
            homes,
            [&Home {
                import: 0,
                name: Some("r".into())
            }]
        );
        assert_eq!(
            component.renames(2),
            Some(&Home {
                import: 0,
                name: Some("r".into())
            })
        );
        assert_eq!(component.renames(0), None);
    }
}
