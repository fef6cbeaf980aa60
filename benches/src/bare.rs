//! The least that a host can be: hyper and Wasmtime, and nothing between them.
//!
//! `wasmtime serve` is what people have, and this is what is possible. A request gets an instance of Wasmtime's pool, the guest runs in the
//! connection's task, and its whole body is sent. There are no deadlines, limits, links, counts or traces, and a guest that does not
//! end is never stopped. Whatever `withe` is asked to be beside `wasmtime serve`, this program, in the same run on the
//! same machine, says how much of that Wasmtime and the kernel's sockets leave.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

/// The argument that makes this program such a host; then its address, its component, and whether instances serve
/// several requests.
pub(crate) const BARE: &str = "--bare";

/// The answer that is given where there is no component.
const HELLO: &str = "hello\n";
/// Stands for a component where there is none.
const NONE: &str = "-";

/// The command that serves `component`, or nothing but an answer, at `address`.
pub(crate) fn command(
    address: SocketAddr,
    component: Option<&str>,
    reused: bool,
) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([
        BARE,
        &address.to_string(),
        component.unwrap_or(NONE),
        if reused { "reused" } else { "fresh" },
    ]);
    Ok(command)
}

/// Serves until it is killed.
pub(crate) fn serve(address: &str, component: &str, instances: &str) -> Result<()> {
    let handler = Arc::new(Handler::new(component, instances == "reused")?);
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(connection(stream, handler.clone()));
        }
    })
}

async fn connection(stream: TcpStream, handler: Arc<Handler>) {
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { handler.answer(request).await }
    });
    // A client may go away whenever it likes.
    _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

type IdleInstances = Mutex<Vec<(Store<Guest>, Service)>>;

enum Handler {
    Nothing,
    P2 {
        engine: Engine,
        pre: ProxyPre<Guest>,
    },
    P3 {
        engine: Engine,
        pre: ServicePre<Guest>,
        /// Instances that wait for a request, where they serve several.
        idle: Option<IdleInstances>,
    },
}

impl Handler {
    fn new(component: &str, reused: bool) -> Result<Self> {
        if component == NONE {
            return Ok(Self::Nothing);
        }
        let bytes = std::fs::read(component)?;
        let is_p3 = withe_wit::World::read(&bytes)?
            .exports
            .iter()
            .any(|export| export.name.starts_with("wasi:http/handler@0.3"));
        let engine = engine(is_p3)?;
        let component = Component::new(&engine, &bytes)?;
        let mut linker = Linker::<Guest>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        if is_p3 {
            wasmtime_wasi::p3::add_to_linker(&mut linker)?;
            wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
            let pre = ServicePre::new(linker.instantiate_pre(&component)?)?;
            let idle = reused.then(Mutex::default);
            return Ok(Self::P3 { engine, pre, idle });
        }
        if reused {
            bail!("instances of WASI 0.2 are fresh here");
        }
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        let pre = ProxyPre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self::P2 { engine, pre })
    }

    async fn answer(
        &self,
        request: http::Request<Incoming>,
    ) -> Result<http::Response<Full<Bytes>>> {
        match self {
            Self::Nothing => Ok(http::Response::new(HELLO.into())),
            Self::P2 { engine, pre } => {
                let mut store = Store::new(engine, Guest::default());
                let (answer, answered) = oneshot::channel();
                let mut http = store.data_mut().http();
                let request = http.new_incoming_request(Scheme::Http, request)?;
                let answer = http.new_response_outparam(answer)?;
                let proxy = pre.instantiate_async(&mut store).await?;
                let handler = proxy.wasi_http_incoming_handler();
                let called = handler.call_handle(&mut store, request, answer);
                let whole = async {
                    let (head, body) = answered.await??.into_parts();
                    anyhow::Ok(http::Response::from_parts(
                        head,
                        body.collect().await?.to_bytes().into(),
                    ))
                };
                let (called, whole) = tokio::join!(called, whole);
                called?;
                whole
            }
            Self::P3 { engine, pre, idle } => {
                let waits = idle.as_ref().and_then(|idle| lock(idle).pop());
                let (mut store, service) = match waits {
                    Some(waits) => waits,
                    None => {
                        let mut store = Store::new(engine, Guest::default());
                        let service = pre.instantiate_async(&mut store).await?;
                        (store, service)
                    }
                };
                let hooks = store.data_mut().http().hooks;
                let (request, sent) = Request::from_http(hooks, request);
                let answer = store.run_concurrent(async |store| {
                    let response = service.handle(store, request).await??;
                    let response = store.with(|s| response.into_http(s, sent))?;
                    let (head, body) = response.into_parts();
                    anyhow::Ok(http::Response::from_parts(
                        head,
                        body.collect().await?.to_bytes().into(),
                    ))
                });
                let answer = answer.await?;
                if let Some(idle) = idle {
                    lock(idle).push((store, service));
                }
                answer
            }
        }
    }
}

fn lock<T>(idle: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An engine with what makes `withe`'s fast (`withe-runtime/src/settings.rs`), and nothing that stops guests.
pub(crate) fn engine(concurrency: bool) -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.linear_memory_keep_resident(2 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(128 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .concurrency_support(concurrency)
        .wasm_component_model_async(concurrency)
        .memory_init_cow(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

/// The state that a guest's host functions need.
struct Guest {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoRequests,
}

/// Guests send no requests.
struct NoRequests;

type Finished = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Finished), Error>> + Send>;

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Finished,
    ) -> Sent {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: NoRequests,
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}
