//! The provider: links come and go, connections are shared between them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;
use withe_provider::settings::describe;
use withe_provider::{
    BackendCalls, BackendCount, Call, CallError, Callee, ConfigMap, ConfigRole, Functions, Health,
    Link, LinkId, Linked, Payload, Peer, Provider, ProviderError, SharedBackends,
};

use crate::broker::Broker;
use crate::config::{self, Backend, Config};
use crate::counted::CountedBroker;
use crate::delivery::{DeliveredLink, MessageHandler};
use crate::memory::MemoryBroker;
use crate::mqtt::{MqttBroker, MqttConfig};
use crate::nats::{NatsBroker, NatsConfig};
use crate::sender::Sender;
use crate::wit;
use crate::wit::wasmcloud::messaging::handler::Client;

/// How long what a replaced link was given may take.
const REPLACED: Duration = Duration::from_secs(60);

/// The provider.
pub struct Messaging {
    config: ConfigMap,
    functions: Functions<Sender>,
    /// Read by every call, replaced when a link changes.
    senders: ArcSwap<HashMap<LinkId, Arc<Linked<Sender>>>>,
    /// Held while links change.
    changes: Mutex<Links>,
    /// Links that were replaced, until what they were given was handled.
    ending: TaskTracker,
    /// The tasks that have connections to brokers of MQTT, until they have left these.
    sessions: TaskTracker,
    backend_calls: BackendCalls,
}

#[derive(Default)]
struct Links {
    /// The links whose components take messages.
    delivered: HashMap<LinkId, DeliveredLink>,
    /// Connections by what was asked for.
    connections: SharedBackends<NatsConfig, NatsBroker>,
    /// The connections to brokers of MQTT.
    mqtt: SharedBackends<MqttConfig, MqttBroker>,
}

impl Messaging {
    /// A provider with this configuration of its own, which is the default of its links.
    pub fn new(config: ConfigMap) -> Self {
        Self {
            config,
            functions: wit::functions(),
            senders: ArcSwap::default(),
            changes: Mutex::default(),
            ending: TaskTracker::new(),
            sessions: TaskTracker::new(),
            backend_calls: BackendCalls::default(),
        }
    }

    /// The configuration of a link in this role.
    fn read(&self, link: &Link, role: ConfigRole) -> Result<Config, ProviderError> {
        let (config, problems) = config::read(&self.config, &link.config, role);
        match problems.is_empty() {
            true => Ok(config),
            false => Err(ProviderError(describe(&problems))),
        }
    }

    /// A link from a component that sends.
    async fn put_sender(&self, link: &Link) -> Result<(), ProviderError> {
        let config = self.read(link, ConfigRole::LinkTarget)?;
        let functions = self.functions.of(link)?;
        let mut links = self.changes.lock().await;
        let broker = links
            .broker(&config.backend, &link.application, &self.sessions)
            .await?;
        let broker = self.counted(broker, &config.backend);
        self.change(|senders| {
            senders.insert(link.id, Arc::new(functions.with(Sender(broker))));
        });
        Ok(())
    }

    /// A link to a component that takes messages.
    async fn put_delivered(&self, link: &Link, callee: &Callee) -> Result<(), ProviderError> {
        let config = self.read(link, ConfigRole::LinkSource)?;
        let (application, component) = (&link.application, &link.component);
        let client = Client::of(callee).ok_or_else(|| {
            ProviderError(format!(
                "`{component}` exports no `wasmcloud:messaging/handler`, which takes messages"
            ))
        })?;
        let group = group(application, component);
        let subscriptions = config.subscriptions(&group);
        let mut links = self.changes.lock().await;
        let broker = links
            .broker(&config.backend, application, &self.sessions)
            .await?;
        let broker = self.counted(broker, &config.backend);
        let handler = MessageHandler::new(link, client, broker, config.timeout, config.at_once);
        // Beside the one before, if there is one: nothing is missed, and a group gives each message to one of them.
        let started = DeliveredLink::start(handler, &subscriptions).await;
        let started = started.map_err(|why| ProviderError(why.to_string()))?;
        if let Some(before) = links.delivered.insert(link.id, started) {
            self.ending.spawn(before.stop(REPLACED));
        }
        Ok(())
    }

