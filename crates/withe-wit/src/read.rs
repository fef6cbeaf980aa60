//! A component's world from its bytes.
//!
//! The validator's own types are read, rather than what `wit_parser::decoding` makes of them: that
//! merges an interface which a component both imports and exports (any middleware does), or imports
//! under two labels, into one, and asserts what valid components can break. Every import and
//! export here has exactly the type that it has in the binary.
//!
//! Function bodies are not validated: the compiler of the component does that.

use std::collections::HashMap;
use std::sync::Arc;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType,
    ComponentFuncTypeId, ComponentItem, ComponentValType, ResourceId,
};
use wasmparser::names::{ComponentName, ComponentNameKind};
use wasmparser::types::{Types, TypesRef};
use wasmparser::{
    CanonicalFunction, CanonicalOption, Parser, Payload, PrimitiveValType, ValidPayload, Validator,
    WasmFeatures,
};

use crate::name::InterfaceName;
use crate::ty::{FuncKind, Function, Named, ResourceRef, Type};
use crate::world::{Extern, ExternItem, Interface, ReadError, Unsupported, World};

impl World {
    /// Reads the world of the component `bytes`.
    ///
    /// # Errors
    ///
    /// If `bytes` are not a valid component, or one with imports that no link could satisfy.
    pub fn read(bytes: &[u8]) -> Result<World, ReadError> {
        check_header(bytes)?;
        let scan = Scan::of(bytes)?;
        let types = scan.types.as_ref();
        let imports = items(&scan.imports, |name| types.component_item_for_import(name));
        let exports = items(&scan.exports, |name| types.component_item_for_export(name));
        if imports.is_empty()
            && !exports.is_empty()
            && exports.iter().all(|(_, item)| is_component_type(item))
        {
            return Err(ReadError::WitPackage);
        }
        let world = Reader::new(types).world(imports, exports)?;
        Ok(World {
            async_abi: scan.async_abi,
            memory: scan.memory,
            ..world
        })
    }
}

/// Tells apart what else than a component people hand to a linker.
fn check_header(bytes: &[u8]) -> Result<(), ReadError> {
    let Some(rest) = bytes.strip_prefix(b"\0asm") else {
        let text = bytes.trim_ascii_start();
        return Err(ReadError::NotWasm(if bytes.is_empty() {
            "it is empty".into()
        } else if text.starts_with(b"(") || text.starts_with(b";;") {
            "it looks like WebAssembly text, which has to be turned into a binary first".into()
        } else {
            "it does not start with `\\0asm`".into()
        }));
    };
    match rest.get(..4) {
        Some([1, 0, 0, 0]) => Err(ReadError::CoreModule),
        Some(_) => Ok(()),
        None => Err(ReadError::Malformed("it ends in its first 8 bytes".into())),
    }
}

/// The validated types of a component, and what of its sections the types do not tell.
pub(crate) struct Scan {
    types: Types,
    imports: Vec<String>,
    exports: Vec<String>,
    async_abi: bool,
    memory: u64,
}

