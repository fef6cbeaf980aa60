//! Frames: what a connection is made of, as bytes. `docs/protocol.md` specifies them.
//!
//! Nothing here knows of sockets or of what a connection has going on: bytes in, plain data out, and
//! the reverse.

use std::time::Duration;

use crate::codec::{put_counted, put_unsigned};
use crate::{CallError, DecodeError, HandleRef, Reader, StreamKind, TraceContext};

/// Bytes of a frame's header.
pub(crate) const HEADER: usize = 12;

/// The most bytes a frame's body may have.
pub(crate) const MAX_BODY: usize = 64 << 10;

/// The most handles, and the most streams, that are put in one frame; the next goes on with them. With
/// both at their largest there is room for the head of any frame.
pub(crate) const MAX_REFS: usize = 4_096;

/// The most bytes of text that are sent with a failure.
const MAX_TEXT: usize = 16 << 10;

/// Flags of a frame.
pub(crate) mod flag {
    /// The payload goes on in a further frame.
    pub(crate) const MORE: u8 = 1;
    /// The stream ends with this frame.
    pub(crate) const END: u8 = 2;
    /// A trace context is there.
    pub(crate) const TRACE: u8 = 4;
}

macro_rules! kinds {
    ($($name:ident = $code:literal),* $(,)?) => {
        /// The kind of a frame.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($name = $code,)*
        }

        impl Kind {
            /// The kind with this number, if this version has it.
            pub(crate) fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}
kinds! {
    Hello = 0, Goodbye = 1, Ping = 2, Pong = 3,
    Link = 4, Linked = 5, Refused = 6, Unlink = 7,
    Call = 8, Payload = 9, Return = 10, Fail = 11, Cancel = 12,
    SessionEnd = 13, Drop = 14,
    Credit = 15, Data = 16, Close = 17, Failed = 18,
}

/// A frame's fixed head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes that follow.
    pub(crate) len: u32,
    /// The number of the kind, known or not.
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// Which call, link, session or stream it is about.
    pub(crate) id: u32,
}

impl Header {
    pub(crate) fn read(b: &[u8; HEADER]) -> Self {
        // Bytes 6 and 7 are reserved and ignored.
        Self {
            len: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            kind: b[4],
            flags: b[5],
            id: u32::from_le_bytes([b[8], b[9], b[10], b[11]]),
        }
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame whose body is what `body` appends.
pub(crate) fn write(
    out: &mut Vec<u8>,
    kind: Kind,
    flags: u8,
    id: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    write_before(out, kind, flags, id, 0, body);
}

/// As [`write`]; `rest` more bytes of the body will follow what is appended.
pub(crate) fn write_before(
    out: &mut Vec<u8>,
    kind: Kind,
    flags: u8,
    id: u32,
    rest: usize,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind as u8, flags, 0, 0]);
    out.extend_from_slice(&id.to_le_bytes());
    body(out);
    let len = out.len() - start - HEADER + rest;
    debug_assert!(len <= MAX_BODY, "a {kind:?} frame of {len} bytes");
    // A body is at most `MAX_BODY` long.
    out[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
}

/// A stream or future in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamRef {
    pub(crate) kind: StreamKind,
    pub(crate) id: u32,
}

/// The part of a payload in one frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) handles: Vec<HandleRef>,
    pub(crate) streams: Vec<StreamRef>,
    pub(crate) bytes: &'a [u8],
}

/// Appends all of a part but its bytes.
pub(crate) fn put_refs(out: &mut Vec<u8>, handles: &[HandleRef], streams: &[StreamRef]) {
    put_unsigned(out, handles.len() as u64);
    for handle in handles {
        put_unsigned(out, u64::from(handle.id) << 1 | u64::from(handle.own));
    }
    put_unsigned(out, streams.len() as u64);
    for stream in streams {
        out.push(stream.kind.code());
        put_unsigned(out, u64::from(stream.id));
    }
}

/// The fields of a call besides its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallHead {
    pub(crate) link: u32,
    pub(crate) function: u32,
    pub(crate) session: u32,
    /// Until its deadline.
    pub(crate) remaining: Duration,
    pub(crate) trace: Option<TraceContext>,
}

