//! The request for a link.

use crate::codec::{put_counted, put_unsigned};
use crate::frame::{self, Kind, MAX_BODY, array, flag};
use crate::{DecodeError, Reader};

/// The most bytes that a request may take on the wire.
pub(crate) const MAX_REQUEST: usize = 1 << 20;

/// The most bytes of one name in a request.
const MAX_NAME: usize = 64 << 10;

/// Which link a caller wants: who imports what from whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkRequest {
    /// The lattice that both sides are of.
    pub lattice: String,
    /// The application of the importer.
    pub application: String,
    /// The component that calls.
    pub importer: String,
    /// The name of the link, which tells several on one interface apart.
    pub name: String,
    /// The component or provider that is called.
    pub target: String,
    /// The functions that may be called. Calls name them by their index here.
    pub functions: Vec<LinkFunction>,
}

/// A function of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkFunction {
    /// The interface, with its version; empty for a function of the world itself.
    pub interface: String,
    /// The function's name in it.
    pub function: String,
    /// A digest of the function's type: it is the same if the types are.
    pub digest: u64,
}

impl LinkRequest {
    /// Appends the frames that ask for it; says by how many bytes it is too large, if it is.
    pub(crate) fn put(&self, out: &mut Vec<u8>, id: u32) -> Result<(), usize> {
        let mut body = Vec::new();
        for name in [
            &self.lattice,
            &self.application,
            &self.importer,
            &self.name,
            &self.target,
        ] {
            put_counted(&mut body, name.as_bytes());
        }
        put_unsigned(&mut body, self.functions.len() as u64);
        for function in &self.functions {
            put_counted(&mut body, function.interface.as_bytes());
            put_counted(&mut body, function.function.as_bytes());
            body.extend_from_slice(&function.digest.to_le_bytes());
        }
        if let Some(excess) = body.len().checked_sub(MAX_REQUEST).filter(|n| *n > 0) {
            return Err(excess);
        }
        // The body is never empty.
        let mut chunks = body.chunks(MAX_BODY).peekable();
        while let Some(chunk) = chunks.next() {
            let flags = if chunks.peek().is_some() {
                flag::MORE
            } else {
                0
            };
            frame::write(out, Kind::Link, flags, id, |b| b.extend_from_slice(chunk));
        }
        Ok(())
    }

    /// Reads the joined bodies of the frames that asked for it.
    pub(crate) fn read(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::from_bytes(body);
        let mut request = Self {
            lattice: name(&mut r)?,
            application: name(&mut r)?,
            importer: name(&mut r)?,
            name: name(&mut r)?,
            target: name(&mut r)?,
            functions: Vec::new(),
        };
        // Two lengths and a digest.
        for _ in 0..r.count(10)? {
            request.functions.push(LinkFunction {
                interface: name(&mut r)?,
                function: name(&mut r)?,
                digest: u64::from_le_bytes(array(&mut r)?),
            });
        }
        Ok(request)
    }
}

fn name(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    let name = r.str()?;
    if name.len() > MAX_NAME {
        return Err(DecodeError::Overflow);
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{HEADER, Header};

    fn request(functions: usize) -> LinkRequest {
        LinkRequest {
            lattice: "default".into(),
            application: "shop".into(),
            importer: "cart".into(),
            name: "cache".into(),
            target: "redis".into(),
            functions: (0..functions)
                .map(|i| LinkFunction {
                    interface: "wasi:keyvalue/store@0.2.0".into(),
                    function: format!("function-{i}"),
                    digest: i as u64,
                })
                .collect(),
        }
    }

    /// The joined bodies, and how many frames they came in.
    fn joined(out: &[u8]) -> (Vec<u8>, usize) {
        let (mut rest, mut body, mut frames) = (out, Vec::new(), 0);
        while let Some((head, tail)) = rest.split_first_chunk::<HEADER>() {
            let header = Header::read(head);
            let (this, next) = tail.split_at(header.len as usize);
            body.extend_from_slice(this);
            frames += 1;
            assert_eq!(header.has(flag::MORE), !next.is_empty());
            rest = next;
        }
        (body, frames)
    }

    #[test]
    fn requests_round_trip_in_as_many_frames_as_they_take() {
        for (functions, expected) in [(0, 1), (3, 1), (5_000, 4)] {
            let mut out = Vec::new();
            request(functions).put(&mut out, 7).unwrap();
            let (body, frames) = joined(&out);
            assert_eq!(frames, expected);
            assert_eq!(LinkRequest::read(&body), Ok(request(functions)));
        }
    }

    #[test]
    fn every_cut_of_a_request_is_an_error() {
        let mut out = Vec::new();
        request(2).put(&mut out, 7).unwrap();
        let (body, _) = joined(&out);
        for n in 0..body.len() {
            assert!(LinkRequest::read(&body[..n]).is_err(), "{n} bytes");
        }
    }

    #[test]
    fn too_large_requests_are_not_sent() {
        assert!(request(50_000).put(&mut Vec::new(), 7).is_err());
        let mut long = request(0);
        long.target = "x".repeat(MAX_NAME + 1);
        let mut out = Vec::new();
        long.put(&mut out, 7).unwrap();
        assert_eq!(
            LinkRequest::read(&joined(&out).0),
            Err(DecodeError::Overflow)
        );
    }
}
