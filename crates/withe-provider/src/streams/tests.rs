use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tokio::sync::watch;
use tokio::time::timeout;
use withe_rpc::{
    BoxFuture, CallContext, CallError, LinkFunction, LinkRequest, Payload, Serve, ServedLink,
    ServedSession,
};

use super::*;
use crate::testing;

/// Long enough for anything that ends at all.
const AGES: Duration = Duration::from_secs(60);

/// A value after it was written into a payload, and read out of it.
fn across<T: withe_rpc::Encode + withe_rpc::Decode>(value: T) -> T {
    Payload::of(&(value,)).take::<(T,)>().unwrap().0
}

#[tokio::test]
async fn bytes_items_and_units_come_as_they_went() {
    let bytes = across(StreamReader::of(vec![7_u8; 3 << 20]));
    assert_eq!(bytes.collect(3 << 20).await.unwrap(), vec![7; 3 << 20]);
    let items: Vec<_> = (0..10_000_u32).map(|i| (i, i.to_string())).collect();
    let came = across(StreamReader::of(items.clone()));
    assert_eq!(came.collect(10_000).await.unwrap(), items);
    let units = across(StreamReader::of(vec![(); 9]));
    assert_eq!(units.collect(9).await.unwrap().len(), 9);
}

#[tokio::test]
async fn nothing_is_written_before_it_is_wanted() {
    let (mut writer, mut reader) = StreamReader::<u8>::channel();
    let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = written.clone();
    let writing = async move {
        for piece in 0..100_u8 {
            writer.write(vec![piece; 10]).await.unwrap();
            counted.fetch_add(10, std::sync::atomic::Ordering::Relaxed);
        }
        writer.finish();
    };
    let reading = async {
        let mut read = 0;
        while let Some(bytes) = reader.read(4).await.unwrap() {
            assert!(bytes.len() <= 4, "{} bytes", bytes.len());
            read += bytes.len();
            let ahead = written.load(std::sync::atomic::Ordering::Relaxed);
            assert!(ahead <= read, "{ahead} written, {read} read");
        }
        read
    };
    let (_, read) = timeout(AGES, futures::future::join(writing, reading))
        .await
        .unwrap();
    assert_eq!(read, 1000);
}

#[tokio::test]
async fn what_writes_a_stream_ends_with_its_reader() {
    let (gone, mut is_gone) = tokio::sync::oneshot::channel::<()>();
    let mut reader = StreamReader::written_by(|mut writer| async move {
        let _gone = gone;
        loop {
            writer.write(vec![1_u64, 2, 3]).await?;
        }
    });
    assert!(!reader.read(3).await.unwrap().unwrap().is_empty());
    assert!(
        is_gone
            .try_recv()
            .is_err_and(|e| e == tokio::sync::oneshot::error::TryRecvError::Empty)
    );
    drop(reader);
    assert!(timeout(AGES, is_gone).await.unwrap().is_err());
}

#[tokio::test]
async fn a_stream_ends_as_what_writes_it_does() {
    let reader = StreamReader::written_by(|mut writer| async move {
        writer.write(vec![1_u8, 2]).await?;
        Ok(())
    });
    assert_eq!(reader.collect(2).await.unwrap(), [1, 2]);
    let mut reader = StreamReader::written_by(|mut writer| async move {
        writer.write(vec![1_u8, 2]).await?;
        Err(CallError::Deadline)
    });
    assert_eq!(reader.next().await.unwrap().unwrap(), [1, 2]);
    assert_eq!(reader.next().await.unwrap(), Err(CallError::Deadline));
    assert!(reader.next().await.is_none());
    // Half of the data must not look like all of it.
    let (mut writer, mut reader) = StreamReader::<u8>::channel();
    let writing = async move { writer.write(vec![1]).await };
    let (written, read) = futures::future::join(writing, reader.read(1)).await;
    assert!(written.is_ok() && read.unwrap() == Some(vec![1]));
    assert!(matches!(
        reader.read(1).await,
        Err(CallError::Unreachable(_))
    ));
}

/// A stream that `write` has written with, to be read with all that it writes and how it ends.
async fn read_all(mut reader: StreamReader<u32>) -> (Vec<u32>, Option<CallError>) {
    let mut all = Vec::new();
    loop {
        match timeout(AGES, reader.read(100)).await.unwrap() {
            Ok(Some(values)) => all.extend(values),
            Ok(None) => return (all, None),
            Err(why) => return (all, Some(why)),
        }
    }
}

