//! The least that can have a component handle messages: a subscriber that makes, calls and drops an instance for each.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use async_nats::{Client, Message};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, InstancePre, Lift, Linker, Lower, ResourceTable,
};
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::bare::engine;
use crate::servers::guest;

const HANDLER: &str = "wasmcloud:messaging/handler@0.2.0";
const CONSUMER: &str = "wasmcloud:messaging/consumer@0.2.0";

/// The guest `events`, which answers messages.
#[derive(Clone)]
pub(super) struct BareHandler {
    client: Client,
    engine: Engine,
    pre: Arc<InstancePre<State>>,
    function: ComponentExportIndex,
}

struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    client: Client,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// `wasmcloud:messaging/types.broker-message`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct BrokerMessage {
    subject: String,
    body: Vec<u8>,
    #[component(name = "reply-to")]
    reply_to: Option<String>,
}

type Handled = (Result<(), String>,);

impl BareHandler {
    pub(super) fn new(client: Client) -> Result<Self> {
        let engine = engine(false)?;
        let component = Component::from_file(&engine, guest("events"))?;
        let mut linker = Linker::<State>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        linker.instance(CONSUMER)?.func_wrap_async(
            "publish",
            |cx: StoreContextMut<'_, State>, (message,): (BrokerMessage,)| {
                let client = cx.data().client.clone();
                Box::new(async move {
                    let published = client.publish(message.subject, message.body.into()).await;
                    Ok((published.map_err(|e| e.to_string()),))
                })
            },
        )?;
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        let export = component.get_export_index(None, HANDLER);
        let export = export.context("no handler of messages")?;
        let function = component.get_export_index(Some(&export), "handle-message");
        Ok(Self {
            client,
            engine,
            pre: Arc::new(pre),
            function: function.context("no function for messages")?,
        })
    }

    pub(super) async fn handle(&self, message: Message) -> Result<()> {
        let state = State {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            client: self.client.clone(),
        };
        let mut store = Store::new(&self.engine, state);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let function =
            instance.get_typed_func::<(BrokerMessage,), Handled>(&mut store, &self.function)?;
        let message = BrokerMessage {
            subject: message.subject.into_string(),
            body: message.payload.into(),
            reply_to: message.reply.map(|subject| subject.into_string()),
        };
        let (handled,) = function.call_async(&mut store, (message,)).await?;
        handled.map_err(|why| anyhow!(why))
    }
}
