//! Bodies: what goes with a message, and what follows it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty, Full};
use withe_rpc::codec::{Decode, DecodeError, Encode, Reader, Writer};
use withe_rpc::{Chunk, Payload, PipeReader, PipeWriter, StreamKind, pipe};

use super::head::{self, Malformed};
use crate::{Body, HttpError};

/// The most bytes of a body that go with its message.
const MOST_AT_ONCE: usize = 64 << 10;

/// How much a reader asks for at a time. The protocol's window bounds the bytes on their way.
const WANTED: usize = 64 << 10;

const NONE: u8 = 0;
const TRAILERS: u8 = 1;
const FOLLOWS: u8 = 2;

/// How a body ended.
type End = Result<Option<HeaderMap>, HttpError>;

/// Appends `body` to a message, and returns it with what has to be kept going until the rest of the body
/// is through.
pub(crate) async fn write(mut w: Writer, mut body: Body) -> (Payload, Option<Pump>) {
    let length = body.size_hint().exact();
    let Beginning {
        first,
        too_much,
        end,
    } = begin(&mut body).await;
    w.unsigned(first.iter().map(|bytes| bytes.len() as u64).sum());
    first.iter().for_each(|bytes| w.raw(bytes));
    match end {
        Some(Ok(None)) => {
            w.byte(NONE);
            return (w.finish(), None);
        }
        Some(Ok(Some(trailers))) => {
            w.byte(TRAILERS);
            head::write_headers(&mut w, &trailers);
            return (w.finish(), None);
        }
        None | Some(Err(_)) => {}
    }
    w.byte(FOLLOWS);
    length.encode(&mut w);
    // The indices of the two streams.
    w.unsigned(0);
    w.unsigned(1);
    let (data, data_reader) = pipe(StreamKind::Bytes, 0);
    let (trailers, trailers_reader) = pipe(StreamKind::Future, 0);
    let mut payload = w.finish();
    payload.streams = vec![data_reader, trailers_reader];
    let pump = Pump(Some(Pumping {
        body,
        ahead: too_much,
        end,
        data,
        trailers,
    }));
    (payload, Some(pump))
}

/// The part of a body that is there at once.
struct Beginning {
    first: Vec<Bytes>,
    /// Bytes that came, too many to go along.
    too_much: Bytes,
    end: Option<End>,
}

async fn begin(body: &mut Body) -> Beginning {
    let mut beginning = Beginning {
        first: Vec::new(),
        too_much: Bytes::new(),
        end: None,
    };
    let mut left = MOST_AT_ONCE;
    poll_fn(|cx| {
        while !body.is_end_stream() {
            let end = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Poll::Ready(()),
                Poll::Ready(None) => break,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.len() > left => {
                        beginning.too_much = data;
                        return Poll::Ready(());
                    }
                    Ok(data) => {
                        left -= data.len();
                        beginning.first.push(data);
                        continue;
                    }
                    Err(frame) => Ok(frame.into_trailers().ok()),
                },
                Poll::Ready(Some(Err(error))) => Err(error),
            };
            beginning.end = Some(end);
            return Poll::Ready(());
        }
        beginning.end = Some(Ok(None));
        Poll::Ready(())
    })
    .await;
    beginning
}

/// Sends the rest of a body, as its reader wants it. Ends when it is through or nobody reads it any more,
/// and drops the body with that.
pub(crate) struct Pump(Option<Pumping>);

struct Pumping {
    body: Body,
    /// Taken from the body and not sent yet.
    ahead: Bytes,
    /// How the body ended, behind what is ahead.
    end: Option<End>,
    data: PipeWriter,
    trailers: PipeWriter,
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pumping) = &mut self.0 else {
            return Poll::Ready(());
        };
        let end = ready!(pumping.poll(cx));
        if let (Some(pumping), Some(end)) = (self.0.take(), end) {
            pumping.finish(&end);
        }
        Poll::Ready(())
    }
}

impl Pumping {
    /// Sends what can be sent. Ready with how the body ended, or `None` if nobody reads it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        loop {
            if !self.ahead.is_empty() {
                let Ok(wanted) = ready!(self.data.poll_demand(cx)) else {
                    return Poll::Ready(None);
                };
                let now = self.ahead.split_to(wanted.min(self.ahead.len()));
                if self.data.send(chunk(now)).is_err() {
                    return Poll::Ready(None);
                }
                continue;
            }
            if let Some(end) = self.end.take() {
                return Poll::Ready(Some(end));
            }
            // More than there can be: it only says that the reader has gone, also while the body is waited for.
            if let Poll::Ready(Err(_)) = self.data.poll_demand_above(cx, usize::MAX) {
                return Poll::Ready(None);
            }
            self.end = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => Some(Ok(None)),
                Some(Err(error)) => Some(Err(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.ahead = data;
                        None
                    }
                    Err(frame) => Some(Ok(frame.into_trailers().ok())),
                },
            };
        }
    }

    fn finish(mut self, end: &End) {
        self.data.finish();
        let payload = head::body_end(end);
        // Whoever does not want to know has gone.
        _ = self.trailers.send(Chunk { count: 1, payload });
        self.trailers.finish();
    }
}

