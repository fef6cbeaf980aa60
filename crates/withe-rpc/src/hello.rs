//! The first frame of each side: that it is one of ours, which versions it has, what it takes.

use crate::frame::{self, Header, Kind, Violation, array};
use crate::{DecodeError, Limits, Reader};

/// The first bytes of every connection, in both directions. The line ends show a transport that
/// changes text.
const MAGIC: [u8; 8] = *b"WITHE\r\n\0";

/// The versions of the protocol that this code has.
const VERSIONS: std::ops::RangeInclusive<u16> = 1..=1;

/// The limits that a side announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepts {
    pub(crate) payload: u64,
    pub(crate) calls: u32,
    pub(crate) sessions: u32,
    pub(crate) links: u32,
    pub(crate) streams: u32,
}

/// Appends this side's first frame.
pub(crate) fn put(out: &mut Vec<u8>, limits: &Limits) {
    frame::write(out, Kind::Hello, 0, 0, |b| {
        b.extend_from_slice(&MAGIC);
        b.extend_from_slice(&VERSIONS.start().to_le_bytes());
        b.extend_from_slice(&VERSIONS.end().to_le_bytes());
        b.extend_from_slice(&(limits.payload as u64).to_le_bytes());
        for limit in [limits.calls, limits.sessions, limits.links, limits.streams] {
            b.extend_from_slice(&limit.to_le_bytes());
        }
    });
}

/// Reads the other side's first frame.
///
/// # Errors
///
/// If it is not one of ours, or has no version in common with us.
pub(crate) fn read(header: &Header, body: &[u8]) -> Result<Accepts, Violation> {
    let stranger = || Violation::protocol("the other side does not speak this protocol");
    if header.kind != Kind::Hello as u8 {
        return Err(stranger());
    }
    let body = body.strip_prefix(&MAGIC).ok_or_else(stranger)?;
    let truncated = |_| Violation::protocol("the first frame is cut short");
    let mut r = Reader::from_bytes(body);
    let (min, max) = versions(&mut r).map_err(truncated)?;
    if max < *VERSIONS.start() || min > *VERSIONS.end() {
        return Err(Violation {
            parting: frame::Parting::Version,
            text: format!(
                "no version of the protocol in common: one side has {min} to {max}, the other {} to {}",
                VERSIONS.start(),
                VERSIONS.end()
            ),
        });
    }
    // Bytes after the known fields belong to a later version.
    accepts(&mut r).map_err(truncated)
}

/// Whether a first header can be that of a first frame; told before its body is waited for, for what a
/// stranger sends need not be as long as it seems to say.
pub(crate) fn is_plausible(header: &Header) -> bool {
    header.kind == Kind::Hello as u8 && (12..=4_096).contains(&header.len)
}

fn versions(r: &mut Reader<'_>) -> Result<(u16, u16), DecodeError> {
    Ok((u16::from_le_bytes(array(r)?), u16::from_le_bytes(array(r)?)))
}

fn accepts(r: &mut Reader<'_>) -> Result<Accepts, DecodeError> {
    Ok(Accepts {
        payload: u64::from_le_bytes(array(r)?),
        calls: u32::from_le_bytes(array(r)?),
        sessions: u32::from_le_bytes(array(r)?),
        links: u32::from_le_bytes(array(r)?),
        streams: u32::from_le_bytes(array(r)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::HEADER;

    fn hello() -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, &Limits::default());
        out
    }

    fn read_all(bytes: &[u8]) -> Result<Accepts, Violation> {
        let (head, body) = bytes.split_first_chunk::<HEADER>().unwrap();
        read(&Header::read(head), body)
    }

    #[test]
    fn says_what_is_taken() {
        let accepts = read_all(&hello()).unwrap();
        assert_eq!((accepts.payload, accepts.calls), (64 << 20, 4_096));
        let (head, _) = hello()
            .split_first_chunk::<HEADER>()
            .map(|(h, _)| (*h, ()))
            .unwrap();
        assert!(is_plausible(&Header::read(&head)));
    }

    #[test]
    fn later_versions_may_say_more() {
        let mut later = hello();
        later.extend_from_slice(b"something");
        later[HEADER + 10] = 9;
        assert!(read_all(&later).is_ok());
    }

    #[test]
    fn strangers_are_told_from_versions_that_have_gone() {
        let mut other = hello();
        other[HEADER + 8..HEADER + 12].copy_from_slice(&[7, 0, 9, 0]);
        let e = read_all(&other).unwrap_err();
        assert_eq!(e.parting, frame::Parting::Version);
        assert_eq!(
            e.text,
            "no version of the protocol in common: one side has 7 to 9, the other 1 to 1"
        );

        let mut stranger = hello();
        stranger[HEADER] = b'w';
        let e = read_all(&stranger).unwrap_err();
        assert_eq!(e.text, "the other side does not speak this protocol");
        assert!(!is_plausible(&Header::read(b"GET / HTTP/1")));
        for n in HEADER..hello().len() {
            assert!(read_all(&hello()[..n]).is_err());
        }
    }
}
