//! Values that are read, and names that are listed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body::Body as _;
use tokio::time::timeout;
use wasmtime::format_err;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};
use withe_provider::{Blob, BlobError, BlobErrorKind, Body, ObjectNames};
use withe_rpc::max_payload;

use super::link::{Told, late};
use crate::quota::CallUnderWay;

/// The resource `incoming-value`.
pub(super) struct IncomingValue {
    pub(super) blob: Blob,
    /// How long the next bytes may take.
    pub(super) patience: Duration,
    /// The call that it came by, which counts until all of it was read; none in tests.
    pub(super) under_way: Option<CallUnderWay>,
}

impl IncomingValue {
    /// All of it, as one list.
    pub(super) async fn all(self) -> Told<Vec<u8>> {
        let size = self.blob.size;
        let most = max_payload();
        let too_large = |size: u64| {
            format!(
                "the value has {size} bytes, and a list may have {most}: read it by \
                 `incoming-value-consume-async`"
            )
        };
        if size > most as u64 {
            return Err(too_large(size));
        }
        let mut stream = self.stream();
        let mut all = Vec::with_capacity(size as usize);
        loop {
            stream.ready().await;
            match stream.read(most + 1) {
                Ok(bytes) if all.len() + bytes.len() > most => {
                    return Err(too_large((all.len() + bytes.len()) as u64));
                }
                Ok(bytes) => all.extend_from_slice(&bytes),
                Err(StreamError::Closed) => return Ok(all),
                Err(why) => return Err(why.to_string()),
            }
        }
    }

    /// All of it, as it comes.
    pub(super) fn stream(self) -> ValueReader {
        ValueReader {
            body: Ok(self.blob.body),
            ahead: Bytes::new(),
            left: self.blob.size,
            patience: self.patience,
            under_way: self.under_way,
        }
    }
}

/// A value's bytes as the component reads them.
pub(super) struct ValueReader {
    /// Once it has ended: why it is not whole.
    body: Result<Body, Option<BlobError>>,
    /// The bytes that came and were not read.
    ahead: Bytes,
    /// How many bytes are to come: a body that ends before is cut.
    left: u64,
    patience: Duration,
    /// None once it has ended.
    under_way: Option<CallUnderWay>,
}

impl ValueReader {
    /// Ready when there is something to read, or nothing more comes.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.ahead.is_empty() {
            let Ok(body) = &mut self.body else {
                self.under_way = None;
                break;
            };
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    // Objects have no trailers.
                    self.ahead = frame.into_data().unwrap_or_default();
                    self.left = self.left.saturating_sub(self.ahead.len() as u64);
                }
                Poll::Ready(Some(Err(error))) => self.body = Err(Some(error.into())),
                Poll::Ready(None) if self.left > 0 => {
                    let text = format!("the object broke off {} bytes before its end", self.left);
                    self.body = Err(Some(BlobError::new(BlobErrorKind::Internal, text)));
                }
                Poll::Ready(None) => self.body = Err(None),
            }
        }
        Poll::Ready(())
    }
}