impl CallHead {
    /// The flags of a frame that begins with it.
    pub(crate) fn flags(&self) -> u8 {
        match self.trace {
            Some(_) => flag::TRACE,
            None => 0,
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_unsigned(out, u64::from(self.link));
        put_unsigned(out, u64::from(self.function));
        put_unsigned(out, u64::from(self.session));
        let micros = u64::try_from(self.remaining.as_micros()).unwrap_or(u64::MAX);
        put_unsigned(out, micros);
        if let Some(trace) = &self.trace {
            out.extend_from_slice(&trace.trace_id);
            out.extend_from_slice(&trace.span_id);
            out.push(trace.flags);
        }
    }
}

/// How a call, link or stream failed, with what only the two ends of a connection have to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Error(CallError),
    /// The caller took it back.
    Cancelled,
    /// The server takes no new calls here, so the call was not begun.
    Draining,
}

impl Failure {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let (code, text) = match self {
            Self::Error(CallError::Trap(text)) => (0, text.as_str()),
            Self::Error(CallError::Deadline) => (1, ""),
            Self::Error(CallError::Unreachable(text)) => (2, text.as_str()),
            Self::Error(CallError::Unlinked(text)) => (3, text.as_str()),
            Self::Error(CallError::TypeMismatch(text)) => (4, text.as_str()),
            Self::Error(CallError::Exhausted(text)) => (5, text.as_str()),
            Self::Error(CallError::Refused(text)) => (6, text.as_str()),
            Self::Cancelled => (7, ""),
            Self::Draining => (8, ""),
        };
        out.push(code);
        put_text(out, text);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = r.byte()?;
        let text = text(r)?;
        Ok(match code {
            0 => Self::Error(CallError::Trap(text)),
            1 => Self::Error(CallError::Deadline),
            2 => Self::Error(CallError::Unreachable(text)),
            3 => Self::Error(CallError::Unlinked(text)),
            4 => Self::Error(CallError::TypeMismatch(text)),
            5 => Self::Error(CallError::Exhausted(text)),
            6 => Self::Error(CallError::Refused(text)),
            7 => Self::Cancelled,
            8 => Self::Draining,
            code => Self::Error(CallError::Unreachable(format!(
                "failure of the unknown kind {code}: {text}"
            ))),
        })
    }
}

/// Why a side ends the connection, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// The side that says goodbye is done. A server has answered all that it has read, so a call without
    /// an answer was not begun.
    Done,
    /// The server takes no new calls; those under way go on.
    Draining,
    /// The other side broke the protocol.
    Protocol,
    /// There is no version that both sides have.
    Version,
    /// A limit was met that is not about one call.
    Exhausted,
    /// Calls or streams under way are cut off.
    CutOff,
}

impl Parting {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Draining => 1,
            Self::Protocol => 2,
            Self::Version => 3,
            Self::Exhausted => 4,
            Self::CutOff => 5,
        }
    }

    /// The reason with this number; one that this version does not know ends the connection too.
    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Draining,
            2 => Self::Protocol,
            3 => Self::Version,
            4 => Self::Exhausted,
            _ => Self::CutOff,
        }
    }
}

/// A breach of the protocol by the peer, which ends the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Violation {
    pub(crate) parting: Parting,
    pub(crate) text: String,
}

impl Violation {
    /// The protocol was broken.
    pub(crate) fn protocol(text: impl Into<String>) -> Self {
        Self {
            parting: Parting::Protocol,
            text: text.into(),
        }
    }

    /// A limit was met.
    pub(crate) fn exhausted(text: impl Into<String>) -> Self {
        Self {
            parting: Parting::Exhausted,
            text: text.into(),
        }
    }
}

