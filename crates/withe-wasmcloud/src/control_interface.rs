//! Answers v1's tools: `wash get hosts`, `wash get inventory` and `wash get links` show this host.
//!
//! A request that would change something is refused, if it is addressed to this host. Requests that v1's hosts
//! share among them (`link.put`, `config.put`) are theirs, and so is silence, by which a host declines an
//! auction. No heartbeat is told: `wadm` would take this for a host that it can place components on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream::context::{KeyValueError, KeyValueErrorKind};
use async_nats::jetstream::kv;
use async_nats::{Client, Message, Subscriber, jetstream};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use nkeys::{KeyPair, KeyPairType};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use withe_provider::ProviderError;
use withe_wit::InterfaceName;

use crate::wire::names;

/// How long v1's own state may take to read. v1's tools wait for 2 s.
const READ: Duration = Duration::from_secs(1);

/// The answer to a tool that wants to change something here.
const REFUSED: &str = "this is a host of Withe, whose applications are put with `withe up`";

/// A host as v1's tools see it.
#[derive(Clone, Debug)]
pub struct HostState {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The version of its program.
    pub version: String,
    /// How long it has run.
    pub uptime: Duration,
    /// The components that it runs.
    pub components: Vec<PartState>,
    /// The providers that it runs.
    pub providers: Vec<PartState>,
}

/// A component or provider as v1's tools see it.
#[derive(Clone, Debug, Serialize)]
pub struct PartState {
    /// Its id on the lattice.
    pub id: String,
    /// The image that runs.
    pub image_ref: String,
    /// Its name.
    pub name: String,
    /// How many instances may run at a time; 0 if it is not said.
    pub max_instances: u32,
    /// v1's, which Withe has not: 0.
    pub revision: i32,
}

/// A link as v1's tools see it: there is one for each package that is linked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LinkState {
    source_id: String,
    target: String,
    name: String,
    wit_namespace: String,
    wit_package: String,
    interfaces: Vec<String>,
    source_config: [String; 0],
    target_config: [String; 0],
}

impl LinkState {
    /// The links that v1 would have for one over `interfaces` between the parts with these ids. Interfaces that
    /// are of no package v1 does not know.
    pub fn of<'a>(
        source: &str,
        target: &str,
        name: &str,
        interfaces: impl IntoIterator<Item = &'a str>,
    ) -> Vec<Self> {
        let mut packages: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for name in interfaces
            .into_iter()
            .filter_map(|i| i.parse::<InterfaceName>().ok())
        {
            let of_package = packages.entry((name.namespace, name.package)).or_default();
            of_package.push(name.interface);
        }
        let link = |((wit_namespace, wit_package), interfaces)| Self {
            source_id: source.to_owned(),
            target: target.to_owned(),
            name: name.to_owned(),
            wit_namespace,
            wit_package,
            interfaces,
            source_config: [],
            target_config: [],
        };
        packages.into_iter().map(link).collect()
    }
}

/// The state that a host reports to v1's tools.
pub trait Inquiry: Send + Sync {
    /// The host itself.
    fn host(&self) -> HostState;
    /// The links of all of Withe's hosts on the lattice, each once.
    fn links(&self) -> BTreeSet<LinkState>;
}

/// The requests of v1's tools.
pub struct ControlInterface {
    client: Client,
    lattice: String,
    /// The host's id for v1.
    id: String,
    asked: Subscriber,
    addressed: Subscriber,
    shared: Subscriber,
}

impl ControlInterface {
    /// Begins to take what v1's tools ask the host `id` of `lattice`.
    ///
    /// # Errors
    ///
    /// If the lattice cannot be part of a subject, or the connection is closed.
    pub async fn open(client: Client, lattice: &str, id: &str) -> Result<Self, ProviderError> {
        let refuse =
            |why: String| ProviderError(format!("wasmCloud v1's tools cannot be answered: {why}"));
        if !names::is_token(lattice) {
            return Err(refuse(format!(
                "the lattice `{lattice}` cannot be part of a NATS subject"
            )));
        }
        let id = host_key(id).map_err(|e| refuse(e.to_string()))?;
        let base = format!("wasmbus.ctl.v1.{lattice}");
        let closed = |e: async_nats::SubscribeError| refuse(e.to_string());
        let asked = client.subscribe(format!("{base}.host.ping")).await;
        let addressed = client.subscribe(format!("{base}.*.*.{id}")).await;
        // One of Withe's hosts speaks for all of them. v1's hosts have a group of their own.
        let group = format!("withe.{base}");
        let shared = client.queue_subscribe(format!("{base}.*.get"), group).await;
        Ok(Self {
            asked: asked.map_err(closed)?,
            addressed: addressed.map_err(closed)?,
            shared: shared.map_err(closed)?,
            client,
            lattice: lattice.to_owned(),
            id,
        })
    }

    /// Answers until the connection is closed, or this is dropped.
    pub async fn answer(mut self, inquiry: &dyn Inquiry) {
        loop {
            let message = tokio::select! {
                message = self.asked.next() => message,
                message = self.addressed.next() => message,
                message = self.shared.next() => message,
            };
            let Some(message) = message else { return };
            if let Some(answer) = self.answer_to(&message, inquiry).await
                && let Some(reply) = message.reply
                && let Err(why) = self.client.publish(reply, answer.to_string().into()).await
            {
                tracing::debug!("a tool of wasmCloud v1 could not be answered: {why}");
            }
        }
    }

