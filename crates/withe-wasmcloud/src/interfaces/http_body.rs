//! Bodies and trailers: `stream<u8>` and `future<option<fields>>` beside the values.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};
use withe_provider::{Body, HttpError, HttpErrorKind};
use withe_rpc::codec::Writer;
use withe_rpc::{CallError, DecodeError, Reader};

use super::http_messages::{fields, put_fields};
use crate::wire::connection::Messages;
use crate::wire::mailbox::ChannelReader;

/// The most bytes that trailers may take.
const MOST_TRAILERS: usize = 256 << 10;

/// The messages that carry `body` and its trailers.
pub(super) fn leaving(body: Body) -> (Messages, Messages) {
    let (found, trailers) = oneshot::channel();
    let chunks = stream::unfold(Some((body, found)), |state| async move {
        let (mut body, found) = state?;
        loop {
            let trailers = match body.frame().await {
                None => None,
                Some(Err(e)) => {
                    let text = format!("the body broke off: {e}");
                    return Some((Err(CallError::Unreachable(text)), None));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => return Some((Ok(chunk(&data)), Some((body, found)))),
                    Err(frame) => frame.into_trailers().ok(),
                },
            };
            // If nobody waits for the trailers, nobody wants them.
            _ = found.send(trailers);
            return Some((Ok(Bytes::from_static(&[0])), None));
        }
    });
    let trailers = stream::once(async move {
        let trailers = trailers
            .await
            .map_err(|_| CallError::Unreachable("the body broke off before its trailers".into()))?;
        Ok(put_trailers(trailers.as_ref()))
    });
    (Box::pin(chunks), Box::pin(trailers))
}

fn chunk(data: &[u8]) -> Bytes {
    let mut w = Writer::with_capacity(data.len() + 5);
    w.counted(data);
    w.finish().bytes.into()
}

fn put_trailers(trailers: Option<&HeaderMap>) -> Bytes {
    let mut w = Writer::default();
    w.byte(u8::from(trailers.is_some()));
    if let Some(trailers) = trailers {
        put_fields(trailers, &mut w);
    }
    w.finish().bytes.into()
}

/// The body that comes over `body`, with the trailers that come over `trailers`.
pub(super) fn arriving(body: ChannelReader, trailers: ChannelReader) -> Body {
    let idle = body.idle();
    let silence = Box::pin(sleep(idle));
    let arriving = Arriving {
        state: BodyState::Body(body, trailers),
        buffer: Bytes::new(),
        left: 0,
        idle,
        silence,
    };
    arriving.boxed_unsync()
}

/// A body that comes over the wire.
struct Arriving {
    state: BodyState,
    /// Bytes that arrived and were not passed on.
    buffer: Bytes,
    /// Bytes of the current chunk that are still to come.
    left: usize,
    idle: Duration,
    silence: Pin<Box<Sleep>>,
}

enum BodyState {
    Body(ChannelReader, ChannelReader),
    Trailers(ChannelReader),
    Done,
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = this.poll_next(cx) {
            if !matches!(frame, Some(Ok(_))) {
                this.state = BodyState::Done;
            }
            let until = Instant::now() + this.idle;
            this.silence.as_mut().reset(until);
            return Poll::Ready(frame);
        }
        ready!(this.silence.as_mut().poll(cx));
        this.state = BodyState::Done;
        let text = format!("nothing of the body came for {} s", this.idle.as_secs_f32());
        Poll::Ready(Some(Err(broken(HttpErrorKind::ResponseTimeout, text))))
    }
}

impl Arriving {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        loop {
            match &mut self.state {
                BodyState::Body(body, _) => {
                    if self.left > 0 && !self.buffer.is_empty() {
                        let data = self.buffer.split_to(self.left.min(self.buffer.len()));
                        self.left -= data.len();
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    if self.left == 0 {
                        match count(&mut self.buffer) {
                            Ok(Some(0)) => {
                                self.buffer.clear();
                                self.turn_to_trailers();
                                continue;
                            }
                            Ok(Some(count)) => {
                                self.left = count;
                                continue;
                            }
                            Ok(None) => {}
                            Err(e) => return Poll::Ready(Some(Err(malformed(e)))),
                        }
                    }
                    match ready!(body.poll_next(cx)) {
                        Some(Ok(bytes)) if self.buffer.is_empty() => self.buffer = bytes,
                        // All that can be left is a part of a count.
                        Some(Ok(bytes)) => self.buffer = [&self.buffer[..], &bytes].concat().into(),
                        Some(Err(why)) => return Poll::Ready(Some(Err(of_stream(&why)))),
                        None => {
                            let text = "the body broke off; wasmCloud v1 does not say why";
                            let kind = HttpErrorKind::ConnectionTerminated;
                            return Poll::Ready(Some(Err(broken(kind, text))));
                        }
                    }
                }
                BodyState::Trailers(trailers) => match ready!(trailers.poll_next(cx)) {
                    Some(Ok(bytes)) if self.buffer.len() + bytes.len() > MOST_TRAILERS => {
                        let text = format!("the trailers take more than {MOST_TRAILERS} bytes");
                        return Poll::Ready(Some(Err(broken(HttpErrorKind::Exhausted, text))));
                    }
                    Some(Ok(bytes)) => self.buffer = [&self.buffer[..], &bytes].concat().into(),
                    Some(Err(why)) => return Poll::Ready(Some(Err(of_stream(&why)))),
                    None => {
                        self.state = BodyState::Done;
                        let trailers = take_trailers(&self.buffer).map_err(malformed);
                        return Poll::Ready(trailers.map(|t| t.map(Frame::trailers)).transpose());
                    }
                },
                BodyState::Done => return Poll::Ready(None),
            }
        }
    }

