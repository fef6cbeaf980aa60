//! The names of objects as a body: each its length, in four bytes with the highest first, and its bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};

use crate::{BlobError, BlobErrorKind, Body, ObjectNames};

/// The most bytes that a name may have: no store takes longer ones.
const LONGEST: usize = 1 << 20;

/// A body that has these names.
pub(super) fn to_body(names: ObjectNames) -> Body {
    let frames = names.map(|some| {
        let mut bytes = BytesMut::new();
        for name in some? {
            let length = u32::try_from(name.len()).map_err(|_| malformed())?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(name.as_bytes());
        }
        Ok(Frame::data(bytes.freeze()))
    });
    let frames = frames.map(|frame: Result<_, BlobError>| frame.map_err(Into::into));
    StreamBody::new(frames).boxed_unsync()
}

/// The names that a body has.
pub(super) fn of_body(body: Body) -> ObjectNames {
    Box::pin(Arriving {
        body: Some(body),
        ahead: BytesMut::new(),
    })
}

struct Arriving {
    /// None once it has ended.
    body: Option<Body>,
    /// The bytes that came, and are not a whole name yet.
    ahead: BytesMut,
}

impl Stream for Arriving {
    type Item = Result<Vec<String>, BlobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(body) = &mut self.body else {
                return Poll::Ready(None);
            };
            let some = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let data: Bytes = frame.into_data().unwrap_or_default();
                    self.ahead.extend_from_slice(&data);
                    self.whole()
                }
                Some(Err(error)) => Err(error.into()),
                None if self.ahead.is_empty() => {
                    self.body = None;
                    continue;
                }
                None => Err(malformed()),
            };
            match some {
                Ok(some) if some.is_empty() => {}
                Ok(some) => return Poll::Ready(Some(Ok(some))),
                Err(error) => {
                    self.body = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl Arriving {
    /// Takes all names that are whole.
    fn whole(&mut self) -> Result<Vec<String>, BlobError> {
        let mut names = Vec::new();
        while let Some(length) = self.ahead.first_chunk() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > LONGEST {
                return Err(malformed());
            }
            if self.ahead.len() < 4 + length {
                break;
            }
            self.ahead.advance(4);
            let name = self.ahead.split_to(length);
            let name = std::str::from_utf8(&name).map_err(|_| malformed())?;
            names.push(name.to_owned());
        }
        Ok(names)
    }
}

fn malformed() -> BlobError {
    let text = "what came over the link are no names of objects";
    BlobError::new(BlobErrorKind::Internal, text)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn cut(bytes: &[u8], size: usize) -> Body {
        let frames: Vec<_> = bytes
            .chunks(size)
            .map(|c| Ok(Frame::data(Bytes::copy_from_slice(c))))
            .collect();
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    async fn all(names: ObjectNames) -> Result<Vec<String>, BlobError> {
        let some: Vec<_> = names.collect().await;
        let some: Result<Vec<_>, _> = some.into_iter().collect();
        Ok(some?.concat())
    }

    #[tokio::test]
    async fn names_come_as_they_were_sent_however_they_are_cut() {
        let sent = [vec!["a".to_owned(), String::new()], vec!["ü/b".to_owned()]];
        let names: ObjectNames = Box::pin(stream::iter(sent.clone().map(Ok)));
        let bytes = to_body(names).collect().await.unwrap().to_bytes();
        for size in 1..=bytes.len() {
            let names = all(of_body(cut(&bytes, size))).await.unwrap();
            assert_eq!(names, sent.concat(), "cut at {size}");
        }
        let short = of_body(cut(&bytes[..bytes.len() - 1], 64));
        assert_eq!(all(short).await, Err(malformed()));
        let long = of_body(cut(&[0xff; 8], 64));
        assert_eq!(all(long).await, Err(malformed()));
    }

    #[tokio::test]
    async fn a_list_that_breaks_off_says_why() {
        let why = BlobError::new(BlobErrorKind::Unavailable, "gone");
        let some = [Ok(vec!["a".to_owned()]), Err(why.clone())];
        let body = to_body(Box::pin(stream::iter(some)));
        let got: Vec<_> = of_body(body).collect().await;
        assert_eq!(got, [Ok(vec!["a".to_owned()]), Err(why)]);
    }
}
