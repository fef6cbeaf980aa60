//! A provider made with v1's SDK: a key-value store in memory that also says what it knows.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use wasmcloud_provider_sdk::core::secrets::SecretValue;
use wasmcloud_provider_sdk::core::{HealthCheckRequest, HealthCheckResponse};
use wasmcloud_provider_sdk::{
    Context, LinkConfig, LinkDeleteInfo, Provider, ProviderInitConfig, get_connection,
    run_provider, serve_provider_exports,
};

mod bindings {
    wit_bindgen_wrpc::generate!({ world: "provider", generate_all });
}

use bindings::exports::test::interop::echo;
use bindings::exports::wrpc::keyvalue::{atomics, store};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let provider = Memory::default();
    let shutdown = run_provider(provider.clone(), "test-provider").await?;
    let connection = get_connection();
    let client = connection
        .get_wrpc_client(connection.provider_key())
        .await?;
    println!("the test provider is ready");
    serve_provider_exports(&client, provider, shutdown, bindings::serve).await
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    config: HashMap<String, String>,
    /// Its own secrets, as they are shown.
    secrets: String,
    /// Links, by the component at their other end, their name and package.
    links: BTreeMap<(String, String, String), String>,
    values: BTreeMap<(String, String), Bytes>,
}

/// Secrets as they are shown: nothing if there are none.
fn shown(secrets: &HashMap<String, SecretValue>) -> String {
    let texts = secrets
        .iter()
        .map(|(name, value)| (name, value.as_string()));
    let texts: BTreeMap<_, _> = texts.collect();
    match texts.is_empty() {
        true => String::new(),
        false => format!(" secrets {texts:?}"),
    }
}

impl Memory {
    fn put(&self, side: &str, peer: &str, link: &LinkConfig<'_>) {
        let (namespace, package, interfaces) = link.wit_metadata;
        let config: BTreeMap<_, _> = link.config.iter().collect();
        let line = format!(
            "{side} {peer} {} {namespace}:{package}/{} {config:?}{}",
            link.link_name,
            interfaces.join(","),
            shown(link.secrets)
        );
        let key = (
            peer.to_owned(),
            link.link_name.to_owned(),
            package.to_owned(),
        );
        self.0.lock().unwrap().links.insert(key, line);
    }

    /// Refuses callers without a link, as v1's providers do that have a connection for each.
    fn linked(&self, cx: Option<&Context>) -> anyhow::Result<()> {
        let cx = cx.context("nobody says who calls")?;
        let caller = cx.component.as_deref().unwrap_or_default();
        let mut links = self.0.lock().unwrap().links.clone().into_keys();
        let linked = links.any(|(peer, name, _)| peer == caller && name == cx.link_name());
        anyhow::ensure!(linked, "`{caller}` is not linked");
        Ok(())
    }

    fn delete(&self, peer: &str, link: &str) {
        let mut state = self.0.lock().unwrap();
        state
            .links
            .retain(|(p, name, _), _| (p.as_str(), name.as_str()) != (peer, link));
    }
}

impl Provider for Memory {
    async fn init(&self, init: impl ProviderInitConfig) -> anyhow::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.config = init.get_config().clone();
        state.secrets = shown(init.get_secrets());
        Ok(())
    }

    async fn receive_link_config_as_target(&self, link: LinkConfig<'_>) -> anyhow::Result<()> {
        self.put("from", link.source_id, &link);
        Ok(())
    }

    async fn receive_link_config_as_source(&self, link: LinkConfig<'_>) -> anyhow::Result<()> {
        self.put("to", link.target_id, &link);
        Ok(())
    }

    async fn delete_link_as_target(&self, link: impl LinkDeleteInfo) -> anyhow::Result<()> {
        self.delete(link.get_source_id(), link.get_link_name());
        Ok(())
    }

    async fn delete_link_as_source(&self, link: impl LinkDeleteInfo) -> anyhow::Result<()> {
        self.delete(link.get_target_id(), link.get_link_name());
        Ok(())
    }

    async fn health_request(&self, _: &HealthCheckRequest) -> anyhow::Result<HealthCheckResponse> {
        let sick = self.0.lock().unwrap().config.get("sick").cloned();
        Ok(HealthCheckResponse {
            healthy: sick.is_none(),
            message: sick,
        })
    }

    async fn shutdown(&self) -> anyhow::Result<()> {
        println!("the test provider is told to end");
        Ok(())
    }
}