#[tokio::test]
async fn a_write_that_is_dropped_half_way_breaks_the_stream() {
    let is_cut = |e: &CallError| e.to_string().contains("dropped half way");
    let (mut writer, mut reader) = StreamReader::<u32>::channel();
    {
        // The reader takes two of three.
        let mut writing = std::pin::pin!(writer.write(vec![1, 2, 3]));
        let mut reading = std::pin::pin!(reader.read(2));
        assert!(futures::poll!(&mut reading).is_pending());
        assert!(futures::poll!(&mut writing).is_pending());
        assert_eq!(reading.await, Ok(Some(vec![1, 2])));
    }
    let again = writer.write(vec![4]).await;
    assert!(is_cut(&again.unwrap_err()));
    writer.finish();
    let (values, end) = read_all(reader).await;
    assert!(
        values.is_empty() && end.as_ref().is_some_and(is_cut),
        "{end:?}"
    );

    // A writer may overlook that, and end well.
    let (took, taken) = watch::channel(());
    let mut reader = StreamReader::written_by(|mut writer| async move {
        writer.write(vec![1]).await?;
        // The reader wants two more, and waits for a third in vain.
        let mut writing = Box::pin(writer.write(vec![2, 3, 4]));
        while !taken.has_changed().unwrap() && futures::poll!(&mut writing).is_pending() {
            tokio::task::yield_now().await;
        }
        Ok(())
    });
    assert_eq!(reader.read(1).await, Ok(Some(vec![1])));
    assert_eq!(reader.read(2).await, Ok(Some(vec![2, 3])));
    took.send(()).unwrap();
    let (values, end) = read_all(reader).await;
    assert!(
        values.is_empty() && end.as_ref().is_some_and(is_cut),
        "{end:?}"
    );

    // Before the reader wants any, nothing is written, and nothing lost.
    let (mut writer, reader) = StreamReader::<u32>::channel();
    assert!(futures::poll!(Box::pin(writer.write(vec![1, 2, 3]))).is_pending());
    let writing = async move {
        writer.write(vec![4, 5]).await.unwrap();
        writer.finish();
    };
    let (read, ()) = futures::future::join(read_all(reader), writing).await;
    assert_eq!(read, (vec![4, 5], None));
}

#[tokio::test]
async fn pieces_are_bounded_by_what_they_hold() {
    let row = "x".repeat(20_000);
    let mut pipe = StreamReader::of(vec![row; 4096]).into_pipe().unwrap();
    let mut rows = 0;
    while let Some(chunk) = poll_fn(|cx| pipe.poll_chunk_ahead(cx, 16)).await {
        let chunk = chunk.unwrap();
        assert_eq!(chunk.count, 4);
        rows += chunk.count;
    }
    assert_eq!(rows, 4096);
    // One that is larger than a piece goes alone.
    let large = "x".repeat(200_000);
    let mut pipe = StreamReader::of(vec![large; 3]).into_pipe().unwrap();
    for _ in 0..3 {
        let chunk = poll_fn(|cx| pipe.poll_chunk_ahead(cx, 16)).await;
        assert_eq!(chunk.unwrap().unwrap().count, 1);
    }
    // Streams within, as written for a reader that sends them on.
    let reader = StreamReader::written_by(|mut writer| async move {
        let inner = (0..5000).map(|_| StreamReader::of(vec![7_u8]));
        writer.write(inner.collect()).await
    });
    let mut pipe = reader.into_pipe().unwrap();
    let mut streams = 0;
    while let Some(chunk) = poll_fn(|cx| pipe.poll_chunk_ahead(cx, 16)).await {
        let chunk = chunk.unwrap();
        assert_eq!(chunk.count, chunk.payload.streams.len());
        assert!(chunk.count <= 64, "{}", chunk.count);
        streams += chunk.count;
    }
    assert_eq!(streams, 5000);
}

/// Returns its parameters.
struct Echo;

impl Serve for Echo {
    fn link(&self, _: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        Ok(Arc::new(Self))
    }
}

impl ServedLink for Echo {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(Self)
    }
}

