//! Trailers that a component has not announced, over HTTP/1.1.
//!
//! A component learns what its trailers are while it writes, and need not say before which there will be (RFC 9110,
//! 6.6.2). hyper sends those over HTTP/1.1 that the response's `Trailer` names, and drops the others. So the
//! response is given a `Trailer` with a placeholder, a name that nobody can guess, and the placeholder as its
//! trailer; the stream below hyper leaves out the one and puts the real fields in the place of the other.
//!
//! Rejected: to hold responses back until their trailers are known, which is the end of streaming; and to write
//! chunks without hyper, which is to write HTTP/1.1 anew. Only responses to clients that said `TE: trailers` are
//! touched, and of those only the head and the end.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue, TE, TRAILER};
use http::{HeaderMap, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The value that the placeholder has as a trailer.
const VALUE: &str = "1";

/// Whether the client of a request over HTTP/1.1 wants trailers (RFC 9110, 10.1.4).
pub(crate) fn are_wanted(version: Version, fields: &HeaderMap) -> bool {
    let members = fields.get_all(TE).iter().filter_map(|v| v.to_str().ok());
    version == Version::HTTP_11
        && (members.flat_map(|value| value.split(',')))
            .any(|member| member.trim().eq_ignore_ascii_case("trailers"))
}

/// The trailers of one connection's responses.
#[derive(Debug)]
pub(crate) struct Trailers {
    placeholder: HeaderName,
    /// The texts to find in the stream next, in the order of the responses.
    edits: Mutex<VecDeque<Edit>>,
    /// Whether there is any: most of what is written is not looked at.
    any: AtomicBool,
}

/// A text that is in the stream once, and what takes its place.
#[derive(Debug)]
struct Edit {
    text: Bytes,
    by: Bytes,
}

impl Trailers {
    /// The trailers of a new connection.
    pub(crate) fn new() -> Arc<Self> {
        // Keys from the system's random numbers, so that no component can write it into a body.
        let random = || RandomState::new().hash_one(0);
        let name = format!("withe-{:016x}{:016x}", random(), random());
        // Letters and digits.
        let placeholder = HeaderName::try_from(name).unwrap_or(TRAILER);
        Arc::new(Self {
            placeholder,
            edits: Mutex::default(),
            any: AtomicBool::new(false),
        })
    }

    /// Lets the response with this head have any trailers.
    pub(crate) fn allow(&self, head: &mut HeaderMap) {
        let placeholder = &self.placeholder;
        // hyper writes all values of a field into one line.
        let text = match head.contains_key(TRAILER) {
            true => format!(", {placeholder}"),
            false => format!("trailer: {placeholder}\r\n"),
        };
        head.append(TRAILER, HeaderValue::from(placeholder.clone()));
        self.edit(text, Bytes::new());
    }

    /// The stand-in that hyper is to send for the trailers of a response that [`allow`](Self::allow) was called
    /// for.
    pub(crate) fn stand_in(&self, trailers: &HeaderMap) -> HeaderMap {
        let mut lines = BytesMut::new();
        for (name, value) in trailers {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        let mut text = String::new();
        // A string takes all there is.
        _ = write!(text, "{}: {VALUE}\r\n", self.placeholder);
        self.edit(text, lines.freeze());
        let value = HeaderValue::from_static(VALUE);
        HeaderMap::from_iter([(self.placeholder.clone(), value)])
    }

    fn edits(&self) -> MutexGuard<'_, VecDeque<Edit>> {
        // Nothing panics while it is held.
        self.edits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn edit(&self, text: String, by: Bytes) {
        let text = text.into();
        self.edits().push_back(Edit { text, by });
        self.any.store(true, Ordering::Release);
    }

    /// Appends `bytes` to `out`, edited.
    fn apply(&self, mut bytes: &[u8], out: &mut BytesMut) {
        let mut edits = self.edits();
        while let Some(edit) = edits.front()
            && let Some(at) = find(bytes, &edit.text)
        {
            out.extend_from_slice(&bytes[..at]);
            out.extend_from_slice(&edit.by);
            bytes = &bytes[at + edit.text.len()..];
            edits.pop_front();
        }
        out.extend_from_slice(bytes);
        self.any.store(!edits.is_empty(), Ordering::Release);
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// The stream below hyper. hyper hands over each line that is edited in one piece.
#[derive(Debug)]
pub(crate) struct Edited<S> {
    inner: S,
    trailers: Arc<Trailers>,
    /// Edited, and not written yet.
    left: BytesMut,
}

impl<S> Edited<S> {
    pub(crate) fn new(inner: S, trailers: Arc<Trailers>) -> Self {
        Self {
            inner,
            trailers,
            left: BytesMut::new(),
        }
    }
}

impl<S: AsyncWrite + Unpin> Edited<S> {
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.left.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.left.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes all of `slices`.
    fn take(&mut self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        for slice in slices {
            self.trailers.apply(slice, &mut self.left);
        }
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Edited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Edited<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_left(cx))?;
        match self.trailers.any.load(Ordering::Acquire) {
            true => self.take(&[IoSlice::new(buf)]),
            false => Pin::new(&mut self.inner).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_left(cx))?;
        match self.trailers.any.load(Ordering::Acquire) {
            true => self.take(bufs),
            false => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_left(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_left(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_say_that_they_want_them() {
        let cases: [(&[&str], bool); 6] = [
            (&["trailers"], true),
            (&["gzip, Trailers"], true),
            (&["gzip", "trailers"], true),
            (&["gzip"], false),
            (&["xtrailers"], false),
            (&[], false),
        ];
        for (lines, want) in cases {
            let mut fields = HeaderMap::new();
            for line in lines {
                fields.append(TE, line.parse().unwrap());
            }
            assert_eq!(are_wanted(Version::HTTP_11, &fields), want, "{lines:?}");
            assert!(!are_wanted(Version::HTTP_10, &fields));
        }
    }

    #[test]
    fn each_response_gets_its_own() {
        let trailers = Trailers::new();
        let name = trailers.placeholder.clone();
        let mut out = BytesMut::new();
        let mut head = HeaderMap::new();
        trailers.allow(&mut head);
        trailers.apply(format!("trailer: {name}\r\n\r\n").as_bytes(), &mut out);
        let fields = HeaderMap::from_iter([(HeaderName::from_static("x"), 1.into())]);
        assert_eq!(trailers.stand_in(&fields).len(), 1);
        // The next response has been let have some before the end of the first was written.
        let mut head = HeaderMap::from_iter([(TRAILER, HeaderValue::from_static("y"))]);
        trailers.allow(&mut head);
        assert_eq!(head.get_all(TRAILER).iter().count(), 2);
        let rest = format!("0\r\n{name}: 1\r\n\r\nHTTP/1.1\r\ntrailer: y, {name}\r\n\r\n");
        trailers.apply(rest.as_bytes(), &mut out);
        assert_eq!(out, "\r\n0\r\nx: 1\r\n\r\nHTTP/1.1\r\ntrailer: y\r\n\r\n");
        assert!(!trailers.any.load(Ordering::Relaxed));
    }
}