    /// The answer, unless others are to give it.
    async fn answer_to(&self, message: &Message, inquiry: &dyn Inquiry) -> Option<Value> {
        let mut tokens = message.subject.split('.').skip(4);
        match (tokens.next()?, tokens.next()?, tokens.next()) {
            ("host", "ping", None) => Some(done(self.host(&inquiry.host()))),
            ("host", "get", Some(_)) => Some(done(self.inventory(&inquiry.host()))),
            ("link", "get", None) => {
                let known = self.known_to_v1().await;
                let links = inquiry.links().into_iter().map(|link| json!(link));
                let links = known.into_iter().flatten().chain(links);
                Some(done(links.collect()))
            }
            // Withe has none; v1's hosts know theirs.
            ("claims", "get", None) => {
                (self.known_to_v1().await.is_none()).then(|| done(json!([])))
            }
            (_, _, Some(_)) => Some(json!({ "success": false, "message": REFUSED })),
            _ => None,
        }
    }

    fn host(&self, host: &HostState) -> Value {
        json!({
            "id": self.id,
            "friendly_name": host.name,
            "labels": host.labels,
            "lattice": self.lattice,
            "uptime_seconds": host.uptime.as_secs(),
            "uptime_human": human(host.uptime),
            "version": host.version,
        })
    }

    fn inventory(&self, host: &HostState) -> Value {
        json!({
            "host_id": self.id,
            "friendly_name": host.name,
            "labels": host.labels,
            "uptime_seconds": host.uptime.as_secs(),
            "uptime_human": human(host.uptime),
            "version": host.version,
            "components": host.components,
            "providers": host.providers,
        })
    }

    /// The links that v1's hosts have; none if there never was one on the lattice.
    ///
    /// Tools take the first answer, so this host's must have what v1's would.
    async fn known_to_v1(&self) -> Option<Vec<Value>> {
        let read = timeout(READ, links_of_v1(&self.client, &self.lattice)).await;
        match read {
            Ok(Ok(links)) => links,
            Ok(Err(why)) => {
                tracing::warn!("the links of wasmCloud v1's hosts cannot be read: {why}");
                Some(Vec::new())
            }
            Err(_) => {
                tracing::warn!("the links of wasmCloud v1's hosts cannot be read in time");
                Some(Vec::new())
            }
        }
    }
}

/// Why the links that v1's hosts have cannot be read.
#[derive(Debug, thiserror::Error)]
enum LinksError {
    #[error(transparent)]
    Bucket(#[from] KeyValueError),
    #[error(transparent)]
    Keys(#[from] kv::HistoryError),
    #[error(transparent)]
    Key(#[from] kv::WatcherError),
    #[error(transparent)]
    Entry(#[from] kv::EntryError),
}

async fn links_of_v1(client: &Client, lattice: &str) -> Result<Option<Vec<Value>>, LinksError> {
    let jetstream = jetstream::new(client.clone());
    let bucket = match jetstream
        .get_key_value(format!("LATTICEDATA_{lattice}"))
        .await
    {
        Ok(bucket) => bucket,
        Err(e) if e.kind() == KeyValueErrorKind::GetBucket => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let keys = bucket.keys().await?;
    let keys: Vec<String> = keys.try_collect().await?;
    let components = keys.into_iter().filter(|key| key.starts_with("COMPONENT_"));
    let specs = stream::iter(components).map(|key| {
        let bucket = &bucket;
        async move { bucket.get(key).await }
    });
    let specs: Vec<_> = specs.buffered(16).try_collect().await?;
    let links = specs.into_iter().flatten().filter_map(|spec| {
        let mut spec: Value = serde_json::from_slice(&spec).ok()?;
        match spec.get_mut("links")?.take() {
            Value::Array(links) => Some(links),
            _ => None,
        }
    });
    Ok(Some(links.flatten().collect()))
}

/// The answer to a request that was served.
fn done(response: Value) -> Value {
    json!({ "success": true, "message": "", "response": response })
}

/// The id of a host for v1, where it is the public key of a server: always the same for the same host.
fn host_key(id: &str) -> Result<String, nkeys::error::Error> {
    let seed = Sha256::digest(id.as_bytes()).into();
    let pair = KeyPair::new_from_raw(KeyPairType::Server, seed)?;
    Ok(pair.public_key())
}

/// A time as people say it: `3h 5m`.
fn human(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_by_package() {
        let interfaces = [
            "wasi:keyvalue/store@0.2.0-draft",
            "a:b/c",
            "wasi:keyvalue/atomics@0.2.0-draft",
            "no-package",
        ];
        let links = LinkState::of("shop-cart", "shop-kv", "cache", interfaces);
        let told: Vec<_> = (links.iter())
            .map(|l| format!("{}:{} {:?}", l.wit_namespace, l.wit_package, l.interfaces))
            .collect();
        assert_eq!(
            told,
            ["a:b [\"c\"]", "wasi:keyvalue [\"store\", \"atomics\"]"]
        );
    }

    #[test]
    fn a_host_has_the_key_of_a_server() {
        let key = host_key("0123456789abcdef0123").unwrap();
        assert!(key.starts_with('N') && key.len() == 56, "{key}");
        assert_eq!(key, host_key("0123456789abcdef0123").unwrap());
        assert_ne!(key, host_key("0123456789abcdef0124").unwrap());
    }

    #[test]
    fn times_are_as_people_say_them() {
        let times = [7, 65, 3_900, 90_000].map(|s| human(Duration::from_secs(s)));
        assert_eq!(times, ["7s", "1m 5s", "1h 5m", "1d 1h"]);
    }
}
