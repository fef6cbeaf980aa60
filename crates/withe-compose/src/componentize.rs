//! A component of a core module, for languages whose compilers make core modules.
//!
//! The module imports and exports what a world says under the names that the component model gives these in core modules, and may import
//! WASI 0.1, which compilers for `wasip1` link their libraries to. WASI 0.1 becomes WASI 0.2 by the adapter of Wasmtime's project, which is part
//! of this crate's program: without it each project would have to fetch a file that fits.

use std::error::Error;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

use withe_wit::{GuardError, guarded};

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum ComponentizeError {
    /// The file is no core module.
    #[error("the file is no core module of WebAssembly{}", if *is_component { ": it is a component already" } else { "" })]
    NoModule {
        /// Whether it is a component.
        is_component: bool,
    },
    /// The bytes are not valid.
    #[error("the module cannot be read")]
    Invalid(#[source] wasmparser::BinaryReaderError),
    /// The module does not do what the world says.
    #[error("the module does not fit its world")]
    Misfit(#[source] Box<dyn Error + Send + Sync>),
    /// A fault of what makes components.
    #[error("the module cannot be made a component")]
    Fault(#[source] GuardError),
}

/// Makes a component of `module`. `world` is what it is to import and export; a module that says so itself, as those that link C
/// bindings do, needs none. One that exports `_start` becomes a command.
///
/// # Errors
///
/// See [`ComponentizeError`].
pub fn componentize(
    module: &[u8],
    world: Option<(&Resolve, WorldId)>,
) -> Result<Vec<u8>, ComponentizeError> {
    let is_command = is_command(module)?;
    let misfit = |e| ComponentizeError::Misfit(e);
    let make = || {
        let mut module = module.to_vec();
        if let Some((resolve, world)) = world {
            embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)?;
        }
        let adapter = match is_command {
            true => WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
            false => WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
        };
        ComponentEncoder::default()
            .module(&module)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter)?
            .validate(true)
            .encode()
    };
    let made = guarded(make).map_err(ComponentizeError::Fault)?;
    made.map_err(|e| misfit(e.into()))
}

/// Whether the core module exports what a program begins with.
fn is_command(module: &[u8]) -> Result<bool, ComponentizeError> {
    if Parser::is_component(module) || !Parser::is_core_wasm(module) {
        let is_component = Parser::is_component(module);
        return Err(ComponentizeError::NoModule { is_component });
    }
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload.map_err(ComponentizeError::Invalid)? {
            for export in exports {
                if export.map_err(ComponentizeError::Invalid)?.name == "_start" {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIT: &str = "package t:t; world w { export add: func(a: u32, b: u32) -> u32; }";

    /// Imports WASI 0.1, as what compilers make for `wasip1`.
    const MODULE: &str = r#"(module
        (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "add") (param i32 i32) (result i32)
            (drop (call $yield)) (i32.add (local.get 0) (local.get 1))))"#;

    fn made(module: &str) -> Result<Vec<u8>, ComponentizeError> {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("w.wit", WIT).unwrap();
        let world = resolve.select_world(&[package], None).unwrap();
        componentize(&wat::parse_str(module).unwrap(), Some((&resolve, world)))
    }

    #[test]
    fn a_module_becomes_a_component_of_its_world() {
        let component = made(MODULE).unwrap();
        let world = withe_wit::World::read(&component).unwrap();
        assert!(world.export("add").is_some());
        let imports = world.imports.iter().map(|import| &*import.name);
        let imports: Vec<_> = imports.filter(|name| !name.starts_with("wasi:")).collect();
        assert_eq!(imports, [""; 0]);
        let again = made(MODULE).unwrap();
        assert!(component == again);
    }

    #[test]
    fn a_program_becomes_a_command() {
        let program = r#"(module
            (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
            (memory (export "memory") 1)
            (func (export "_start") (drop (call $yield))))"#;
        let component = componentize(&wat::parse_str(program).unwrap(), None).unwrap();
        let world = withe_wit::World::read(&component).unwrap();
        assert!(world.command().is_some());
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let without = MODULE.replace(r#"(export "add")"#, "");
        let Err(ComponentizeError::Misfit(why)) = made(&without) else {
            panic!("it fits")
        };
        assert!(format!("{why:?}").contains("add"), "{why:?}");
        let component = wat::parse_str("(component)").unwrap();
        let error = componentize(&component, None).unwrap_err().to_string();
        assert!(error.contains("it is a component already"), "{error}");
        let error = componentize(b"text", None).unwrap_err().to_string();
        assert_eq!(error, "the file is no core module of WebAssembly");
    }
}
