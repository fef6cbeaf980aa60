//! Gives the core modules inside a component the component's name.
//!
//! Wasmtime's backtraces name the module of each frame from the module's `name` section. In a
//! composition that is the only trace of which constituent a frame belongs to, and compilers put
//! the crate's name there, or nothing. Everything but that one name is copied byte for byte.

use std::borrow::Cow;

use wasm_encoder::{ComponentSectionId, CustomSection, Encode, SectionId};
use wasmparser::{BinaryReader, BinaryReaderError};

use crate::sections::{Sections, custom_name, header, put_section};

/// The custom section that holds names.
const NAME_SECTION: &str = "name";
/// The part of it that holds the module's own name.
const MODULE_NAME: u8 = 0;

/// The component with every core module in it, at any depth, named `name`.
///
/// The bytes must be a valid component; an error means that they are not even well-formed.
pub(crate) fn rename(component: &[u8], name: &str) -> Result<Vec<u8>, BinaryReaderError> {
    let mut out = header(component)?.to_vec();
    for section in Sections::new(component) {
        let (id, whole, body) = section?;
        let body = &component[body];
        if id == u8::from(ComponentSectionId::CoreModule) {
            put_section(&mut out, id, &rename_module(body, Some(name))?);
        } else if id == u8::from(ComponentSectionId::Component) {
            put_section(&mut out, id, &rename(body, name)?);
        } else {
            out.extend_from_slice(&component[whole]);
        }
    }
    Ok(out)
}

/// The module with another name of its own, or without one. Then nothing depends on the name that was there.
///
/// A module may have several `name` sections, and Wasmtime takes the last name that it finds. So all of them lose the module's
/// name, and the last one is given the new one: a component that could keep one behind that would be taken for another.
pub(crate) fn rename_module(
    module: &[u8],
    name: Option<&str>,
) -> Result<Vec<u8>, BinaryReaderError> {
    let mut sections = Vec::new();
    let mut last = None;
    for section in Sections::new(module) {
        let (id, whole, body) = section?;
        let body = &module[body];
        let is_names = id == u8::from(SectionId::Custom) && custom_name(body)? == NAME_SECTION;
        if is_names {
            last = Some(sections.len());
        }
        sections.push((is_names, whole, body));
    }
    let mut out = header(module)?.to_vec();
    for (number, (is_names, whole, body)) in sections.into_iter().enumerate() {
        if is_names {
            let name = name.filter(|_| last == Some(number));
            put_names(&mut out, name_parts(body)?, name);
        } else {
            out.extend_from_slice(&module[whole]);
        }
    }
    if last.is_none() {
        put_names(&mut out, &[], name);
    }
    Ok(out)
}

/// The module's own name, if it has one: the last one that is there, as for Wasmtime.
pub(crate) fn module_name(module: &[u8]) -> Option<&str> {
    let sections = Sections::new(module).flatten();
    let names = sections.filter_map(|(id, _, body)| {
        let body = &module[body];
        let is_custom = id == u8::from(SectionId::Custom);
        let is_names = is_custom && custom_name(body).ok()? == NAME_SECTION;
        if !is_names {
            return None;
        }
        let parts = name_parts(body).ok()?;
        let named = Sections::of_body(parts).flatten();
        let named = named.filter(|(id, ..)| *id == MODULE_NAME);
        let named =
            named.filter_map(|(_, _, name)| BinaryReader::new(&parts[name], 0).read_string().ok());
        named.last()
    });
    names.last()
}

/// The parts of a `name` section's contents.
fn name_parts(body: &[u8]) -> Result<&[u8], BinaryReaderError> {
    let mut reader = BinaryReader::new(body, 0);
    reader.read_string()?;
    Ok(&body[reader.original_position() as usize..])
}

/// Writes a `name` section with the module's own name, if any, and the other `parts` of another one.
fn put_names(out: &mut Vec<u8>, parts: &[u8], name: Option<&str>) {
    let mut data = Vec::new();
    if let Some(name) = name {
        let mut module_name = Vec::new();
        name.encode(&mut module_name);
        put_section(&mut data, MODULE_NAME, &module_name);
    }
    for part in Sections::of_body(parts) {
        // Names are only for people: what is malformed, and all behind it, is left out.
        let Ok((id, whole, _)) = part else { break };
        if id != MODULE_NAME {
            data.extend_from_slice(&parts[whole]);
        }
    }
    if data.is_empty() {
        return;
    }
    out.push(SectionId::Custom.into());
    CustomSection {
        name: NAME_SECTION.into(),
        data: Cow::Owned(data),
    }
    .encode(out);
}

#[cfg(test)]
mod tests {
    use wasmparser::{KnownCustom, Name, Parser, Payload};

    use super::*;
    use crate::sections::HEADER;

