//! WIT from bytes that anybody may have made: a package in binary form, or a component.
//!
//! The decoder of `wit-component` asserts what bytes may break, and follows packages that use each other without end. A panic can be
//! caught, and the end of a stack ends the process. So such packages are refused before they are decoded; types in types are refused by
//! the validator, beyond a depth that every stack has room for. Decoding in a process of its own was the other choice: every
//! other reader of these bytes is in this one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentEntityType, ComponentInstanceTypeId, ComponentItem,
};
use wasmparser::types::TypesRef;
use wasmparser::{Parser, Payload};
use wit_component::DecodedWasm;

use crate::read::Scan;
use crate::world::ReadError;

/// The most bytes outside of core modules.
const MOST_BYTES: u64 = 16 << 20;
/// Components in components that are followed: a package's worlds are two deep.
const MOST_DEPTH: u32 = 8;

/// Why bytes are no WIT that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not those of a component.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Outside of core modules there are too many bytes.
    #[error("its WIT has more than {} MiB, which is the most that is taken", MOST_BYTES >> 20)]
    TooLarge,
    /// Packages use each other, which WIT has no words for: their names.
    #[error("its packages use each other: {}", .0.join(", "))]
    Cycle(Vec<String>),
    /// The decoder does not understand it.
    #[error("{0}")]
    Decoder(String),
    /// The decoder gave up.
    #[error(transparent)]
    Guard(#[from] GuardError),
}

/// A library's panic over WIT that it did not expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the library that reads WIT gave up on it")]
pub struct GuardError;

/// Does work on WIT that anybody may have made. If the work panics, its input is not used again.
///
/// # Errors
///
/// If the work panics.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, GuardError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| GuardError)
}

/// The WIT of a package in binary form, or of a component, whoever made it.
///
/// # Errors
///
/// If the bytes are neither, have more than is taken, or the decoder gives up on them.
pub fn decode(bytes: &[u8]) -> Result<DecodedWasm, DecodeError> {
    guarded(|| {
        bounded(bytes)?;
        refuse_cycle(bytes)?;
        wit_component::decode(bytes).map_err(|e| DecodeError::Decoder(format!("{e:#}")))
    })?
}

/// Counts what is in a component besides core modules.
fn bounded(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut rest = bytes.len() as u64;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|e| ReadError::Malformed(e.to_string()))?;
        if let Payload::ModuleSection {
            unchecked_range: range,
            ..
        } = payload
        {
            rest = rest.saturating_sub(range.end.saturating_sub(range.start));
        }
    }
    match rest > MOST_BYTES {
        true => Err(DecodeError::TooLarge),
        false => Ok(()),
    }
}

/// Refuses packages that use each other.
fn refuse_cycle(bytes: &[u8]) -> Result<(), DecodeError> {
    let scan = Scan::of(bytes)?;
    let mut uses = Uses {
        types: scan.types(),
        owners: HashMap::new(),
        packages: BTreeMap::new(),
    };
    for (name, item) in scan.items() {
        uses.item(None, name, item, 0);
    }
    // A package that uses nothing that is left is taken away, until nothing is left or all that is left is in a circle or before one.
    let mut left = uses.packages;
    loop {
        let names: BTreeSet<_> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, used| used.iter().any(|name| names.contains(name)));
        match left.len() {
            0 => return Ok(()),
            now if now == before => return Err(DecodeError::Cycle(left.into_keys().collect())),
            _ => {}
        }
    }
}

/// The packages that use types or interfaces of others, as the decoder will see it: a type is another's if its
/// name was given to it there.
struct Uses<'a> {
    types: TypesRef<'a>,
    /// The package in which a type has its name.
    owners: HashMap<ComponentAnyTypeId, String>,
    /// Each package with those that it uses.
    packages: BTreeMap<String, BTreeSet<String>>,
}

