//! The sections that modules and components are made of, as places in their bytes.
//!
//! A pass that changes one section copies the others as they are. Reading them all and writing them anew was the other way: it
//! takes as long as the code is large, and loses what this version of the tools does not know.

use std::ops::Range;

use wasm_encoder::Encode;
use wasmparser::{BinaryReader, BinaryReaderError};

/// Magic number, version and layer of a module or component.
pub(crate) const HEADER: usize = 8;

/// Writes a section: its id, its length, its body.
pub(crate) fn put_section(out: &mut Vec<u8>, id: u8, body: &[u8]) {
    out.push(id);
    body.encode(out);
}

/// The name of a custom section, which its body begins with.
pub(crate) fn custom_name(body: &[u8]) -> Result<&str, BinaryReaderError> {
    BinaryReader::new(body, 0).read_string()
}

/// The first bytes of a module or component, which are not those of a section.
pub(crate) fn header(bytes: &[u8]) -> Result<&[u8], BinaryReaderError> {
    BinaryReader::new(bytes, 0).read_bytes(HEADER)
}

/// The sections of a binary: id, the place of the whole, the place of the body.
pub(crate) struct Sections<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Sections<'a> {
    /// The sections of a whole module or component.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: HEADER.min(bytes.len()),
        }
    }

    /// The sections of bytes that have no header, such as the parts of a `name` section.
    pub(crate) fn of_body(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
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