    fn turn_to_trailers(&mut self) {
        if let BodyState::Body(_, trailers) = std::mem::replace(&mut self.state, BodyState::Done) {
            self.state = BodyState::Trailers(trailers);
        }
    }
}

/// Takes a chunk's count from the front of `buffer`; `None` if it is not all there.
fn count(buffer: &mut Bytes) -> Result<Option<usize>, DecodeError> {
    let mut r = Reader::from_bytes(buffer);
    match r.unsigned(32) {
        Ok(count) => {
            let rest = r.remaining();
            *buffer = buffer.split_off(buffer.len() - rest);
            Ok(Some(count as usize))
        }
        Err(DecodeError::Truncated) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Reads trailers. Some peers send nothing where they have none.
fn take_trailers(bytes: &[u8]) -> Result<Option<HeaderMap>, DecodeError> {
    let mut r = Reader::from_bytes(bytes);
    if bytes.is_empty() || !r.bool()? {
        return Ok(None);
    }
    let trailers = fields(&mut r)?;
    r.finish()?;
    Ok(Some(trailers))
}

fn broken(kind: HttpErrorKind, text: impl Into<String>) -> HttpError {
    HttpError::new(kind, text)
}

fn malformed(e: DecodeError) -> HttpError {
    broken(
        HttpErrorKind::Protocol,
        format!("a body of a wasmCloud v1 call: {e}"),
    )
}

fn of_stream(why: &CallError) -> HttpError {
    let kind = match why {
        CallError::Exhausted(_) => HttpErrorKind::Exhausted,
        _ => HttpErrorKind::ConnectionTerminated,
    };
    broken(kind, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;
    use http::HeaderValue;
    use http_body_util::{Full, StreamBody};

    async fn sent(messages: Messages) -> Vec<Bytes> {
        messages.map(Result::unwrap).collect().await
    }

    #[tokio::test]
    async fn bodies_are_sent_as_v1_sends_them() {
        let body = Full::from("Hello from wasm!\n")
            .map_err(|e| match e {})
            .boxed_unsync();
        let (body, trailers) = leaving(body);
        // Recorded from wasmCloud v1.9.2: the subjects `results.0.0` and `results.0.1`.
        assert_eq!(sent(body).await, [&b"\x11Hello from wasm!\n"[..], b"\x00"]);
        assert_eq!(sent(trailers).await, [&b"\x00"[..]]);
    }

    #[tokio::test]
    async fn trailers_follow_the_body() {
        let mut map = HeaderMap::new();
        map.insert("a", HeaderValue::from_static("b"));
        let frames = [
            Frame::data(Bytes::from_static(b"x")),
            Frame::trailers(map.clone()),
        ];
        let body = StreamBody::new(stream::iter(frames.map(Ok::<_, HttpError>)));
        let (body, trailers) = leaving(body.boxed_unsync());
        assert_eq!(sent(body).await, [&b"\x01x"[..], b"\x00"]);
        let trailers = sent(trailers).await.concat();
        assert_eq!(trailers, b"\x01\x01\x01a\x01\x01b");
        assert_eq!(take_trailers(&trailers), Ok(Some(map)));
        assert_eq!(take_trailers(b""), Ok(None));
        assert!(take_trailers(&trailers[..3]).is_err());
    }

    #[tokio::test]
    async fn a_body_that_fails_ends_without_its_end() {
        let error = HttpError::new(HttpErrorKind::Handler, "it trapped");
        let body = StreamBody::new(stream::iter([Err::<Frame<Bytes>, _>(error)]));
        let (body, trailers) = leaving(body.boxed_unsync());
        let body: Vec<_> = body.collect().await;
        assert!(matches!(&body[..], [Err(why)] if why.to_string().contains("it trapped")));
        let trailers: Vec<_> = trailers.collect().await;
        assert!(matches!(trailers[..], [Err(_)]));
    }
}
