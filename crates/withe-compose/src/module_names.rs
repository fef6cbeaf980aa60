//! Gives the core modules inside a component the component's name.
//!
//! Wasmtime's backtraces name the module of each frame from the module's `name` section. In a
//! composition that is the only trace of which constituent a frame belongs to, and compilers put
//! the crate's name there, or nothing. Everything but that one name is copied byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use wasm_encoder::{ComponentSectionId, CustomSection, Encode, SectionId};
use wasmparser::{BinaryReader, BinaryReaderError};

/// Magic number, version and layer of a module or component.
const HEADER: usize = 8;
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
            put_section(&mut out, id, &rename_module(body, name)?);
        } else if id == u8::from(ComponentSectionId::Component) {
            put_section(&mut out, id, &rename(body, name)?);
        } else {
            out.extend_from_slice(&component[whole]);
        }
    }
    Ok(out)
}

fn rename_module(module: &[u8], name: &str) -> Result<Vec<u8>, BinaryReaderError> {
    let mut out = header(module)?.to_vec();
    let mut named = false;
    for section in Sections::new(module) {
        let (id, whole, body) = section?;
        let body = &module[body];
        // Only the first `name` section counts.
        if id == u8::from(SectionId::Custom) && !named && custom_name(body)? == NAME_SECTION {
            put_names(&mut out, body, name)?;
            named = true;
        } else {
            out.extend_from_slice(&module[whole]);
        }
    }
    if !named {
        let mut body = Vec::new();
        NAME_SECTION.encode(&mut body);
        put_names(&mut out, &body, name)?;
    }
    Ok(out)
}

/// Writes a `name` section with the names of `body`, a `name` section's contents, and the module's
/// own name.
fn put_names(out: &mut Vec<u8>, body: &[u8], name: &str) -> Result<(), BinaryReaderError> {
    let mut module_name = Vec::new();
    name.encode(&mut module_name);
    let mut data = Vec::new();
    put_section(&mut data, MODULE_NAME, &module_name);
    let mut reader = BinaryReader::new(body, 0);
    reader.read_string()?;
    let rest = &body[reader.original_position() as usize..];
    for section in (Sections { bytes: rest, at: 0 }) {
        // Names are only for people: what is malformed, and all behind it, is left out.
        let Ok((id, whole, _)) = section else { break };
        if id != MODULE_NAME {
            data.extend_from_slice(&rest[whole]);
        }
    }
    out.push(SectionId::Custom.into());
    CustomSection {
        name: NAME_SECTION.into(),
        data: Cow::Owned(data),
    }
    .encode(out);
    Ok(())
}

fn put_section(out: &mut Vec<u8>, id: u8, body: &[u8]) {
    out.push(id);
    body.encode(out);
}

fn custom_name(body: &[u8]) -> Result<&str, BinaryReaderError> {
    BinaryReader::new(body, 0).read_string()
}

fn header(bytes: &[u8]) -> Result<&[u8], BinaryReaderError> {
    BinaryReader::new(bytes, 0).read_bytes(HEADER)
}

/// The sections of a binary: id, the place of the whole, the place of the body.
struct Sections<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Sections<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: HEADER.min(bytes.len()),
        }
    }

    fn read(&mut self) -> Result<(u8, Range<usize>, Range<usize>), BinaryReaderError> {
        let start = self.at;
        let mut reader = BinaryReader::new(&self.bytes[start..], 0);
        let id = reader.read_u8()?;
        let len = reader.read_var_u32()? as usize;
        let body = start + reader.original_position() as usize;
        reader.read_bytes(len)?;
        self.at = body + len;
        Ok((id, start..self.at, body..self.at))
    }
}

impl Iterator for Sections<'_> {
    type Item = Result<(u8, Range<usize>, Range<usize>), BinaryReaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let section = self.read();
        if section.is_err() {
            self.at = self.bytes.len();
        }
        Some(section)
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::{KnownCustom, Name, Parser, Payload};

    use super::*;

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
        let renamed = rename_module(&module, "x").unwrap();
        assert_eq!(contents(&renamed).0, ["x"]);
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
