//! Splits a module that is a snapshot into its code and the memory that it begins with.
//!
//! Tools for interpreted languages run the interpreter as far as the program's first line when they build, and keep the
//! memory as it is then (Wizer). So two programs have an interpreter of the same code in modules that differ. Here the memory
//! goes into a module of its own, with the data, and the module with the code imports it: then the code is the same for all
//! programs of a language, and compiled once. componentize-py's components are made so already.
//!
//! Rejected: one module with the data written by the host. Wasmtime maps the pages of a memory that a module defines with its
//! data when they are touched; copying megabytes for each instance would take longer than all else.

use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    DataSection, Encode as _, EntityType, ExportKind, ExportSection, MemorySection, MemoryType,
    Module, SectionId,
};
use wasmparser::{BinaryReader, BinaryReaderError, DataKind, DataSectionReader, Operator, TypeRef};

use crate::sections::{Sections, header, put_section};

use super::module_type::Interface;

/// The names under which the code imports its memory.
pub(super) const SNAPSHOT: &str = "withe:snapshot";
const MEMORY: &str = "memory";

/// A module in two parts.
pub(super) struct Split {
    /// The memory, with what is in it.
    pub(super) memory: Vec<u8>,
    /// All else. Instantiated with the memory's instance for [`SNAPSHOT`], it is as the whole was.
    pub(super) code: Vec<u8>,
}

/// Splits a module, if it has one memory, its own, with contents that depend on nothing.
pub(super) fn split(module: &[u8], interface: &Interface<'_>) -> Option<Split> {
    let [memory] = interface.memories[..] else {
        return None;
    };
    let is_in_the_way = |(module, _, ty): &(&str, &str, TypeRef)| {
        *module == SNAPSHOT || matches!(ty, TypeRef::Memory(_))
    };
    if memory.shared || interface.imports.iter().any(is_in_the_way) {
        return None;
    }
    let memory = RoundtripReencoder.memory_type(memory).ok()?;
    write(module, memory).ok().flatten()
}

fn write(module: &[u8], memory: MemoryType) -> Result<Option<Split>, BinaryReaderError> {
    // How large it is at the beginning is the snapshot's, and would make the code another one.
    let any = MemoryType {
        minimum: 0,
        maximum: None,
        ..memory
    };
    let mut import = Vec::new();
    SNAPSHOT.encode(&mut import);
    MEMORY.encode(&mut import);
    EntityType::Memory(any).encode(&mut import);

    let mut code = header(module)?.to_vec();
    let (mut is_imported, mut is_counted) = (false, false);
    let mut active = DataSection::new();
    for section in Sections::new(module) {
        let (id, whole, body) = section?;
        let (whole, body) = (&module[whole], &module[body]);
        let is = |section: SectionId| id == u8::from(section);
        if is(SectionId::Import) {
            // One more, behind the others, so that these keep their numbers.
            let mut reader = BinaryReader::new(body, 0);
            let count = reader.read_var_u32()?;
            let others = &body[reader.original_position() as usize..];
            put_imports(&mut code, count.saturating_add(1), others, &import);
            is_imported = true;
            continue;
        }
        if !is_imported && !is(SectionId::Custom) && !is(SectionId::Type) {
            put_imports(&mut code, 1, &[], &import);
            is_imported = true;
        }
        if is(SectionId::Memory) {
            continue;
        }
        is_counted |= is(SectionId::DataCount);
        if !is(SectionId::Data) {
            code.extend_from_slice(whole);
            continue;
        }
        let mut passive = DataSection::new();
        for segment in DataSectionReader::new(BinaryReader::new(body, 0))? {
            let segment = segment?;
            let bytes = &body[segment.range.start as usize..segment.range.end as usize];
            match &segment.kind {
                DataKind::Passive => {
                    passive.raw(bytes);
                }
                DataKind::Active {
                    memory_index: 0,
                    offset_expr,
                } => {
                    for operator in offset_expr.get_operators_reader() {
                        if !is_constant(&operator?) {
                            return Ok(None);
                        }
                    }
                    active.raw(bytes);
                    // An active segment has no bytes left when the first function runs.
                    passive.passive([]);
                }
                DataKind::Active { .. } => return Ok(None),
            }
        }
        // Functions mention segments only if these are counted.
        if is_counted {
            let mut section = Vec::new();
            passive.encode(&mut section);
            code.push(SectionId::Data.into());
            code.extend(section);
        }
    }
    if active.is_empty() {
        return Ok(None);
    }
    let mut out = Module::new();
    let mut memories = MemorySection::new();
    memories.memory(memory);
    let mut exports = ExportSection::new();
    exports.export(MEMORY, ExportKind::Memory, 0);
    out.section(&memories).section(&exports).section(&active);
    Ok(Some(Split {
        memory: out.finish(),
        code,
    }))
}

fn is_constant(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::I32Const { .. } | Operator::I64Const { .. } | Operator::End
    )
}

fn put_imports(module: &mut Vec<u8>, count: u32, others: &[u8], import: &[u8]) {
    let mut body = Vec::new();
    count.encode(&mut body);
    body.extend_from_slice(others);
    body.extend_from_slice(import);
    put_section(module, SectionId::Import.into(), &body);
}
