//! Streams.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio_util::task::AbortOnDropHandle;
use withe_rpc::codec::{Decode, DecodeError, Encode, Reader, Writer};
use withe_rpc::pipe::Closed;
use withe_rpc::{CallError, Chunk, PipeReader, PipeWriter, StreamKind, pipe};

use super::end::{self, End};

/// The most elements in one piece, which are encoded at once; large ones make smaller pieces.
const MOST_ITEMS: usize = 1 << 12;
/// The most bytes in one piece.
const MOST_BYTES: usize = 1 << 20;
/// How many bytes are asked for at a time where nobody says it.
const BYTES: usize = 64 << 10;
/// How many elements are asked for at a time where nobody says it.
const ITEMS: usize = 64;

/// The end of a `stream<T>` that is read.
///
/// A provider reads it, or passes it on: in a result, or in the parameter of a call. Dropped, it tells the writer that
/// nothing more is wanted.
///
/// The reader is a [`Stream`](futures::Stream) of pieces, too: of a `stream<u8>` each is a `Vec<u8>`, which is not
/// copied, and becomes [`Bytes`](bytes::Bytes) without a copy.
pub struct StreamReader<T> {
    end: End,
    of: PhantomData<fn() -> T>,
}

/// The end of a `stream<T>` that is written.
///
/// Dropped before [`finish`](Self::finish), it has failed, and the reader is told; but for the writer that
/// [`StreamReader::written_by`] lends.
pub struct StreamWriter<T> {
    /// There until it is dropped.
    output: Option<Output>,
    /// Where it goes back to.
    lender: Option<Arc<Mutex<Option<Output>>>>,
    of: PhantomData<fn(T)>,
}

/// The end of the pipe that is written to.
struct Output {
    pipe: PipeWriter,
    /// Whether some values of a write are in the pipe and the others are not, which is for good once that write was
    /// dropped.
    is_cut: bool,
}

impl Output {
    fn new(pipe: PipeWriter) -> Self {
        let is_cut = false;
        Self { pipe, is_cut }
    }

    /// Ends the stream as well as it can end.
    fn finish(self) {
        match self.is_cut {
            true => self.pipe.fail(cut_short()),
            false => self.pipe.finish(),
        }
    }
}

impl<T: Encode + Decode + Send + 'static> StreamReader<T> {
    /// A stream of these values, which are there already.
    pub fn of(values: Vec<T>) -> Self {
        let (mut writer, reader) = pipe(T::STREAM, 0);
        let mut values = values.into_iter();
        while values.len() > 0 {
            // The reader is here.
            _ = writer.send(T::encode_elements(&mut values, most(T::STREAM)));
        }
        writer.finish();
        Self::new(reader)
    }

    /// A stream and what writes to it, for a writer that has an owner elsewhere.
    pub fn channel() -> (StreamWriter<T>, Self) {
        let (writer, reader) = pipe(T::STREAM, 0);
        let writer = StreamWriter {
            output: Some(Output::new(writer)),
            lender: None,
            of: PhantomData,
        };
        (writer, Self::new(reader))
    }

    /// A stream that `write` writes, in a task of its own: it ends as that does, with its error if it has one, and the
    /// task ends when nothing more is wanted of the stream.
    ///
    /// ```
    /// # use withe_provider::StreamReader;
    /// # fn numbers() -> StreamReader<u32> {
    /// StreamReader::written_by(|mut writer| async move {
    ///     for number in 0..1_000_000 {
    ///         // Waits until the reader wants more.
    ///         writer.write(vec![number]).await?;
    ///     }
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a runtime of Tokio: a provider's functions are called within one.
    pub fn written_by<F, A>(write: F) -> Self
    where
        F: FnOnce(StreamWriter<T>) -> A,
        A: Future<Output = Result<(), CallError>> + Send + 'static,
    {
        let (writer, mut reader) = pipe(T::STREAM, 0);
        let lender = Arc::new(Mutex::new(None));
        let writing = write(StreamWriter {
            output: Some(Output::new(writer)),
            lender: Some(lender.clone()),
            of: PhantomData,
        });
        let task = tokio::spawn(async move {
            let written = writing.await;
            match (back(&lender).take(), written) {
                (Some(output), Ok(())) => output.finish(),
                (Some(output), Err(why)) => output.pipe.fail(why),
                // The writer was finished, or has another owner, where it fails when it is dropped.
                (None, _) => {}
            }
        });
        reader.keep(Arc::new(AbortOnDropHandle::new(task)));
        Self::new(reader)
    }

    /// The next values, as many as come at once; `None` at the end. The writer is asked for at most `most`; that there
    /// are more happens only where it had written them before. A read that is dropped loses nothing.
    ///
    /// # Errors
    ///
    /// How the writer failed, or that what it wrote is no `T`. The stream has ended then.
    pub async fn read(&mut self, most: usize) -> Result<Option<Vec<T>>, CallError> {
        poll_fn(|cx| self.poll_read(cx, most.max(1)))
            .await
            .transpose()
    }

    /// All values up to the end.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); [`CallError::Exhausted`] if there are more than `most`.
    pub async fn collect(mut self, most: usize) -> Result<Vec<T>, CallError> {
        let mut all = Vec::new();
        let piece = default_piece(T::STREAM);
        while let Some(values) = self.read(piece).await? {
            if values.len() > most - all.len() {
                let why = format!("the stream has more than {most} elements");
                return Err(CallError::Exhausted(why));
            }
            match all.is_empty() {
                true => all = values,
                false => all.extend(values),
            }
        }
        Ok(all)
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Option<Result<Vec<T>, CallError>>> {
        let end = self.end.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(reader) = end else {
            return Poll::Ready(None);
        };
        let read = match ready!(reader.poll_chunk(cx, most)) {
            Some(Ok(Chunk { count, payload })) => T::decode_elements(payload, count)
                .map_err(|e| CallError::TypeMismatch(format!("an element of a stream: {e}"))),
            Some(Err(why)) => Err(why),
            None => {
                // With it goes what wrote the stream.
                *end = None;
                return Poll::Ready(None);
            }
        };
        if read.is_err() {
            *end = None;
        }
        Poll::Ready(Some(read))
    }
}