impl ServedSession for Echo {
    fn call(
        self: Arc<Self>,
        _: usize,
        params: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async { Ok(params) })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn large_elements_and_many_streams_cross_a_wire() {
    let functions = vec![LinkFunction {
        interface: "test:test/test".into(),
        function: "echo".into(),
        digest: 0,
    }];
    let (session, _server) = testing::session(Arc::new(Echo), functions);
    let context = || CallContext {
        deadline: Instant::now() + AGES,
        trace: None,
    };
    // Each is more than a connection takes at once.
    let rows = StreamReader::of(vec![String::from_utf8(vec![b'x'; 20_000]).unwrap(); 4096]);
    let back = session.call(0, Payload::of(&(rows,)), context()).await;
    let (mut rows,): (StreamReader<String>,) = back.unwrap().take().unwrap();
    let mut read = 0;
    while let Some(rows) = rows.read(16).await.unwrap() {
        assert!(rows.iter().all(|row| row.len() == 20_000));
        read += rows.len();
    }
    assert_eq!(read, 4096);
    let inner = (0..5000).map(|_| StreamReader::of(vec![7_u8]));
    let streams = StreamReader::of(inner.collect());
    let back = session.call(0, Payload::of(&(streams,)), context()).await;
    let (mut streams,): (StreamReader<StreamReader<u8>>,) = back.unwrap().take().unwrap();
    let mut read = 0;
    while let Some(streams) = streams.read(16).await.unwrap() {
        for stream in streams {
            assert_eq!(stream.collect(1).await.unwrap(), [7]);
            read += 1;
        }
    }
    assert_eq!(read, 5000);
}

#[tokio::test]
async fn more_than_may_be_collected_is_an_error() {
    let reader = StreamReader::of(vec![7_u8; 11]);
    let collected = reader.collect(10).await;
    assert!(matches!(collected, Err(CallError::Exhausted(_))));
}

#[tokio::test]
async fn elements_of_another_type_are_refused() {
    let payload = Payload::of(&(StreamReader::of(vec![u64::MAX]),));
    let (mut reader,): (StreamReader<u32>,) = payload.take().unwrap();
    let read = reader.read(1).await;
    assert!(matches!(read, Err(CallError::TypeMismatch(_))), "{read:?}");
    assert_eq!(reader.read(1).await, Ok(None));
    // Streams of bytes are moved in another way, so they are told apart before.
    let payload = Payload::of(&(StreamReader::of(vec![7_u8]),));
    assert!(payload.take::<(StreamReader<u32>,)>().is_err());
}

#[tokio::test]
async fn futures_bring_their_value_or_say_why_not() {
    assert_eq!(across(FutureReader::of(5_u32)).await, Ok(5));
    assert_eq!(across(FutureReader::of(())).await, Ok(()));
    let later = FutureReader::resolved_by(async { Ok("later".to_owned()) });
    assert_eq!(across(later).await, Ok("later".into()));
    let failed = FutureReader::<u8>::resolved_by(async { Err(CallError::Deadline) });
    assert_eq!(across(failed).await, Err(CallError::Deadline));
    let (writer, reader) = FutureReader::<u8>::channel();
    drop(writer);
    assert!(matches!(reader.await, Err(CallError::Unreachable(_))));
    let (writer, reader) = FutureReader::channel();
    drop(reader);
    assert!(writer.write(5_u8).is_err());
}

#[tokio::test]
async fn streams_may_hold_streams() {
    let inner = || StreamReader::of(vec![1_u8, 2, 3]);
    let mut outer = across(StreamReader::of(vec![inner(), inner()]));
    let mut read = Vec::new();
    while let Some(streams) = outer.read(1).await.unwrap() {
        for stream in streams {
            read.push(stream.collect(3).await.unwrap());
        }
    }
    assert_eq!(read, [[1, 2, 3], [1, 2, 3]]);
    let stream = across(FutureReader::of(inner())).await.unwrap();
    assert_eq!(stream.collect(3).await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn an_end_goes_once() {
    let stream = StreamReader::of(vec![1_u8]);
    drop(Payload::of(&(&stream,)));
    let (mut again,): (StreamReader<u8>,) = Payload::of(&(&stream,)).take().unwrap();
    assert!(matches!(
        again.read(1).await,
        Err(CallError::Unreachable(_))
    ));
}