    /// The broker, with its calls counted if it is beyond this process.
    fn counted(&self, broker: Arc<dyn Broker>, backend: &Backend) -> Arc<dyn Broker> {
        let backend = match backend {
            Backend::Memory => return broker,
            Backend::Nats(_) => "nats",
            Backend::Mqtt(_) => "mqtt",
        };
        Arc::new(CountedBroker {
            broker,
            backend,
            calls: self.backend_calls.clone(),
        })
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<LinkId, Arc<Linked<Sender>>>)) {
        // One change at a time: the links are locked.
        let mut senders = HashMap::clone(&self.senders.load());
        change(&mut senders);
        self.senders.store(Arc::new(senders));
    }
}

impl Links {
    async fn broker(
        &mut self,
        backend: &Backend,
        application: &str,
        sessions: &TaskTracker,
    ) -> Result<Arc<dyn Broker>, ProviderError> {
        match backend {
            Backend::Memory => Ok(MemoryBroker::of(application)),
            Backend::Nats(config) => {
                let connect = async { NatsBroker::connect(config).await.map(Arc::new) };
                let broker = self.connections.get_or_open(&**config, connect).await;
                Ok(broker.map_err(|why| ProviderError(why.to_string()))?)
            }
            Backend::Mqtt(config) => {
                let connect = async { MqttBroker::connect(config, sessions).await.map(Arc::new) };
                let broker = self.mqtt.get_or_open(&**config, connect).await;
                Ok(broker.map_err(|why| ProviderError(why.to_string()))?)
            }
        }
    }
}

/// The group of all replicas of a component: no two components have the same, as neither name has a `.` here.
fn group(application: &str, component: &str) -> String {
    let token = |text: &str| -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        text.chars()
            .map(|c| if is_plain(c) { c } else { '_' })
            .collect()
    };
    format!("{}.{}", token(application), token(component))
}

#[async_trait::async_trait]
impl Provider for Messaging {
    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        match &link.peer {
            Peer::Importer(_) => self.put_sender(&link).await,
            Peer::Callee(callee) => self.put_delivered(&link, callee).await,
            Peer::Http(_) => Err(ProviderError(
                "messages are handed to `wasmcloud:messaging/handler`, and not to HTTP handlers"
                    .into(),
            )),
        }
    }

    async fn link_deleted(&self, id: LinkId, grace: Duration) {
        let mut links = self.changes.lock().await;
        self.change(|senders| drop(senders.remove(&id)));
        let gone = links.delivered.remove(&id);
        drop(links);
        if let Some(gone) = gone {
            gone.stop(grace).await;
        }
    }

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let linked = self.senders.load().get(&call.link).cloned();
        let linked = linked.ok_or_else(|| {
            CallError::Unlinked("the link to the messaging provider was removed".into())
        })?;
        linked.call(call).await
    }

    fn backend_calls(&self) -> Vec<BackendCount> {
        self.backend_calls.read()
    }

    async fn health(&self) -> Health {
        let senders = self.senders.load_full();
        let links = self.changes.lock().await;
        let delivered = links.delivered.values().map(|link| &link.broker);
        let mut brokers = senders
            .values()
            .map(|linked| &linked.state.0)
            .chain(delivered);
        match brokers.find_map(|broker| broker.trouble()) {
            Some(why) => Health::Unhealthy(why),
            None => Health::Healthy,
        }
    }

    async fn shutdown(&self, grace: Duration) {
        let end = Instant::now() + grace;
        let delivered = std::mem::take(&mut self.changes.lock().await.delivered);
        self.ending.close();
        let replaced = timeout(grace, self.ending.wait());
        let current = join_all(delivered.into_values().map(|link| link.stop(grace)));
        _ = tokio::join!(replaced, current);
        self.change(HashMap::clear);
        // No link has a connection any more: what was sent is written, and brokers are told that nobody comes back.
        self.sessions.close();
        if timeout_at(end, self.sessions.wait()).await.is_err() {
            tracing::warn!(
                "connections to brokers of MQTT were not ended in time: the last messages may not have been sent"
            );
        }
    }
}