    const NESTED: &str = r#"(component
        (core module $old (func $run (local $x i32) i32.const 1 drop) (export "run" (func $run)))
        (core module)
        (component (core module $inner (func $deep))))"#;

    /// Module names, function names and code bytes, in order.
    fn contents(bytes: &[u8]) -> (Vec<String>, Vec<String>, Vec<Vec<u8>>) {
        let (mut modules, mut functions, mut code) = (Vec::new(), Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.unwrap() {
                Payload::CustomSection(custom) => {
                    if let KnownCustom::Name(names) = custom.as_known() {
                        for name in names {
                            match name.unwrap() {
                                Name::Module { name, .. } => modules.push(name.to_owned()),
                                Name::Function(map) => functions.extend(
                                    map.into_iter()
                                        .map(|naming| naming.unwrap().name.to_owned()),
                                ),
                                _ => {}
                            }
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => code.push(body.as_bytes().to_vec()),
                _ => {}
            }
        }
        (modules, functions, code)
    }

    #[test]
    fn renames_every_module_and_nothing_else() {
        let before = wat::parse_str(NESTED).unwrap();
        let after = rename(&before, "visits").unwrap();
        let ((old, old_functions, old_code), (new, new_functions, new_code)) =
            (contents(&before), contents(&after));
        assert_eq!(old, ["old", "inner"]);
        assert_eq!(new, ["visits", "visits", "visits"]);
        assert_eq!(new_functions, ["run", "deep"]);
        assert_eq!((old_functions, old_code), (new_functions, new_code));
        wasmparser::Validator::new().validate_all(&after).unwrap();
    }

    #[test]
    fn renaming_is_deterministic_and_idempotent() {
        let before = wat::parse_str(NESTED).unwrap();
        let once = rename(&before, "visits").unwrap();
        assert_eq!(once, rename(&before, "visits").unwrap());
        assert_eq!(once, rename(&once, "visits").unwrap());
        assert_ne!(once, rename(&once, "other").unwrap());
    }

    #[test]
    fn malformed_names_are_dropped() {
        let mut module = wat::parse_str("(module)").unwrap();
        let mut body = Vec::new();
        NAME_SECTION.encode(&mut body);
        body.extend([1, 0xff, 0xff, 0xff]);
        put_section(&mut module, SectionId::Custom.into(), &body);
        let renamed = rename_module(&module, Some("x")).unwrap();
        assert_eq!(contents(&renamed).0, ["x"]);
    }

    #[test]
    fn a_module_without_a_name_is_the_same_whatever_it_was_called() {
        let texts = [
            "(module)",
            "(module $a)",
            "(module $b (func $f))",
            "(module (func $f))",
        ];
        let modules = texts.map(|text| wat::parse_str(text).unwrap());
        let names: Vec<_> = modules.iter().map(|module| module_name(module)).collect();
        assert_eq!(names, [None, Some("a"), Some("b"), None]);
        let unnamed = modules
            .each_ref()
            .map(|module| rename_module(module, None).unwrap());
        assert_eq!(unnamed[0], modules[0]);
        assert_eq!(unnamed[0], unnamed[1]);
        assert_eq!(unnamed[2], unnamed[3]);
        assert_eq!(contents(&unnamed[2]).1, ["f"]);
        for (module, unnamed) in modules.iter().zip(&unnamed) {
            let renamed = rename_module(module, Some("c")).unwrap();
            assert_eq!(module_name(&renamed), Some("c"));
            assert_eq!(&rename_module(&renamed, None).unwrap(), unnamed);
        }
    }

    /// Several `name` sections, one of them with two names.
    #[test]
    fn no_name_is_left_behind_the_one_that_is_given() {
        let section = |names: &[&str]| {
            let mut body = Vec::new();
            NAME_SECTION.encode(&mut body);
            for name in names {
                let mut part = Vec::new();
                name.encode(&mut part);
                put_section(&mut body, MODULE_NAME, &part);
            }
            body
        };
        let mut module = wat::parse_str("(module $first (func $f))").unwrap();
        let custom = SectionId::Custom.into();
        put_section(&mut module, custom, &section(&["second", "third"]));
        put_section(&mut module, custom, &section(&[]));
        assert_eq!(module_name(&module), Some("third"));
        let renamed = rename_module(&module, Some("given")).unwrap();
        assert_eq!(contents(&renamed).0, ["given"]);
        assert_eq!(contents(&renamed).1, ["f"]);
        assert_eq!(module_name(&renamed), Some("given"));
        let unnamed = rename_module(&module, None).unwrap();
        assert_eq!(module_name(&unnamed), None);
        assert_eq!(unnamed, rename_module(&renamed, None).unwrap());
    }

    #[test]
    fn cut_off_bytes_are_an_error() {
        let bytes = wat::parse_str(NESTED).unwrap();
        for len in 0..bytes.len() {
            // Some prefixes happen to end between two sections.
            if let Ok(renamed) = rename(&bytes[..len], "x") {
                assert!(renamed.len() >= HEADER);
            }
        }
        assert!(rename(&bytes[..7], "x").is_err());
        assert!(rename(&bytes[..bytes.len() - 1], "x").is_err());
    }
}