impl Scan {
    pub(crate) fn of(bytes: &[u8]) -> Result<Scan, ReadError> {
        let malformed = |e: wasmparser::BinaryReaderError| ReadError::Malformed(e.to_string());
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        let (mut imports, mut exports) = (Vec::new(), Vec::new());
        let (mut async_abi, mut memory) = (false, 0);
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(malformed)?;
            // The parser takes a module or component that is cut off between two of its sections for a whole one.
            if payload
                .as_section()
                .is_some_and(|(_, range)| range.end > bytes.len() as u64)
            {
                return Err(cut_off());
            }
            match &payload {
                Payload::Version { .. } => depth += 1,
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section.clone() {
                        imports.push(import.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section.clone() {
                        exports.push(export.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::ComponentCanonicalSection(section) => {
                    for function in section.clone() {
                        async_abi |= is_async(&function.map_err(malformed)?);
                    }
                }
                Payload::MemorySection(section) => {
                    for ty in section.clone() {
                        let ty = ty.map_err(malformed)?;
                        let page = 1_u64 << ty.page_size_log2.unwrap_or(16).min(16);
                        memory = memory.max(ty.initial.saturating_mul(page));
                    }
                }
                _ => {}
            }
            if let ValidPayload::End(types) = validator.payload(&payload).map_err(malformed)? {
                depth -= 1;
                if depth == 0 {
                    return Ok(Scan {
                        types,
                        imports,
                        exports,
                        async_abi,
                        memory,
                    });
                }
            }
        }
        Err(cut_off())
    }
}

fn cut_off() -> ReadError {
    ReadError::Malformed("it ends before its last section".into())
}

impl Scan {
    pub(crate) fn types(&self) -> TypesRef<'_> {
        self.types.as_ref()
    }

    /// All imports, and then all exports, in their order.
    pub(crate) fn items(&self) -> impl Iterator<Item = (&str, &ComponentItem)> {
        let types = self.types.as_ref();
        let imports = items(&self.imports, move |name| {
            types.component_item_for_import(name)
        });
        let exports = items(&self.exports, move |name| {
            types.component_item_for_export(name)
        });
        imports.into_iter().chain(exports)
    }

    /// The type that the component exports by this name outside of any interface.
    pub(crate) fn exported_type(&self, name: &str) -> Option<ComponentAnyTypeId> {
        match self.types.as_ref().component_item_for_export(name)?.ty {
            ComponentEntityType::Type { created, .. } => Some(created),
            _ => None,
        }
    }
}

/// Whether a canonical function needs the async ABI.
fn is_async(function: &CanonicalFunction) -> bool {
    use CanonicalFunction as F;
    match function {
        F::Lift { options, .. } | F::Lower { options, .. } => {
            options.contains(&CanonicalOption::Async)
        }
        F::ResourceNew { .. } | F::ResourceDrop { .. } | F::ResourceRep { .. } => false,
        _ => true,
    }
}

type Items<'a> = Vec<(&'a str, &'a ComponentItem)>;

fn items<'a>(names: &'a [String], get: impl Fn(&str) -> Option<&'a ComponentItem>) -> Items<'a> {
    names
        .iter()
        .filter_map(|name| Some((name.as_str(), get(name)?)))
        .collect()
}

fn is_component_type(item: &ComponentItem) -> bool {
    matches!(
        item.ty,
        ComponentEntityType::Type {
            created: ComponentAnyTypeId::Component(_),
            ..
        }
    )
}

/// Turns the validator's types into ours.
pub(crate) struct Reader<'a> {
    types: TypesRef<'a>,
    /// Where each resource was first named; later mentions are uses of it.
    resources: HashMap<ResourceId, ResourceRef>,
    /// The names under which types were imported or exported.
    names: HashMap<ComponentDefinedTypeId, String>,
    /// The types converted already: types that share parts in the binary share them here.
    converted: HashMap<ComponentDefinedTypeId, Type>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(types: TypesRef<'a>) -> Self {
        Self {
            types,
            resources: HashMap::new(),
            names: HashMap::new(),
            converted: HashMap::new(),
        }
    }

    pub(crate) fn world<'i>(
        mut self,
        imports: impl IntoIterator<Item = (&'i str, &'i ComponentItem)>,
        exports: impl IntoIterator<Item = (&'i str, &'i ComponentItem)>,
    ) -> Result<World, ReadError> {
        let mut world = World::default();
        let (imports, exports): (Vec<_>, Vec<_>) =
            (imports.into_iter().collect(), exports.into_iter().collect());
        let mut unsupported = Vec::new();
        for (is_import, items) in [(true, &imports), (false, &exports)] {
            for (name, item) in items {
                unsupported.extend(self.unsupported(is_import, name, item));
            }
        }
        if !unsupported.is_empty() {
            return Err(ReadError::Unsupported(unsupported));
        }
        for (name, item) in imports {
            world.imports.extend(self.item(name, item)?);
        }
        for (name, item) in exports {
            world.exports.extend(self.item(name, item)?);
        }
        Ok(world)
    }

    /// The items of an import or export that are of a kind that no link can carry. Modules and components that
    /// are exported are nothing that must be linked, and are left out of a world.
    fn unsupported(&self, is_import: bool, name: &str, item: &ComponentItem) -> Vec<Unsupported> {
        let found = |item: Option<&str>, what| Unsupported {
            is_import,
            name: name.to_owned(),
            item: item.map(str::to_owned),
            what,
        };
        match item.ty {
            ComponentEntityType::Instance(id) => self.types[id]
                .exports
                .iter()
                .filter_map(|(item, ty)| Some(found(Some(item), unknown_kind(&ty.ty)?)))
                .collect(),
            ComponentEntityType::Func(_) => Vec::new(),
            ref ty => match unknown_kind(ty).filter(|_| is_import) {
                Some(what) => vec![found(None, what)],
                None => Vec::new(),
            },
        }
    }