fn chunk(data: Bytes) -> Chunk {
    Chunk {
        count: data.len(),
        payload: Payload {
            bytes: data.into(),
            ..Payload::default()
        },
    }
}

/// Waits for `work`, and keeps the upload going meanwhile.
pub(crate) async fn beside<T>(upload: &mut Option<Pump>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(result) = work.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if let Some(pump) = upload
            && Pin::new(pump).poll(cx).is_ready()
        {
            *upload = None;
        }
        Poll::Pending
    })
    .await
}

/// A body that came, and what it needs until it is read.
pub(crate) struct Received {
    first: Bytes,
    stage: Stage,
}

/// The rest of a body.
enum Stage {
    Over,
    Trailers(HeaderMap),
    Data {
        /// Bytes that are still to come, if that is known.
        left: Option<u64>,
        data: PipeReader,
        trailers: PipeReader,
    },
    End(PipeReader),
}

impl Received {
    /// Reads what is left of a message, of which `r` reads `all`.
    pub(crate) fn read(
        r: &mut Reader<'_>,
        all: &Bytes,
        streams: Vec<PipeReader>,
    ) -> Result<Self, Malformed> {
        let first = match r.counted()? {
            [] => Bytes::new(),
            bytes => all.slice_ref(bytes),
        };
        let stage = match r.byte()? {
            NONE => Stage::Over,
            TRAILERS => Stage::Trailers(head::read_headers(r)?),
            FOLLOWS => {
                let length = Option::<u64>::decode(r)?;
                if (r.stream_index()?, r.stream_index()?) != (0, 1) {
                    return Err(DecodeError::Stream.into());
                }
                let Ok([data, trailers]) = <[PipeReader; 2]>::try_from(streams) else {
                    return Err(DecodeError::Stream.into());
                };
                if (data.kind(), trailers.kind()) != (StreamKind::Bytes, StreamKind::Future) {
                    return Err(DecodeError::Stream.into());
                }
                Stage::Data {
                    left: length.map(|n| n.saturating_sub(first.len() as u64)),
                    data,
                    trailers,
                }
            }
            _ => return Err(DecodeError::Discriminant.into()),
        };
        r.finish()?;
        Ok(Self { first, stage })
    }

    /// The body. As long as it is not through it keeps `carrier`, which it comes over, and keeps `upload`
    /// going, which belongs to the same exchange.
    pub(crate) fn into_body<C>(self, carrier: Option<Arc<C>>, upload: Option<Pump>) -> Body
    where
        C: Send + Sync + ?Sized + 'static,
    {
        match (&self.stage, self.first.is_empty()) {
            (Stage::Over, true) => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            (Stage::Over, false) => Full::new(self.first)
                .map_err(|never| match never {})
                .boxed_unsync(),
            _ => Body::new(Following {
                received: self,
                carrier,
                upload,
            }),
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        loop {
            let (next, result) = match &mut self.stage {
                Stage::Over => return Poll::Ready(None),
                Stage::Trailers(trailers) => {
                    let trailers = std::mem::take(trailers);
                    (Stage::Over, Some(Ok(Frame::trailers(trailers))))
                }
                Stage::Data { data, left, .. } => match ready!(data.poll_chunk(cx, WANTED)) {
                    Some(Ok(chunk)) => {
                        let bytes = Bytes::from(chunk.payload.bytes);
                        if let Some(left) = left {
                            *left = left.saturating_sub(bytes.len() as u64);
                        }
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                    Some(Err(why)) => (Stage::Over, Some(Err(head::from_call(why)))),
                    None => match std::mem::replace(&mut self.stage, Stage::Over) {
                        Stage::Data { trailers, .. } => (Stage::End(trailers), None),
                        other => (other, None),
                    },
                },
                Stage::End(trailers) => {
                    let end = match ready!(trailers.poll_chunk(cx, 1)) {
                        Some(Ok(chunk)) => head::read_body_end(&chunk.payload),
                        Some(Err(why)) => Err(head::from_call(why)),
                        None => Err(head::malformed(&DecodeError::Stream.into())),
                    };
                    (Stage::Over, end.map(|t| t.map(Frame::trailers)).transpose())
                }
            };
            self.stage = next;
            if let Some(result) = result {
                return Poll::Ready(Some(result));
            }
        }
    }
}

/// A body on its way here.
struct Following<C: ?Sized> {
    received: Received,
    carrier: Option<Arc<C>>,
    upload: Option<Pump>,
}

impl<C: Send + Sync + ?Sized + 'static> http_body::Body for Following<C> {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if let Some(upload) = &mut this.upload
            && Pin::new(upload).poll(cx).is_ready()
        {
            this.upload = None;
        }
        let frame = ready!(this.received.poll_frame(cx));
        if matches!(this.received.stage, Stage::Over) {
            // Who has answered in full wants no more of the request.
            (this.carrier, this.upload) = (None, None);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.received.first.is_empty() && matches!(self.received.stage, Stage::Over)
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.received.first.len() as u64;
        match &self.received.stage {
            Stage::Data { left: None, .. } => SizeHint::default(),
            Stage::Data {
                left: Some(left), ..
            } => SizeHint::with_exact(first.saturating_add(*left)),
            _ => SizeHint::with_exact(first),
        }
    }
}