#[async_trait::async_trait]
impl InputStream for ValueReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        // A waiting reader will ask again with a waker of its own.
        _ = self.poll_ahead(&mut Context::from_waker(Waker::noop()));
        if !self.ahead.is_empty() {
            let now = size.min(self.ahead.len());
            return Ok(self.ahead.split_to(now));
        }
        match &mut self.body {
            Ok(_) => Ok(Bytes::new()),
            Err(why) => Err(match why.take() {
                Some(why) => StreamError::LastOperationFailed(format_err!("{why}")),
                None => StreamError::Closed,
            }),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for ValueReader {
    async fn ready(&mut self) {
        let patience = self.patience;
        if timeout(patience, poll_fn(|cx| self.poll_ahead(cx)))
            .await
            .is_err()
        {
            self.body = Err(Some(late("get-data")));
        }
    }
}

/// The resource `stream-object-names`.
pub(super) struct StreamObjectNames {
    names: ObjectNames,
    /// The names that came and were not taken.
    ahead: VecDeque<String>,
    has_ended: bool,
    /// Why the next call fails: the one before had names to return.
    failed: Option<String>,
    /// How long the next names may take.
    patience: Duration,
    /// The call that it came by, which counts until all names came; none in tests.
    under_way: Option<CallUnderWay>,
}

impl StreamObjectNames {
    pub(super) fn new(
        names: ObjectNames,
        patience: Duration,
        under_way: Option<CallUnderWay>,
    ) -> Self {
        Self {
            names,
            ahead: VecDeque::new(),
            has_ended: false,
            failed: None,
            patience,
            under_way,
        }
    }

    /// The next name; `None` behind the last one.
    async fn peek(&mut self) -> Told<Option<&String>> {
        if let Some(why) = self.failed.take() {
            return Err(why);
        }
        while self.ahead.is_empty() && !self.has_ended {
            match timeout(self.patience, self.names.next()).await {
                Ok(Some(Ok(names))) => self.ahead.extend(names),
                Ok(Some(Err(error))) => return Err(error.message),
                Ok(None) => {
                    self.has_ended = true;
                    self.under_way = None;
                }
                Err(_) => return Err(late("list-objects").message),
            }
        }
        Ok(self.ahead.front())
    }

    /// Up to `most` names, and whether there are no more. They are fewer if they would be more than a call may return.
    pub(super) async fn read(&mut self, most: u64) -> Told<(Vec<String>, bool)> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        while (names.len() as u64) < most {
            match self.peek().await {
                // The names that were taken would be lost.
                Err(why) if !names.is_empty() => {
                    self.failed = Some(why);
                    break;
                }
                Err(why) => return Err(why),
                Ok(None) => return Ok((names, true)),
                Ok(Some(name)) if bytes + name.len() > max_payload() / 2 => break,
                Ok(Some(name)) => bytes += name.len() + size_of::<String>(),
            }
            names.extend(self.ahead.pop_front());
        }
        Ok((names, false))
    }

    /// Passes over up to `most` names: returns how many, and whether there are no more.
    pub(super) async fn skip(&mut self, most: u64) -> Told<(u64, bool)> {
        let mut skipped = 0;
        while skipped < most {
            match self.peek().await {
                Err(why) if skipped > 0 => {
                    self.failed = Some(why);
                    break;
                }
                Err(why) => return Err(why),
                Ok(None) => return Ok((skipped, true)),
                Ok(Some(_)) => {}
            }
            self.ahead.pop_front();
            skipped += 1;
        }
        Ok((skipped, false))
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};
    use withe_provider::HttpError;

    use super::*;

    const AGES: Duration = Duration::from_secs(60);

    fn value(size: u64, chunks: Vec<Result<&'static [u8], BlobError>>) -> IncomingValue {
        let frames = chunks.into_iter().map(|chunk| match chunk {
            Ok(bytes) => Ok(Frame::data(Bytes::from_static(bytes))),
            Err(error) => Err(HttpError::from(error)),
        });
        let body = StreamBody::new(stream::iter(frames.collect::<Vec<_>>())).boxed_unsync();
        IncomingValue {
            blob: Blob { size, body },
            patience: AGES,
            under_way: None,
        }
    }

    #[tokio::test]
    async fn a_value_is_whole_or_says_why_not() {
        assert_eq!(
            value(3, vec![Ok(b"a"), Ok(b""), Ok(b"bc")])
                .all()
                .await
                .unwrap(),
            b"abc"
        );
        let why = value(4, vec![Ok(b"abc")]).all().await.unwrap_err();
        assert!(why.contains("broke off 1 bytes before its end"), "{why}");
        let gone = BlobError::new(BlobErrorKind::Unavailable, "the store went away");
        let why = value(3, vec![Ok(b"a"), Err(gone)]).all().await.unwrap_err();
        assert!(why.contains("the store went away"), "{why}");
        let why = value(u64::MAX, Vec::new()).all().await.unwrap_err();
        assert!(why.contains("incoming-value-consume-async"), "{why}");
    }

    #[tokio::test]
    async fn a_stream_gives_what_is_asked_for_and_then_ends() {
        let mut stream = value(3, vec![Ok(b"abc")]).stream();
        stream.ready().await;
        assert_eq!(stream.read(2).unwrap(), "ab");
        assert_eq!(stream.read(2).unwrap(), "c");
        stream.ready().await;
        assert!(matches!(stream.read(2), Err(StreamError::Closed)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_not_waited_for_for_ever() {
        let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, HttpError>>());
        let value = IncomingValue {
            blob: Blob {
                size: 1,
                body: body.boxed_unsync(),
            },
            patience: AGES,
            under_way: None,
        };
        assert!(
            value
                .all()
                .await
                .unwrap_err()
                .contains("did not answer in time")
        );
        let mut names = StreamObjectNames::new(stream::pending().boxed(), AGES, None);
        assert!(
            names
                .read(1)
                .await
                .unwrap_err()
                .contains("did not answer in time")
        );
    }

    #[tokio::test]
    async fn names_are_read_and_skipped_to_their_end() {
        let some = [vec!["a".to_owned(), "b".into()], vec![], vec!["c".into()]];
        let listed =
            || StreamObjectNames::new(stream::iter(some.clone().map(Ok)).boxed(), AGES, None);
        let mut names = listed();
        assert_eq!(names.read(0).await.unwrap(), (vec![], false));
        assert_eq!(names.skip(1).await.unwrap(), (1, false));
        assert_eq!(
            names.read(2).await.unwrap(),
            (vec!["b".to_owned(), "c".into()], false)
        );
        assert_eq!(names.read(2).await.unwrap(), (vec![], true));
        assert_eq!(listed().skip(9).await.unwrap(), (3, true));
    }

    #[tokio::test]
    async fn names_that_were_taken_come_before_the_failure() {
        let gone = || BlobError::new(BlobErrorKind::Unavailable, "the store went away");
        let listed = || {
            let some = [Ok(vec!["a".to_owned(), "b".into()]), Err(gone())];
            StreamObjectNames::new(stream::iter(some).boxed(), AGES, None)
        };
        let mut names = listed();
        let some = vec!["a".to_owned(), "b".into()];
        assert_eq!(names.read(9).await.unwrap(), (some, false));
        assert_eq!(names.read(9).await.unwrap_err(), gone().message);
        let mut names = listed();
        assert_eq!(names.skip(9).await.unwrap(), (2, false));
        assert_eq!(names.skip(9).await.unwrap_err(), gone().message);
    }
}