/// A frame, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// Its body is [`crate::hello`]'s.
    Hello,
    Goodbye(Parting, String),
    Ping,
    Pong,
    /// Some of a request; see [`crate::link`].
    Link(&'a [u8]),
    Linked,
    Refused(Failure),
    Unlink,
    Call(CallHead, Part<'a>),
    Payload(Part<'a>),
    Return(Part<'a>),
    Fail(Failure),
    Cancel,
    SessionEnd,
    Drop(Vec<u32>),
    Credit(u32),
    Data(u32, Part<'a>),
    Close,
    Failed(Failure),
    /// Of a later version: to be skipped.
    Unknown,
}

impl<'a> Frame<'a> {
    /// Reads the body of a frame.
    ///
    /// # Errors
    ///
    /// If it is not what its kind says.
    pub(crate) fn read(header: &Header, body: &'a [u8]) -> Result<Self, Violation> {
        let Some(kind) = Kind::from_code(header.kind) else {
            return Ok(Self::Unknown);
        };
        Self::read_body(kind, header.flags, body).map_err(|e| {
            Violation::protocol(format!("a frame of kind {kind:?} cannot be read: {e}"))
        })
    }

    fn read_body(kind: Kind, flags: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::from_bytes(body);
        let r = &mut r;
        // Bytes after the known fields belong to a later version.
        Ok(match kind {
            Kind::Hello => Self::Hello,
            Kind::Goodbye => Self::Goodbye(Parting::from_code(r.byte()?), text(r)?),
            Kind::Ping => Self::Ping,
            Kind::Pong => Self::Pong,
            Kind::Link => Self::Link(body),
            Kind::Linked => Self::Linked,
            Kind::Refused => Self::Refused(Failure::read(r)?),
            Kind::Unlink => Self::Unlink,
            Kind::Call => Self::Call(call_head(r, flags)?, part(r)?),
            Kind::Payload => Self::Payload(part(r)?),
            Kind::Return => Self::Return(part(r)?),
            Kind::Fail => Self::Fail(Failure::read(r)?),
            Kind::Cancel => Self::Cancel,
            Kind::SessionEnd => Self::SessionEnd,
            Kind::Drop => {
                let n = r.count(1)?;
                let ids: Result<_, _> = (0..n).map(|_| number(r)).collect();
                Self::Drop(ids?)
            }
            Kind::Credit => Self::Credit(number(r)?),
            Kind::Data => Self::Data(number(r)?, part(r)?),
            Kind::Close => Self::Close,
            Kind::Failed => Self::Failed(Failure::read(r)?),
        })
    }
}

fn number(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
    Ok(r.unsigned(32)? as u32)
}

fn call_head(r: &mut Reader<'_>, flags: u8) -> Result<CallHead, DecodeError> {
    Ok(CallHead {
        link: number(r)?,
        function: number(r)?,
        session: number(r)?,
        remaining: Duration::from_micros(r.unsigned(64)?),
        trace: if flags & flag::TRACE != 0 {
            Some(TraceContext {
                trace_id: array(r)?,
                span_id: array(r)?,
                flags: r.byte()?,
            })
        } else {
            None
        },
    })
}

pub(crate) fn array<const N: usize>(r: &mut Reader<'_>) -> Result<[u8; N], DecodeError> {
    r.raw(N)?.try_into().map_err(|_| DecodeError::Truncated)
}

fn part<'a>(r: &mut Reader<'a>) -> Result<Part<'a>, DecodeError> {
    let n = r.count(1)?;
    let handles: Result<_, _> = (0..n)
        .map(|_| {
            let v = r.unsigned(33)?;
            Ok(HandleRef {
                id: (v >> 1) as u32,
                own: v & 1 != 0,
            })
        })
        .collect();
    let handles = handles?;
    let n = r.count(2)?;
    let streams: Result<_, _> = (0..n)
        .map(|_| {
            let kind = StreamKind::from_code(r.byte()?).ok_or(DecodeError::Discriminant)?;
            let id = number(r)?;
            Ok(StreamRef { kind, id })
        })
        .collect();
    Ok(Part {
        handles,
        streams: streams?,
        bytes: r.raw(r.remaining())?,
    })
}

fn text(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    // A peer's text is only shown, so what is no UTF-8 in it need not fail anything.
    Ok(String::from_utf8_lossy(r.counted()?).into_owned())
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_counted(out, &text.as_bytes()[..text.floor_char_boundary(MAX_TEXT)]);
}

/// Appends a GOODBYE frame.
pub(crate) fn put_goodbye(out: &mut Vec<u8>, parting: Parting, text: &str) {
    write(out, Kind::Goodbye, 0, 0, |body| {
        body.push(parting.code());
        put_text(body, text);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as it is on the wire, and as it is read.
    fn check(kind: Kind, flags: u8, body: impl FnOnce(&mut Vec<u8>), expected: &Frame<'_>) {
        let mut out = Vec::new();
        write(&mut out, kind, flags, 0x0102_0304, body);
        let (head, body) = out.split_first_chunk::<HEADER>().unwrap();
        let header = Header::read(head);
        assert_eq!((header.len as usize, header.id), (body.len(), 0x0102_0304));
        assert_eq!(Frame::read(&header, body).as_ref(), Ok(expected));
        // Cut anywhere it is an error, or it is another frame; never more than that.
        for n in 0..body.len() {
            let cut = Frame::read(&header, &body[..n]);
            assert_ne!(cut.as_ref(), Ok(expected), "{kind:?}, {n} bytes");
        }
    }

    fn part() -> (Vec<HandleRef>, Vec<StreamRef>) {
        let handles = vec![
            HandleRef {
                id: u32::MAX,
                own: true,
            },
            HandleRef { id: 0, own: false },
        ];
        let streams = vec![StreamRef {
            kind: StreamKind::Items,
            id: u32::MAX,
        }];
        (handles, streams)
    }

    #[test]
    fn frames_with_payloads_round_trip() {
        let part_of = |bytes| {
            let (handles, streams) = part();
            Part {
                handles,
                streams,
                bytes,
            }
        };
        let put = |out: &mut Vec<u8>| {
            let (handles, streams) = part();
            put_refs(out, &handles, &streams);
            out.extend_from_slice(b"values");
        };
        for trace in [
            None,
            Some(TraceContext {
                trace_id: [1; 16],
                span_id: [2; 8],
                flags: 3,
            }),
        ] {
            let head = CallHead {
                link: 1,
                function: u32::MAX,
                session: 300,
                remaining: Duration::from_secs(30),
                trace,
            };
            let expected = Frame::Call(head.clone(), part_of(b"values"));
            check(
                Kind::Call,
                head.flags(),
                |out| {
                    head.put(out);
                    put(out);
                },
                &expected,
            );
        }
        check(Kind::Payload, 0, put, &Frame::Payload(part_of(b"values")));
        check(Kind::Return, 0, put, &Frame::Return(part_of(b"values")));
        let data = |out: &mut Vec<u8>| {
            put_unsigned(out, 77);
            put(out);
        };
        check(Kind::Data, 0, data, &Frame::Data(77, part_of(b"values")));
    }

    #[test]
    fn failures_round_trip() {
        let text = || "why".to_owned();
        for why in [
            Failure::Error(CallError::Trap(text())),
            Failure::Error(CallError::Deadline),
            Failure::Error(CallError::Unreachable(text())),
            Failure::Error(CallError::Unlinked(text())),
            Failure::Error(CallError::TypeMismatch(text())),
            Failure::Error(CallError::Exhausted(text())),
            Failure::Error(CallError::Refused(text())),
            Failure::Cancelled,
            Failure::Draining,
        ] {
            let put = |out: &mut Vec<u8>| why.put(out);
            check(Kind::Fail, 0, put, &Frame::Fail(why.clone()));
            check(Kind::Failed, 0, put, &Frame::Failed(why.clone()));
            check(Kind::Refused, 0, put, &Frame::Refused(why.clone()));
        }
        let later = Failure::read(&mut Reader::from_bytes(b"\xc8\x03why")).unwrap();
        assert!(matches!(later, Failure::Error(CallError::Unreachable(_))));
    }

    #[test]
    fn small_frames_round_trip() {
        for (kind, frame) in [
            (Kind::Hello, Frame::Hello),
            (Kind::Ping, Frame::Ping),
            (Kind::Pong, Frame::Pong),
            (Kind::Linked, Frame::Linked),
            (Kind::Unlink, Frame::Unlink),
            (Kind::Cancel, Frame::Cancel),
            (Kind::SessionEnd, Frame::SessionEnd),
            (Kind::Close, Frame::Close),
        ] {
            check(kind, 0, |_| {}, &frame);
        }
        let put = |out: &mut Vec<u8>| out.extend_from_slice(&[3, 1, 0x80, 1, 7]);
        check(Kind::Drop, 0, put, &Frame::Drop(vec![1, 128, 7]));
        let put = |out: &mut Vec<u8>| put_unsigned(out, u64::from(u32::MAX));
        check(Kind::Credit, 0, put, &Frame::Credit(u32::MAX));
        let mut out = Vec::new();
        put_goodbye(&mut out, Parting::Exhausted, "too much");
        let header = Header::read(out.first_chunk().unwrap());
        assert_eq!(
            Frame::read(&header, &out[HEADER..]),
            Ok(Frame::Goodbye(Parting::Exhausted, "too much".into()))
        );
    }

    #[test]
    fn counts_are_not_trusted() {
        let header = |kind| Header {
            len: 0,
            kind: kind as u8,
            flags: 0,
            id: 0,
        };
        for (kind, body) in [
            (Kind::Drop, &b"\xff\xff\xff\xff\x0f\x01"[..]),
            (Kind::Payload, b"\xff\xff\xff\xff\x0f\x01"),
            (Kind::Payload, b"\x00\xff\xff\xff\xff\x0f\x01"),
            (Kind::Payload, b"\x00\x01\x09\x01"),
            (Kind::Credit, b"\xff\xff\xff\xff\x1f"),
            (Kind::Fail, b"\x00\x7fshort"),
        ] {
            assert!(Frame::read(&header(kind), body).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut out = Vec::new();
        put_text(&mut out, &format!("x{}", "é".repeat(MAX_TEXT)));
        let text = text(&mut Reader::from_bytes(&out)).unwrap();
        assert_eq!(text.len(), MAX_TEXT - 1);
    }
}
