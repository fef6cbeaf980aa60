//! Names, versions, worlds and types of WebAssembly components: the vocabulary every other crate
//! speaks.
//!
//! This crate is pure: it takes bytes and values and returns values and errors. No files, clock,
//! network or async.
//!
//! * [`name`]: interface names and the one place that decides whether two of them match.
//! * [`ty`]: the component model's types as plain data, with ids resolved away.
//! * [`world`]: a component's imports and exports.
//! * [`sharing`]: one copy of what many components have alike.
//! * `read`: a world from a component's bytes; `text`: from WIT, and to WIT.
//! * `decode`: the tree of WIT of bytes that anybody may have made.
//! * `custom`: custom sections of a component.
//! * [`digest`]: a number for a function's type, the same on every machine.
//! * [`http`]: interfaces through which requests go, and which stand for which.
//! * `wasi`: what WASI says of a component that exports one of its interfaces.
//! * [`check`]: whether an export's type can satisfy an import's, and where they first differ.

pub mod check;
mod custom;
mod decode;
pub mod digest;
pub mod http;
pub mod name;
mod opened;
mod read;
pub mod sharing;
mod text;
pub mod ty;
mod wasi;
pub mod world;

pub use custom::{custom_section, custom_section_within, without_custom_sections};
pub use decode::{DecodeError, GuardError, decode, guarded};
pub use http::HttpFace;
pub use name::{InterfaceName, NameError, NameFault};
pub use opened::OPEN;
pub use sharing::Interfaces;
pub use text::{FromWitError, WitError};
pub use ty::{Case, FuncKind, Function, ResourceRef, Type};
pub use world::{Extern, ExternItem, Interface, ReadError, Unsupported, World};