type Numbers = Pin<Box<dyn Stream<Item = Vec<u32>> + Send>>;

impl echo::Handler<Option<Context>> for Memory {
    async fn echo(&self, _: Option<Context>, value: Bytes) -> anyhow::Result<Bytes> {
        Ok(value)
    }

    async fn state(&self, cx: Option<Context>) -> anyhow::Result<Vec<String>> {
        let state = self.0.lock().unwrap();
        let cx = cx.unwrap_or_default();
        let caller = format!("called by {:?} over {}", cx.component, cx.link_name());
        let config: BTreeMap<_, _> = state.config.iter().collect();
        let mut lines = vec![caller, format!("config {config:?}{}", state.secrets)];
        lines.extend(state.links.values().cloned());
        Ok(lines)
    }

    async fn double(&self, _: Option<Context>, numbers: Numbers) -> anyhow::Result<Numbers> {
        let double = |chunk: Vec<u32>| chunk.into_iter().map(|n| 2 * n).collect();
        Ok(Box::pin(numbers.map(double)))
    }

    async fn crash(&self, _: Option<Context>) -> anyhow::Result<String> {
        eprintln!("the test provider crashes");
        std::process::exit(3)
    }
}

impl store::Handler<Option<Context>> for Memory {
    async fn get(
        &self,
        _: Option<Context>,
        bucket: String,
        key: String,
    ) -> anyhow::Result<Result<Option<Bytes>, store::Error>> {
        Ok(Ok(self
            .0
            .lock()
            .unwrap()
            .values
            .get(&(bucket, key))
            .cloned()))
    }

    async fn set(
        &self,
        _: Option<Context>,
        bucket: String,
        key: String,
        value: Bytes,
    ) -> anyhow::Result<Result<(), store::Error>> {
        self.0.lock().unwrap().values.insert((bucket, key), value);
        Ok(Ok(()))
    }

    async fn delete(
        &self,
        _: Option<Context>,
        bucket: String,
        key: String,
    ) -> anyhow::Result<Result<(), store::Error>> {
        self.0.lock().unwrap().values.remove(&(bucket, key));
        Ok(Ok(()))
    }

    async fn exists(
        &self,
        _: Option<Context>,
        bucket: String,
        key: String,
    ) -> anyhow::Result<Result<bool, store::Error>> {
        Ok(Ok(self
            .0
            .lock()
            .unwrap()
            .values
            .contains_key(&(bucket, key))))
    }

    async fn list_keys(
        &self,
        _: Option<Context>,
        bucket: String,
        _: Option<u64>,
    ) -> anyhow::Result<Result<store::KeyResponse, store::Error>> {
        let state = self.0.lock().unwrap();
        let keys = state.values.keys().filter(|(b, _)| *b == bucket);
        let keys = keys.map(|(_, key)| key.clone()).collect();
        Ok(Ok(store::KeyResponse { keys, cursor: None }))
    }
}

impl atomics::Handler<Option<Context>> for Memory {
    async fn increment(
        &self,
        cx: Option<Context>,
        bucket: String,
        key: String,
        delta: u64,
    ) -> anyhow::Result<Result<u64, atomics::Error>> {
        if let Err(why) = self.linked(cx.as_ref()) {
            return Ok(Err(atomics::Error::Other(why.to_string())));
        }
        let mut state = self.0.lock().unwrap();
        let value = state.values.entry((bucket, key)).or_default();
        let old: u64 = std::str::from_utf8(value)
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(0);
        let new = old + delta;
        *value = new.to_string().into();
        Ok(Ok(new))
    }
}
