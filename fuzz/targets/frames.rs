//! Whatever a peer sends, the connection comes to its end: a server's, if the first byte is even, else a
//! client's.

#![no_main]

use std::fmt;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use withe_rpc::{
    BoxFuture, CallContext, CallError, Client, Connect, Duplex, HandleRef, Limits, LinkFunction,
    LinkRequest, Listener, Payload, PipeReader, Serve, ServedLink, ServedSession, StreamKind, pipe,
    serve,
};

/// Far more than any input takes.
const HANG: Duration = Duration::from_secs(10);

/// Accepts or connects once.
struct Once(Mutex<Option<DuplexStream>>);

impl Once {
    fn new(stream: DuplexStream) -> Self {
        Self(Mutex::new(Some(stream)))
    }

    fn take(&self) -> io::Result<Duplex> {
        let stream = self.0.lock().ok().and_then(|mut slot| slot.take());
        stream
            .map(Duplex::of)
            .ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }
}

impl Listener for Once {
    async fn accept(&mut self) -> io::Result<Duplex> {
        match self.take() {
            Ok(stream) => Ok(stream),
            Err(_) => pending().await,
        }
    }
}

impl fmt::Display for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`once`")
    }
}

impl Connect for Once {
    fn connect(&self) -> BoxFuture<'_, io::Result<Duplex>> {
        Box::pin(async { self.take() })
    }
}

/// Echoes, hangs, gives out resources.
struct Target;

impl Serve for Target {
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        match request.functions.len() {
            0 => Err(CallError::Unlinked("nothing is wanted".into())),
            _ => Ok(Arc::new(Target)),
        }
    }
}

impl ServedLink for Target {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(Target)
    }
}

impl ServedSession for Target {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            match function {
                0 => Ok(Payload {
                    handles: Vec::new(),
                    ..params
                }),
                1 => pending().await,
                2 => Ok(Payload {
                    handles: (1..4).map(|id| HandleRef { id, own: true }).collect(),
                    ..Payload::default()
                }),
                _ => {
                    tokio::task::yield_now().await;
                    Ok(Payload::default())
                }
            }
        })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

fn limits() -> Limits {
    // Small, so that they are met.
    Limits {
        payload: 4_000,
        unfinished: 10_000,
        calls: 8,
        sessions: 4,
        links: 2,
        handles: 8,
        streams: 4,
        queue: 4_000,
        ..Limits::default()
    }
}

async fn feed(mut stream: DuplexStream, bytes: &[u8]) {
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let write = async {
        // A side that has hung up says why in what can be read.
        _ = writer.write_all(bytes).await;
        _ = writer.shutdown().await;
    };
    let mut answers = Vec::new();
    let read = reader.read_to_end(&mut answers);
    let (_, _) = tokio::join!(write, read);
}

async fn server(bytes: &[u8]) {
    let (ours, theirs) = duplex(1 << 16);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = serve(Once::new(theirs), Arc::new(Target), limits(), async {
        _ = stopped.await;
    });
    let feeding = async {
        feed(ours, bytes).await;
        drop(stop);
    };
    tokio::join!(serving, feeding);
}

async fn client(bytes: &[u8]) {
    let (ours, theirs) = duplex(1 << 16);
    let client = Client::new(Arc::new(Once::new(theirs)), limits());
    let link = client.link(LinkRequest {
        functions: vec![LinkFunction::default()],
        ..LinkRequest::default()
    });
    let session = link.session();
    let context = CallContext {
        deadline: Instant::now() + HANG,
        trace: None,
    };
    let stream = |kind| -> PipeReader {
        let (mut writer, reader) = pipe(kind, 10);
        _ = writer.send(withe_rpc::Chunk {
            count: 3,
            payload: Payload {
                bytes: vec![1; 3],
                ..Payload::default()
            },
        });
        writer.finish();
        reader
    };
    let params = Payload {
        bytes: vec![1; 100],
        streams: vec![stream(StreamKind::Bytes), stream(StreamKind::Items)],
        ..Payload::default()
    };
    let calling = async {
        let result = session.call(0, params, context).await;
        if let Ok(result) = result {
            for mut stream in result.streams {
                let next = std::future::poll_fn(|cx| stream.poll_chunk(cx, 5));
                drop(next.await);
            }
        }
    };
    let feeding = async {
        feed(ours, bytes).await;
        client.close().await;
    };
    tokio::join!(calling, feeding);
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be made");
}

fuzz_target!(|input: &[u8]| {
    let Some((side, bytes)) = input.split_first() else {
        return;
    };
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let run = async {
                match side % 2 {
                    0 => server(bytes).await,
                    _ => client(bytes).await,
                }
            };
            timeout(HANG, run).await.expect("the connection hangs");
        });
    });
});
