//! The bytes of a value that is being written, from the component's `output-stream` to the provider's body.
//!
//! A component may write before it says what the value is to become (`container.write-data`), or after, or both. Bytes
//! written before have to be kept in memory, and are bounded for all values of an instance together ([`MOST`]); beyond
//! that the stream fails, for nobody would ever make room. From `write-data` on no more than [`ROOM`] bytes are on
//! their way, and the component waits while the provider does.
//!
//! A value is complete when the component finishes it, and broken off if it is dropped before.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::time::timeout;
use wasmtime::format_err;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use withe_provider::{BlobError, HttpError, HttpErrorKind};

use super::early::{EarlyBytes, MOST};
use super::link::late;

/// The most bytes of a value that are on their way to a provider.
const ROOM: usize = 256 << 10;

/// Writes smaller than this are put together.
const SMALL: usize = 16 << 10;

/// The way of a value's bytes.
pub(super) struct Conduit(Mutex<State>);

struct State {
    ready: VecDeque<Bytes>,
    /// Behind them: what was written in small pieces.
    last: BytesMut,
    /// How many bytes are in both.
    held: usize,
    /// How many of those count as written early.
    early: usize,
    instance: EarlyBytes,
    /// The taker of the bytes, as a person knows it; none yet if the component has not said.
    taker: Option<String>,
    /// How the component ended the value.
    end: Option<End>,
    /// Why nothing more is taken: what was to be done with it has ended.
    over: Option<Option<BlobError>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Dropped,
}

impl Conduit {
    pub(super) fn new(instance: &EarlyBytes) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            ready: VecDeque::new(),
            last: BytesMut::new(),
            held: 0,
            early: 0,
            instance: instance.clone(),
            taker: None,
            end: None,
            over: None,
            reader: None,
            writer: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes both sides: each looks whether it is for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        result
    }

    /// The value becomes `object`: returns its body, or what it becomes already.
    pub(super) fn body(self: &Arc<Self>, object: &str) -> Result<ValueBody, String> {
        self.change(|state| match &state.taker {
            Some(taken) => Err(taken.clone()),
            None => {
                state.taker = Some(object.to_owned());
                Ok(ValueBody(self.clone()))
            }
        })
    }

    /// The component has written all of it.
    pub(super) fn finish(&self) {
        self.end(End::Complete);
    }

    /// The component dropped it.
    pub(super) fn abandon(&self) {
        self.end(End::Dropped);
    }

    fn end(&self, end: End) {
        self.change(|state| {
            state.end.get_or_insert(end);
        });
    }

    /// Nothing more is taken, because of this failure if it is one.
    pub(super) fn close(&self, why: Option<BlobError>) {
        self.change(|state| {
            state.over.get_or_insert(why);
            state.clear();
        });
    }
}

impl State {
    /// How many bytes may be written now; 0 if that changes by itself.
    fn room(&self) -> Result<usize, StreamError> {
        match &self.over {
            Some(Some(why)) => {
                let object = self.taker.as_deref().unwrap_or_default();
                let why = format_err!("`{object}` is not written: {why}");
                return Err(StreamError::LastOperationFailed(why));
            }
            Some(None) => return Err(StreamError::Closed),
            None if self.end.is_some() => return Err(StreamError::Closed),
            None => {}
        }
        if self.taker.is_some() {
            return Ok(ROOM.saturating_sub(self.held));
        }
        match self.instance.room() {
            0 => Err(StreamError::LastOperationFailed(format_err!(
                "{MOST} bytes are written of values of which it is not known where they go: call \
                 `container.write-data` before writing more"
            ))),
            room => Ok(room.min(ROOM)),
        }
    }

