//! Worlds from WIT text, and a component's world as WIT text.

use wasm_encoder::reencode::{ReencodeComponent as _, RoundtripReencoder};
use wasm_encoder::{
    Component, ComponentExportSection, ComponentImportSection, RawSection, TypeBounds,
};
use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentEntityType, ComponentItem, ComponentType,
};
use wasmparser::types::TypesRef;
use wasmparser::{ComponentTypeRef, Parser, Payload, Validator, WasmFeatures};
use wit_component::{DecodedWasm, WitPrinter};
use wit_parser::{Resolve, SourceMap, UnresolvedPackageGroup};

use crate::decode::{decode, guarded};
use crate::read::{Reader, Scan};
use crate::world::{ReadError, World};

impl World {
    /// The world named `world` of the last of `packages`, each the text of a WIT package; the
    /// others are what it uses, in any order. Its interfaces are complete, where a component's
    /// imports list only what is used.
    ///
    /// # Errors
    ///
    /// If a text is not WIT, a package uses one that is not there, or there is no such world: says
    /// which and where.
    pub fn from_wit(packages: &[&str], world: &str) -> Result<World, FromWitError> {
        let bytes = encode(packages)?;
        let types = Validator::new_with_features(WasmFeatures::all())
            .validate_all(&bytes)
            .map_err(|e| FromWitError::Invalid(e.to_string()))?;
        let types = types.as_ref();
        let Some(ty) = world_type(types, world) else {
            return Err(FromWitError::NoWorld(world.into()));
        };
        let (imports, exports) = (ty.imports.iter(), ty.exports.iter());
        Ok(Reader::new(types).world(imports.map(borrow), exports.map(borrow))?)
    }

    /// The world of the component `bytes` as WIT text, with the interfaces that it uses.
    ///
    /// Value types that it exports outside of any interface are declared in the world, which is how WIT has
    /// them.
    ///
    /// # Errors
    ///
    /// If the bytes are not a component, or one whose world WIT cannot express.
    pub fn wit(bytes: &[u8]) -> Result<String, WitError> {
        World::read(bytes)?;
        let bytes = declare_types(bytes)?;
        let printed = match decode(&bytes) {
            // Printing follows types in types as decoding does.
            Ok(decoded @ DecodedWasm::Component(..)) => {
                guarded(|| print(&decoded).map_err(|e| format!("{e:#}")))
                    .unwrap_or_else(|e| Err(e.to_string()))
            }
            Ok(DecodedWasm::WitPackage(..)) => Err("it is a WIT package".into()),
            Err(e) => Err(e.to_string()),
        };
        printed.map_err(WitError::Inexpressible)
    }
}

/// Why WIT is not that of a world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FromWitError {
    /// There is no text.
    #[error("there is no package")]
    NoPackage,
    /// A text is not WIT, or uses what is not there: says which and where.
    #[error("{0}")]
    Text(String),
    /// A package cannot be put into WIT's binary form, or that is not valid.
    #[error("{0}")]
    Invalid(String),
    /// The last package has no world of this name.
    #[error("the package has no world `{0}`")]
    NoWorld(String),
    /// There is the world, and it has what no link carries.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a component's world cannot be written as WIT.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitError {
    /// The component cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The component can be read; WIT has no words for its world.
    #[error("WIT cannot express the world of this component: {0}")]
    Inexpressible(String),
}