    /// An import or export that can be linked; `None` for a type, a module or a component.
    fn item(&mut self, name: &str, item: &ComponentItem) -> Result<Option<Extern>, ReadError> {
        let item = match item.ty {
            ComponentEntityType::Instance(_) => {
                ExternItem::Interface(Arc::new(self.interface(name, item)?))
            }
            ComponentEntityType::Func(id) => ExternItem::Function(self.function(name, id)?),
            ComponentEntityType::Type {
                created:
                    created @ (ComponentAnyTypeId::Resource(_) | ComponentAnyTypeId::Defined(_)),
                ..
            } => {
                self.named_type(name, created, None)?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        Ok(Some(Extern {
            name: name.to_owned(),
            item,
        }))
    }

    fn interface(&mut self, name: &str, item: &ComponentItem) -> Result<Interface, ReadError> {
        let ComponentEntityType::Instance(id) = item.ty else {
            return Err(ReadError::Malformed(format!("`{name}` is not an instance")));
        };
        let mut interface = Interface {
            name: interface_name(name, item)?,
            ..Interface::default()
        };
        let types = self.types;
        for (name, item) in &types[id].exports {
            match item.ty {
                ComponentEntityType::Type { created, .. } => {
                    match self.named_type(name, created, interface.name.as_ref())? {
                        NamedType::Resource => interface.resources.push(name.clone()),
                        NamedType::Value(ty) => interface.types.push((name.clone(), ty)),
                    }
                }
                ComponentEntityType::Func(id) => interface.functions.push(self.function(name, id)?),
                _ => {
                    return Err(ReadError::Malformed(format!(
                        "`{name}` in an interface is neither a type nor a function"
                    )));
                }
            }
        }
        Ok(interface)
    }

    fn named_type(
        &mut self,
        name: &str,
        id: ComponentAnyTypeId,
        owner: Option<&InterfaceName>,
    ) -> Result<NamedType, ReadError> {
        match id {
            ComponentAnyTypeId::Resource(id) => match self.resources.get(&id.resource()) {
                Some(known) => Ok(NamedType::Value(Type::Own(known.clone()))),
                None => {
                    let resource = ResourceRef {
                        interface: owner.cloned(),
                        name: name.to_owned(),
                    };
                    self.resources.insert(id.resource(), resource);
                    Ok(NamedType::Resource)
                }
            },
            ComponentAnyTypeId::Defined(id) => {
                self.names.insert(id, name.to_owned());
                Ok(NamedType::Value(self.defined(id)?))
            }
            _ => Err(ReadError::Malformed(format!(
                "the type `{name}` is not a value type"
            ))),
        }
    }

    fn function(&mut self, name: &str, id: ComponentFuncTypeId) -> Result<Function, ReadError> {
        let types = self.types;
        let ty = &types[id];
        let param =
            |(name, ty): &(_, ComponentValType)| Ok((ToString::to_string(name), self.value(*ty)?));
        let params = ty
            .params
            .iter()
            .map(param)
            .collect::<Result<_, ReadError>>()?;
        Ok(Function {
            name: name.to_owned(),
            kind: function_kind(name)?,
            is_async: ty.async_,
            params,
            result: ty.result.map(|ty| self.value(ty)).transpose()?,
        })
    }

    fn value(&mut self, ty: ComponentValType) -> Result<Type, ReadError> {
        match ty {
            ComponentValType::Primitive(primitive) => Ok(self::primitive(primitive)),
            ComponentValType::Type(id) => self.defined(id),
        }
    }

    fn shared(&mut self, ty: ComponentValType) -> Result<Arc<Type>, ReadError> {
        self.value(ty).map(Arc::new)
    }

    fn optional(&mut self, ty: Option<ComponentValType>) -> Result<Option<Arc<Type>>, ReadError> {
        ty.map(|ty| self.shared(ty)).transpose()
    }

    /// Nested at most as deep as the validator allows types to be (100).
    fn defined(&mut self, id: ComponentDefinedTypeId) -> Result<Type, ReadError> {
        if let Some(ty) = self.converted.get(&id) {
            return Ok(ty.clone());
        }
        let types = self.types;
        let name = self.names.get(&id).cloned();
        let ty = match &types[id] {
            ComponentDefinedType::Primitive(primitive) => self::primitive(*primitive),
            ComponentDefinedType::Record(record) => {
                let field = |(name, ty): (_, &ComponentValType)| {
                    Ok((ToString::to_string(name), self.value(*ty)?))
                };
                let body = record
                    .fields
                    .iter()
                    .map(field)
                    .collect::<Result<_, ReadError>>()?;
                Type::Record(Named { name, body })
            }
            ComponentDefinedType::Variant(variant) => {
                let mut cases = Vec::with_capacity(variant.cases.len());
                for (name, case) in &variant.cases {
                    cases.push((
                        name.to_string(),
                        case.ty.map(|ty| self.value(ty)).transpose()?,
                    ));
                }
                Type::Variant(Named {
                    name,
                    body: cases.into(),
                })
            }
            ComponentDefinedType::Enum(cases) => Type::Enum(Named {
                name,
                body: cases.iter().map(ToString::to_string).collect(),
            }),
            ComponentDefinedType::Flags(flags) => Type::Flags(Named {
                name,
                body: flags.iter().map(ToString::to_string).collect(),
            }),
            ComponentDefinedType::Tuple(tuple) => Type::Tuple(
                tuple
                    .types
                    .iter()
                    .map(|ty| self.value(*ty))
                    .collect::<Result<_, _>>()?,
            ),
            ComponentDefinedType::List { element, .. } => Type::List(self.shared(*element)?),
            ComponentDefinedType::FixedLengthList {
                element, length, ..
            } => Type::FixedList(self.shared(*element)?, *length),
            ComponentDefinedType::Map { key, value, .. } => {
                Type::Map(self.shared(*key)?, self.shared(*value)?)
            }
            ComponentDefinedType::Option { ty, .. } => Type::Option(self.shared(*ty)?),
            ComponentDefinedType::Result { ok, err, .. } => {
                Type::Result(self.optional(*ok)?, self.optional(*err)?)
            }
            ComponentDefinedType::Own(id) => Type::Own(self.resource(id.resource())?),
            ComponentDefinedType::Borrow(id) => Type::Borrow(self.resource(id.resource())?),
            ComponentDefinedType::Future { ty, .. } => Type::Future(self.optional(*ty)?),
            ComponentDefinedType::Stream { ty, .. } => Type::Stream(self.optional(*ty)?),
        };
        self.converted.insert(id, ty.clone());
        Ok(ty)
    }

    fn resource(&self, id: ResourceId) -> Result<ResourceRef, ReadError> {
        // Validation demands that every resource in an import's or export's type is named first.
        self.resources
            .get(&id)
            .cloned()
            .ok_or_else(|| ReadError::Malformed("a resource type has no name".into()))
    }
}

/// The kind of an item of a world or of an interface that is neither a function nor a value type nor a resource
/// (nor, in a world, an instance).
fn unknown_kind(ty: &ComponentEntityType) -> Option<&'static str> {
    match ty {
        ComponentEntityType::Func(_)
        | ComponentEntityType::Type {
            created: ComponentAnyTypeId::Resource(_) | ComponentAnyTypeId::Defined(_),
            ..
        } => None,
        ComponentEntityType::Type {
            created: ComponentAnyTypeId::Func(_),
            ..
        } => Some("a function's type"),
        ComponentEntityType::Type {
            created: ComponentAnyTypeId::Instance(_),
            ..
        } => Some("an instance's type"),
        ComponentEntityType::Type {
            created: ComponentAnyTypeId::Component(_),
            ..
        } => Some("a component's type"),
        ComponentEntityType::Module(_) => Some("a core module"),
        ComponentEntityType::Component(_) => Some("a component"),
        ComponentEntityType::Instance(_) => Some("an instance of its own"),
        ComponentEntityType::Value(_) => Some("a value"),
    }
}

enum NamedType {
    /// A resource seen for the first time: this interface defines it.
    Resource,
    /// Any other type.
    Value(Type),
}

/// The interface that an import or export is, by its own name or by what it says it implements;
/// `None` for an inline interface.
fn interface_name(name: &str, item: &ComponentItem) -> Result<Option<InterfaceName>, ReadError> {
    let interface = match &item.implements {
        Some(interface) => interface,
        None if name.contains(':') => name,
        None => return Ok(None),
    };
    let suffix = item.version_suffix.as_deref().unwrap_or_default();
    let name = format!("{interface}{suffix}").parse();
    name.map(Some)
        .map_err(|e: crate::NameError| ReadError::Malformed(e.to_string()))
}

fn function_kind(name: &str) -> Result<FuncKind, ReadError> {
    let malformed = || ReadError::Malformed(format!("`{name}` is not a function's name"));
    let parsed = ComponentName::new(name, 0).map_err(|_| malformed())?;
    Ok(match parsed.kind() {
        ComponentNameKind::Label(_) => FuncKind::Free,
        ComponentNameKind::Constructor(resource) => FuncKind::Constructor(resource.to_string()),
        ComponentNameKind::Method(name) => FuncKind::Method(name.resource().to_string()),
        ComponentNameKind::Static(name) => FuncKind::Static(name.resource().to_string()),
        _ => return Err(malformed()),
    })
}

fn primitive(ty: PrimitiveValType) -> Type {
    match ty {
        PrimitiveValType::Bool => Type::Bool,
        PrimitiveValType::S8 => Type::S8,
        PrimitiveValType::U8 => Type::U8,
        PrimitiveValType::S16 => Type::S16,
        PrimitiveValType::U16 => Type::U16,
        PrimitiveValType::S32 => Type::S32,
        PrimitiveValType::U32 => Type::U32,
        PrimitiveValType::S64 => Type::S64,
        PrimitiveValType::U64 => Type::U64,
        PrimitiveValType::F32 => Type::F32,
        PrimitiveValType::F64 => Type::F64,
        PrimitiveValType::Char => Type::Char,
        PrimitiveValType::String => Type::String,
        PrimitiveValType::ErrorContext => Type::ErrorContext,
    }
}
