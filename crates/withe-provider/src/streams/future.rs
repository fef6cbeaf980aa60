//! Futures.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use tokio_util::task::AbortOnDropHandle;
use withe_rpc::codec::{Decode, DecodeError, Encode, Reader, Writer};
use withe_rpc::pipe::Closed;
use withe_rpc::{BoxFuture, CallError, Chunk, PipeReader, PipeWriter, pipe};

use super::end::{self, End};

/// The end of a `future<T>` that is read: `await` it, or pass it on. Dropped, it tells the writer that nobody waits.
pub struct FutureReader<T> {
    end: End,
    of: PhantomData<fn() -> T>,
}

/// The end of a `future<T>` that is written. Dropped before it is, the future has failed, and whoever waits is told.
pub struct FutureWriter<T> {
    pipe: PipeWriter,
    of: PhantomData<fn(T)>,
}

impl<T: Encode + Decode + Send + 'static> FutureReader<T> {
    /// A future whose value is there already.
    pub fn of(value: T) -> Self {
        let (writer, reader) = Self::channel();
        // The reader is here.
        _ = writer.write(value);
        reader
    }

    /// A future and what writes it, for a writer that has an owner elsewhere.
    pub fn channel() -> (FutureWriter<T>, Self) {
        let (pipe, reader) = pipe(T::FUTURE, 0);
        let of = PhantomData;
        (FutureWriter { pipe, of }, Self::new(reader))
    }

    /// A future that has the value of `value`, which is computed in a task of its own; the task ends when nobody waits
    /// for it any more.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of Tokio: a provider's functions are called within one.
    pub fn resolved_by(value: impl Future<Output = Result<T, CallError>> + Send + 'static) -> Self {
        let (pipe, mut reader) = pipe(T::FUTURE, 0);
        let writer = FutureWriter {
            pipe,
            of: PhantomData,
        };
        let task = tokio::spawn(async move {
            match value.await {
                // Nobody may wait any more.
                Ok(value) => _ = writer.write(value),
                Err(why) => writer.fail(why),
            }
        });
        reader.keep(Arc::new(AbortOnDropHandle::new(task)));
        Self::new(reader)
    }
}

impl<T> FutureReader<T> {
    fn new(reader: PipeReader) -> Self {
        Self {
            end: Mutex::new(Some(reader)),
            of: PhantomData,
        }
    }

    /// The end as the protocol has it.
    pub fn into_pipe(self) -> Option<PipeReader> {
        end::take(&self.end)
    }
}

impl<T: Encode + Decode + Send + 'static> IntoFuture for FutureReader<T> {
    type Output = Result<T, CallError>;
    type IntoFuture = BoxFuture<'static, Result<T, CallError>>;

    /// The value, or how the writer failed.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let no_value = || CallError::Unreachable("a future ended without a value".into());
            let mut reader = self.into_pipe().ok_or_else(no_value)?;
            let chunk = poll_fn(|cx| reader.poll_chunk(cx, 1)).await;
            let Chunk { count, payload } = chunk.ok_or_else(no_value)??;
            let values = T::decode_elements(payload, count);
            let values = values
                .map_err(|e| CallError::TypeMismatch(format!("the value of a future: {e}")))?;
            values.into_iter().next().ok_or_else(no_value)
        })
    }
}

impl<T: Encode> FutureWriter<T> {
    /// Writes the value.
    ///
    /// # Errors
    ///
    /// [`Closed`] if nobody waits for it any more.
    pub fn write(mut self, value: T) -> Result<(), Closed> {
        self.pipe
            .send(T::encode_elements(&mut vec![value].into_iter(), 1))?;
        self.pipe.finish();
        Ok(())
    }

    /// Ends the future with a failure. A component that waits for it traps.
    pub fn fail(self, why: CallError) {
        self.pipe.fail(why);
    }

    /// Waits until nobody waits any more.
    pub async fn closed(&mut self) {
        // More is never wanted.
        _ = poll_fn(|cx| self.pipe.poll_demand_above(cx, usize::MAX)).await;
    }
}

impl<T: Decode> Encode for FutureReader<T> {
    fn encode(&self, w: &mut Writer) {
        end::write(&self.end, T::FUTURE, w);
    }
}

impl<T: Decode> Decode for FutureReader<T> {
    const MIN_BYTES: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.stream(T::FUTURE).map(Self::new)
    }
}

// Not derived, since `T` need not have what the end of a future of it has.
impl<T> fmt::Debug for FutureReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FutureReader").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for FutureWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FutureWriter").finish_non_exhaustive()
    }
}