/// The component with the value types that it exports outside of any interface turned to imports, by which
/// a world declares types. Whatever comes behind counts types as before: each is one, imported or exported.
fn declare_types(bytes: &[u8]) -> Result<Vec<u8>, WitError> {
    let malformed = |e: wasmparser::BinaryReaderError| ReadError::Malformed(e.to_string());
    let scan = Scan::of(bytes)?;
    let mut resources = Vec::new();
    let mut component = Component::new();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(malformed)?;
        match &payload {
            Payload::Version { .. } => {
                depth += 1;
                continue;
            }
            Payload::End(_) => depth -= 1,
            _ => {}
        }
        // A section that holds a component or a module is seen as a whole before what is in it.
        let Some((id, range)) = payload.as_section().filter(|_| depth == 1) else {
            continue;
        };
        let Payload::ComponentExportSection(section) = &payload else {
            let data = &bytes[range.start as usize..range.end as usize];
            component.section(&RawSection { id, data });
            continue;
        };
        for export in section.clone() {
            let export = export.map_err(malformed)?;
            let name = export.name.name;
            match scan.exported_type(name) {
                Some(ComponentAnyTypeId::Defined(_)) => {
                    let mut imports = ComponentImportSection::new();
                    let bounds = match export.ty {
                        Some(ComponentTypeRef::Type(wasmparser::TypeBounds::Eq(index))) => index,
                        _ => export.index,
                    };
                    let ty = wasm_encoder::ComponentTypeRef::Type(TypeBounds::Eq(bounds));
                    imports.import(name, ty);
                    component.section(&imports);
                    continue;
                }
                Some(ComponentAnyTypeId::Resource(_)) => resources.push(format!("`{name}`")),
                _ => {}
            }
            let mut exports = ComponentExportSection::new();
            RoundtripReencoder
                .parse_component_export(&mut exports, export)
                .map_err(|e| ReadError::Malformed(e.to_string()))?;
            component.section(&exports);
        }
    }
    match resources.is_empty() {
        true => Ok(component.finish()),
        false => Err(WitError::Inexpressible(format!(
            "it exports {} outside of any interface",
            match &resources[..] {
                [one] => format!("the resource {one}"),
                many => format!("the resources {}", many.join(", ")),
            }
        ))),
    }
}

/// The last of `packages` in WIT's binary form. Going by way of it leaves one place that
/// understands types: the reader of binaries.
fn encode(packages: &[&str]) -> Result<Vec<u8>, FromWitError> {
    let parse = |(i, text): (usize, &&str)| -> Result<UnresolvedPackageGroup, FromWitError> {
        let mut map = SourceMap::default();
        map.push_str(&format!("package {}", i + 1), *text);
        map.parse()
            .map_err(|(map, e)| FromWitError::Text(e.render(&map)))
    };
    let mut groups = packages
        .iter()
        .enumerate()
        .map(parse)
        .collect::<Result<Vec<_>, _>>()?;
    let main = groups.pop().ok_or(FromWitError::NoPackage)?;
    let mut resolve = Resolve {
        all_features: true,
        ..Resolve::default()
    };
    let package = resolve
        .push_groups(main, groups)
        .map_err(|e| FromWitError::Text(e.render(&resolve.source_map)))?;
    wit_component::encode(&resolve, package).map_err(|e| FromWitError::Invalid(format!("{e:#}")))
}

/// The type of `world` in a WIT package: the package exports, for each world, a component type
/// whose one export is a component with the world's imports and exports.
fn world_type<'a>(types: TypesRef<'a>, world: &str) -> Option<&'a ComponentType> {
    let ComponentEntityType::Type {
        created: ComponentAnyTypeId::Component(id),
        ..
    } = types.component_item_for_export(world)?.ty
    else {
        return None;
    };
    match types.get(id)?.exports.values().next()?.ty {
        ComponentEntityType::Component(id) => types.get(id),
        _ => None,
    }
}

fn borrow<'a>((name, item): (&'a String, &'a ComponentItem)) -> (&'a str, &'a ComponentItem) {
    (name, item)
}

/// Prints the root package, and every package that it uses as a nested one.
fn print(decoded: &DecodedWasm) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let (resolve, root) = (decoded.resolve(), decoded.package());
    let others: Vec<_> = resolve
        .packages
        .iter()
        .map(|(id, _)| id)
        .filter(|id| *id != root)
        .collect();
    let mut printer = WitPrinter::default();
    printer.print(resolve, root, &others)?;
    Ok(printer.output.to_string())
}