    fn push(&mut self, bytes: Bytes) {
        self.held += bytes.len();
        if self.taker.is_none() {
            self.early += bytes.len();
            self.instance.add(bytes.len());
        }
        if bytes.len() < SMALL {
            self.last.extend_from_slice(&bytes);
            if self.last.len() < SMALL {
                return;
            }
        }
        if !self.last.is_empty() {
            let last = std::mem::take(&mut self.last);
            self.ready.push_back(last.freeze());
        }
        if bytes.len() >= SMALL {
            self.ready.push_back(bytes);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let last = |last: &mut BytesMut| (!last.is_empty()).then(|| std::mem::take(last).freeze());
        let bytes = (self.ready.pop_front()).or_else(|| last(&mut self.last))?;
        self.held -= bytes.len();
        self.forget_early(bytes.len());
        Some(bytes)
    }

    /// Forgets this many of the bytes that were written early.
    fn forget_early(&mut self, bytes: usize) {
        let bytes = bytes.min(self.early);
        self.early -= bytes;
        self.instance.forget(bytes);
    }

    fn clear(&mut self) {
        self.ready.clear();
        self.last = BytesMut::new();
        self.held = 0;
        self.forget_early(usize::MAX);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A value's bytes as a provider reads them.
pub(super) struct ValueBody(Arc<Conduit>);

impl http_body::Body for ValueBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let mut state = self.0.lock();
        if state.end != Some(End::Dropped)
            && let Some(bytes) = state.pop()
        {
            let writer = state.writer.take();
            drop(state);
            writer.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match state.end {
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(End::Complete) => Poll::Ready(None),
            Some(End::Dropped) => {
                let text = "the component dropped the value without having finished it";
                let error = HttpError::new(HttpErrorKind::Handler, text);
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

/// A value's bytes as the component writes them.
pub(super) struct ValueStream {
    pub(super) conduit: Arc<Conduit>,
    /// How long the reader may take none of them.
    pub(super) patience: Patience,
}

/// How long is waited for room: as the link says over which the value goes, once that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience(Arc<Mutex<Option<Duration>>>);

impl Patience {
    pub(super) fn set(&self, patience: Duration) {
        *self.lock() = Some(patience);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Duration>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the value's destination is known, nothing is waited for.
    fn get(&self) -> Duration {
        self.lock().unwrap_or_default()
    }
}

#[async_trait::async_trait]
impl OutputStream for ValueStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.conduit.change(|state| {
            if bytes.len() > state.room()? {
                return Err(StreamError::trap(
                    "more was written than `check-write` allowed",
                ));
            }
            state.push(bytes);
            Ok(())
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        // The bytes are on their way. Whether the object is kept is known when the value is finished.
        self.conduit.lock().room().map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.conduit.lock().room()
    }
}

#[async_trait::async_trait]
impl Pollable for ValueStream {
    async fn ready(&mut self) {
        let patience = self.patience.get();
        let conduit = &self.conduit;
        let room = std::future::poll_fn(|cx| {
            let mut state = conduit.lock();
            match state.room() {
                Ok(0) => {
                    state.writer = Some(cx.waker().clone());
                    Poll::Pending
                }
                Ok(_) | Err(_) => Poll::Ready(()),
            }
        });
        if timeout(patience, room).await.is_err() {
            conduit.close(Some(late("write-data")));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use http_body_util::BodyExt as _;
    use withe_provider::BlobErrorKind;

    use super::*;

    fn stream(conduit: &Arc<Conduit>) -> ValueStream {
        let patience = Patience::default();
        patience.set(Duration::from_secs(60));
        ValueStream {
            conduit: conduit.clone(),
            patience,
        }
    }

    fn failed(result: StreamResult<usize>) -> String {
        match result {
            Err(StreamError::LastOperationFailed(why)) => why.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_written_before_and_after_comes_in_order() {
        let early = EarlyBytes::default();
        let conduit = Conduit::new(&early);
        let mut stream = stream(&conduit);
        stream.write(Bytes::from_static(b"ab")).unwrap();
        stream.write(Bytes::from(vec![b'c'; SMALL])).unwrap();
        let body = conduit.body("pets/cat").unwrap();
        assert_eq!(conduit.body("pets/dog").err().as_deref(), Some("pets/cat"));
        stream.write(Bytes::from_static(b"d")).unwrap();
        conduit.finish();
        assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
        let all = body.collect().await.unwrap().to_bytes();
        assert_eq!(
            (all.len(), &all[..3], all[all.len() - 1]),
            (SMALL + 3, &b"abc"[..], b'd')
        );
        assert_eq!(early.written(), 0);
    }

    #[tokio::test]
    async fn no_more_is_held_than_may_be_and_the_writer_waits() {
        let conduit = Conduit::new(&EarlyBytes::default());
        let mut stream = stream(&conduit);
        let mut body = conduit.body("a").unwrap();
        while let room @ 1.. = stream.check_write().unwrap() {
            stream.write(Bytes::from(vec![0; room.min(5000)])).unwrap();
        }
        assert_eq!(conduit.lock().held, ROOM);
        assert!(stream.ready().now_or_never().is_none());
        let mut waiting = Box::pin(stream.ready());
        assert!(futures::poll!(&mut waiting).is_pending());
        body.frame().await.unwrap().unwrap();
        waiting.await;
        assert!(stream.check_write().unwrap() > 0);
    }

    #[tokio::test]
    async fn an_instance_cannot_hold_more_than_some_early_bytes() {
        let early = EarlyBytes::default();
        let conduits = [Conduit::new(&early), Conduit::new(&early)];
        let mut streams = conduits.each_ref().map(stream);
        let mut written = 0;
        let why = 'full: loop {
            for stream in &mut streams {
                match stream.check_write() {
                    Ok(room) => {
                        written += room;
                        stream.write(Bytes::from(vec![0; room])).unwrap();
                    }
                    full => break 'full failed(full),
                }
            }
        };
        assert_eq!(written, MOST);
        assert!(why.contains("call `container.write-data`"), "{why}");
        // Nobody makes room by itself, so nobody waits for it.
        streams[0].ready().now_or_never().unwrap();
        drop((conduits, streams));
        assert_eq!(early.written(), 0);
    }

    #[tokio::test]
    async fn a_value_that_is_dropped_breaks_off_and_one_that_is_not_kept_says_why() {
        let conduit = Conduit::new(&EarlyBytes::default());
        let mut stream = stream(&conduit);
        stream.write(Bytes::from_static(b"ab")).unwrap();
        let body = conduit.body("a").unwrap();
        conduit.abandon();
        let why = body.collect().await.unwrap_err();
        assert!(why.message.contains("without having finished it"), "{why}");
        let error = BlobError::new(BlobErrorKind::Exhausted, "no room");
        conduit.close(Some(error));
        let why = failed(stream.check_write());
        assert_eq!(why, "`a` is not written: no room");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_is_not_waited_for_for_ever() {
        let conduit = Conduit::new(&EarlyBytes::default());
        let mut stream = stream(&conduit);
        let _body = conduit.body("a").unwrap();
        stream.write(Bytes::from(vec![0; ROOM])).unwrap();
        stream.ready().await;
        assert!(failed(stream.check_write()).contains("did not answer in time"));
    }
}