impl<T> StreamReader<T> {
    fn new(reader: PipeReader) -> Self {
        Self {
            end: Mutex::new(Some(reader)),
            of: PhantomData,
        }
    }

    /// The end as the protocol has it; `None` if the stream was read to its end.
    pub fn into_pipe(self) -> Option<PipeReader> {
        end::take(&self.end)
    }
}

impl<T: Encode + Decode + Send + 'static> futures::Stream for StreamReader<T> {
    type Item = Result<Vec<T>, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_read(cx, default_piece(T::STREAM))
    }
}

impl<T: Encode + Decode + Send + 'static> StreamWriter<T> {
    /// Writes values, as far and as soon as the reader wants them: returns when it has taken the last of them.
    ///
    /// A write that is dropped before the reader has taken any of its values has written nothing, and the next may
    /// follow. Dropped later, it has lost the others: the stream can only fail from there on, as it does also where it is
    /// [finished](Self::finish), for the reader must not take it for whole.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`] if the reader has gone, or if a write was dropped half way, which ends writing.
    pub async fn write(&mut self, values: Vec<T>) -> Result<(), CallError> {
        let Output { pipe, is_cut } = self.output.as_mut().ok_or_else(|| closed(Closed))?;
        if *is_cut && !pipe.is_closed() {
            return Err(cut_short());
        }
        let mut values = values.into_iter();
        while values.len() > 0 {
            let demand = poll_fn(|cx| pipe.poll_demand(cx)).await.map_err(closed)?;
            // Items are not cut where their reader only says how much may be under way.
            let whole = T::STREAM == StreamKind::Items && pipe.takes_whole_writes();
            let wanted = if whole { values.len() } else { demand };
            let most = wanted.min(most(T::STREAM));
            pipe.send(T::encode_elements(&mut values, most))
                .map_err(closed)?;
            // Where the reader is waited for next, this may be dropped.
            *is_cut = values.len() > 0;
        }
        Ok(())
    }

    /// Waits until the reader has gone.
    pub async fn closed(&mut self) {
        if let Some(Output { pipe, .. }) = &mut self.output {
            // More is never wanted.
            _ = poll_fn(|cx| pipe.poll_demand_above(cx, usize::MAX)).await;
        }
    }

    /// Ends the stream; with a failure if a [`write`](Self::write) was dropped half way.
    pub fn finish(mut self) {
        if let Some(output) = self.output.take() {
            output.finish();
        }
    }

    /// Ends the stream with a failure. A component that reads it traps.
    pub fn fail(mut self, why: CallError) {
        if let Some(output) = self.output.take() {
            output.pipe.fail(why);
        }
    }
}

impl<T> Drop for StreamWriter<T> {
    fn drop(&mut self) {
        if let (Some(output), Some(lender)) = (self.output.take(), &self.lender) {
            *back(lender) = Some(output);
        }
    }
}

fn closed(closed: Closed) -> CallError {
    CallError::Unreachable(closed.to_string())
}

fn cut_short() -> CallError {
    CallError::Unreachable("a write to the stream was dropped half way".into())
}

fn back(lender: &Mutex<Option<Output>>) -> std::sync::MutexGuard<'_, Option<Output>> {
    // Nothing panics while the lock is held.
    lender.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most elements in one piece of a stream.
fn most(kind: StreamKind) -> usize {
    match kind {
        StreamKind::Bytes => MOST_BYTES,
        _ => MOST_ITEMS,
    }
}

/// How many elements are asked for at a time.
fn default_piece(kind: StreamKind) -> usize {
    match kind {
        StreamKind::Bytes => BYTES,
        _ => ITEMS,
    }
}

impl<T: Decode> Encode for StreamReader<T> {
    fn encode(&self, w: &mut Writer) {
        end::write(&self.end, T::STREAM, w);
    }
}

impl<T: Decode> Decode for StreamReader<T> {
    const MIN_BYTES: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.stream(T::STREAM).map(Self::new)
    }
}

// Not derived, since `T` need not have what the end of a stream of it has.
impl<T> fmt::Debug for StreamReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for StreamWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWriter").finish_non_exhaustive()
    }
}
