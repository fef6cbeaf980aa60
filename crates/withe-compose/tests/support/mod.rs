//! Components for tests, built from WIT with function bodies that do nothing.

#![allow(dead_code, reason = "every test binary uses some of it")]

use std::sync::Arc;

use wasmparser::{Payload, ValidPayload, Validator, WasmFeatures};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};
use withe_compose::{Constituent, FuseError, FuseRequest, FuseWire, Fused, fuse};

/// A little of WASI, two releases of some of it, and interfaces of an application.
const PACKAGES: &str = include_str!("packages.wit");

/// A component of the world whose items are given, as in WIT: `import wasi:cli/stdout@0.2.6;`.
pub(crate) fn component(items: &str) -> Vec<u8> {
    component_with(items, PACKAGES).unwrap_or_else(|e| panic!("{e:?}"))
}

/// The same with other packages.
pub(crate) fn component_with(items: &str, packages: &str) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve {
        all_features: true,
        ..Resolve::default()
    };
    let text = format!("package test:root;\nworld root {{\n{items}\n}}\n{packages}");
    let package = resolve.push_str("test.wit", &text)?;
    let world = resolve.select_world(&[package], Some("root"))?;
    let mut module = wit_component::dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let mut encoder = ComponentEncoder::default();
    encoder.module(&module)?.validate(true).encode()
}

pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn constituent(label: &str, bytes: &[u8]) -> Constituent {
    Constituent {
        label: label.into(),
        name: label.into(),
        bytes: Arc::from(bytes),
    }
}

/// A wire of one name at both ends.
pub(crate) fn wire(importer: usize, name: &str, exporter: usize) -> FuseWire {
    FuseWire {
        importer,
        import: name.into(),
        exporter,
        export: name.into(),
    }
}

/// Fuses with what a host would keep separate, and validates the result.
pub(crate) fn fuse_valid(constituents: Vec<Constituent>, wires: Vec<FuseWire>) -> Fused {
    let fused = try_fuse(constituents, wires).unwrap_or_else(|e| panic!("{e}"));
    assert_valid(&fused.bytes);
    fused
}

pub(crate) fn try_fuse(
    constituents: Vec<Constituent>,
    wires: Vec<FuseWire>,
) -> Result<Fused, FuseError> {
    fuse(
        &FuseRequest {
            constituents,
            wires,
        },
        &is_separate,
    )
}

pub(crate) fn is_separate(name: &str) -> bool {
    [
        "wasi:cli/",
        "wasi:filesystem/preopens",
        "wasi:config",
        "wasi:keyvalue",
        "wasi:http/outgoing-handler",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Validates all of it, function bodies too.
pub(crate) fn assert_valid(bytes: &[u8]) {
    Validator::new_with_features(WasmFeatures::all())
        .validate_all(bytes)
        .unwrap_or_else(|e| panic!("{e}"));
}

/// `(name, implements)` of each import, or each export.
pub(crate) type Names = Vec<(String, Option<String>)>;

/// The imports and the exports of a component, in order.
pub(crate) fn externs(bytes: &[u8]) -> (Names, Names) {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0;
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let name = import.unwrap().name;
                    imports.push((name.name.into(), name.implements.map(Into::into)));
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let name = export.unwrap().name;
                    exports.push((name.name.into(), name.implements.map(Into::into)));
                }
            }
            _ => {}
        }
    }
    (imports, exports)
}

pub(crate) fn import_names(bytes: &[u8]) -> Vec<String> {
    externs(bytes).0.into_iter().map(|(name, _)| name).collect()
}

pub(crate) fn export_names(bytes: &[u8]) -> Vec<String> {
    externs(bytes).1.into_iter().map(|(name, _)| name).collect()
}

/// The items of each imported instance, as `import.item`, and every other import.
pub(crate) fn import_items(bytes: &[u8]) -> Vec<String> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut types = None;
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        if let ValidPayload::End(end) = validator.payload(&payload.unwrap()).unwrap() {
            types = Some(end);
        }
    }
    let types = types.unwrap();
    let mut items = Vec::new();
    for name in import_names(bytes) {
        match types.component_item_for_import(&name).unwrap().ty {
            wasmparser::component_types::ComponentEntityType::Instance(id) => {
                items.extend(
                    types[id]
                        .exports
                        .keys()
                        .map(|item| format!("{name}.{item}")),
                );
            }
            _ => items.push(name),
        }
    }
    items
}

/// How many components are defined directly inside a component.
pub(crate) fn embedded(bytes: &[u8]) -> usize {
    let mut depth = 0;
    let mut count = 0;
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ComponentSection { .. } => {
                count += usize::from(depth == 0);
                depth += 1;
            }
            Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    count
}