impl Uses<'_> {
    /// Sees an import or an export of a world of the package `world`, or of what has worlds in it.
    fn item(&mut self, world: Option<&str>, name: &str, item: &ComponentItem, depth: u32) {
        let package = package_of(name);
        match item.ty {
            ComponentEntityType::Instance(id) => {
                if let (Some(world), Some(package)) = (world, &package) {
                    self.note(world, package);
                }
                self.instance(package.or(world.map(Into::into)), id);
            }
            ComponentEntityType::Component(id)
            | ComponentEntityType::Type {
                created: ComponentAnyTypeId::Component(id),
                ..
            } if depth < MOST_DEPTH => {
                let types = self.types;
                let Some(ty) = types.get(id) else { return };
                let world = package.as_deref().or(world);
                for (name, item) in ty.imports.iter().chain(&ty.exports) {
                    self.item(world, name, item, depth + 1);
                }
            }
            ComponentEntityType::Type {
                created: ComponentAnyTypeId::Instance(id),
                ..
            } => self.instance(package.or(world.map(Into::into)), id),
            _ => {}
        }
    }

    /// Sees the types of an interface.
    fn instance(&mut self, package: Option<String>, id: ComponentInstanceTypeId) {
        let types = self.types;
        let (Some(package), Some(ty)) = (package, types.get(id)) else {
            return;
        };
        for item in ty.exports.values() {
            let ComponentEntityType::Type {
                referenced,
                created,
            } = item.ty
            else {
                continue;
            };
            let mut next = Some(referenced);
            while let Some(id) = next {
                if let Some(owner) = self.owners.get(&id).cloned() {
                    self.note(&package, &owner);
                    break;
                }
                next = types.peel_alias(id);
            }
            self.owners.insert(created, package.clone());
        }
    }

    fn note(&mut self, package: &str, used: &str) {
        if package != used {
            let all = self.packages.entry(package.into()).or_default();
            all.insert(used.into());
        }
    }
}

/// The package of an interface's name: `acme:cart@1.0.0` of `acme:cart/items@1.0.0`.
fn package_of(name: &str) -> Option<String> {
    let (package, interface) = name.split_once('/')?;
    let version = interface.find('@').map_or("", |at| &interface[at..]);
    Some(format!("{package}{version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interface that uses a type of another one, as components have it.
    fn component(imports: &[(&str, Option<u32>)]) -> Vec<u8> {
        let imports: String = (imports.iter().enumerate())
            .map(|(i, (name, used))| {
                let ty = match used {
                    Some(used) => format!("(alias outer 1 {used} (type))"),
                    None => "(type (record (field \"a\" u8)))".into(),
                };
                format!(
                    "(import \"{name}\" (instance $i{i} {ty} (export \"t\" (type (eq 0)))))
                     (alias export $i{i} \"t\" (type $t{i}))"
                )
            })
            .collect();
        wat::parse_str(format!("(component {imports})")).unwrap()
    }

    #[test]
    fn packages_that_use_each_other_are_refused_by_name() {
        // Types and instances of types are numbered: `$t0` is 1, behind the type of its instance.
        let circle = component(&[
            ("a:a/x@1.0.0", None),
            ("a:b/x@1.0.0", Some(1)),
            ("a:a/y@1.0.0", Some(3)),
        ]);
        let refused = decode(&circle).err().unwrap();
        assert!(
            matches!(&refused, DecodeError::Cycle(names) if names == &["a:a@1.0.0", "a:b@1.0.0"]),
            "{refused}"
        );
        let line = component(&[
            ("a:a/x@1.0.0", None),
            ("a:b/x@1.0.0", Some(1)),
            ("a:a/y@1.0.0", Some(1)),
        ]);
        assert!(matches!(decode(&line), Ok(DecodedWasm::Component(..))));
    }

    #[test]
    fn types_in_types_are_refused_beyond_a_depth() {
        let lists = |count: usize| {
            let mut types = wasm_encoder::ComponentTypeSection::new();
            let mut last =
                wasm_encoder::ComponentValType::Primitive(wasm_encoder::PrimitiveValType::U8);
            for index in 0..count {
                types.defined_type().list(last);
                last = wasm_encoder::ComponentValType::Type(u32::try_from(index).unwrap());
            }
            let mut imports = wasm_encoder::ComponentImportSection::new();
            let bounds = wasm_encoder::TypeBounds::Eq(u32::try_from(count - 1).unwrap());
            imports.import("t", wasm_encoder::ComponentTypeRef::Type(bounds));
            let mut component = wasm_encoder::Component::new();
            component.section(&types);
            component.section(&imports);
            component.finish()
        };
        assert!(decode(&lists(50)).is_ok());
        let refused = decode(&lists(100_000)).err().unwrap();
        assert!(
            matches!(refused, DecodeError::Read(ReadError::Malformed(_))),
            "{refused}"
        );
    }

    #[test]
    fn work_that_panics_is_an_error() {
        assert!(matches!(
            guarded(|| panic!("for a test")),
            Err::<(), _>(GuardError)
        ));
        assert!(matches!(
            decode(b"nothing").err(),
            Some(DecodeError::Read(_))
        ));
    }
}
