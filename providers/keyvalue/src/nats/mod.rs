//! A bucket of NATS.
//!
//! A bucket of NATS is a stream that keeps the latest message of each subject: [`subject`] says which subject a key has.
//! Adding and swapping read an entry and write it if it is still the same, again and again until it is; those of one
//! process wait for each other, so that they do not go on at each other's cost. Many keys are written in one batch, which
//! servers take whole or not at all since version 2.12.

mod subject;
mod watch;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, RequestErrorKind};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use withe_provider::nats::{NatsAccess, NatsConnectError};

use crate::changes::{ChangedKeys, Watch};
use crate::store::{PAGE, Store, StoreError, add};
use subject::{Found, Place, Subjects, inside};

/// The beginning of cursors of this store.
const FROM: &str = "from:";
/// Reads of one call under way at a time.
const READS: usize = 32;
/// The most messages that servers take as one batch.
const BATCH: usize = 1000;
/// The room in a message for subject and headers, besides the value.
const OVERHEAD: usize = 4096;
/// How long the mark of a key that was removed stays, for those who watch.
const MARK: &str = "1m";
/// The server's code for an entry that is not what was expected.
const WRONG_LAST_SEQUENCE: u64 = 10071;
/// The server's code for a stream that is not there.
const NO_STREAM: u64 = 10059;

/// Where NATS is and how long to wait for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NatsConfig {
    pub(crate) access: NatsAccess,
    /// The bucket of NATS.
    pub(crate) bucket: String,
    /// How many servers keep a bucket that is made.
    pub(crate) replicas: usize,
    /// Longest that connecting may take.
    pub(crate) connect_timeout: Duration,
    /// Longest that an answer may take.
    pub(crate) response_timeout: Duration,
}

/// Checks a URL, or several with commas between them; `Err` says what is expected.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    withe_provider::nats::servers(url).map(drop)
}

/// Checks the name of a bucket of NATS; `Err` says what is expected.
pub(crate) fn check_bucket(name: &str) -> Result<(), &'static str> {
    let taken = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match !name.is_empty() && name.len() <= 200 && name.bytes().all(taken) {
        true => Ok(()),
        false => Err("a name of letters, digits, `-` and `_`"),
    }
}

/// A server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Client(#[from] NatsConnectError),
    #[error("NATS at `{address}` has no bucket `{bucket}` for this: {why}")]
    Bucket {
        address: String,
        bucket: String,
        #[source]
        why: NoBucket,
    },
}

/// Why there is no bucket of NATS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoBucket {
    #[error("{0}; is JetStream on (`nats-server -js`)?")]
    Request(#[source] jetstream::context::RequestError),
    #[error("{0}")]
    Refused(String),
    #[error("the server cannot write several keys at once; it must be NATS 2.12 or newer")]
    TooOld,
    #[error(
        "it keeps {0} values of each key, and has to keep one; make another (`nats kv add --history 1`)"
    )]
    History(i64),
    #[error("{0}")]
    Stream(#[source] jetstream::context::GetStreamError),
}

/// A bucket of NATS.
pub(crate) struct NatsStore {
    client: Client,
    context: Context,
    stream: Stream,
    /// The beginning of the bucket's subjects.
    prefix: String,
    address: String,
    /// Longest that one request may take.
    limit: Duration,
    /// The calls that change what they have read, by subject.
    changing: Vec<Mutex<()>>,
    hasher: RandomState,
}

/// The message at a subject.
struct Entry {
    /// The number of its message; 0 if there was none.
    sequence: u64,
    value: Option<Bytes>,
}

/// The server's answer to a message that is to be stored.
#[derive(Deserialize)]
struct Ack {
    error: Option<ApiError>,
    #[serde(default)]
    batch: Option<String>,
}

/// An error of JetStream.
#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl NatsStore {
    /// Connects, and makes the bucket if it is not there.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or cannot keep the bucket, in words that say where and why.
    pub(crate) async fn connect(config: &NatsConfig) -> Result<Self, ConnectError> {
        let options = ConnectOptions::new()
            .name("withe keyvalue")
            .connection_timeout(config.connect_timeout)
            .request_timeout(Some(config.response_timeout));
        let client = config.access.connect(options).await?;
        let address = config.access.address();
        let mut context = jetstream::new(client.clone());
        context.set_timeout(config.response_timeout);
        let stream = bucket(&context, config).await;
        let stream = stream.map_err(|why| ConnectError::Bucket {
            address: address.clone(),
            bucket: config.bucket.clone(),
            why,
        })?;
        Ok(Self {
            client,
            context,
            stream,
            prefix: format!("$KV.{}.", config.bucket),
            address,
            limit: config.response_timeout,
            changing: std::iter::repeat_with(Mutex::default).take(64).collect(),
            hasher: RandomState::new(),
        })
    }

    fn failed(&self, why: impl fmt::Display) -> StoreError {
        StoreError::Failed(format!("NATS at `{}`: {why}", self.address))
    }

    fn lost(&self, why: impl fmt::Display) -> StoreError {
        StoreError::Lost(format!("NATS at `{}`: {why}", self.address))
    }

    fn subjects(&self, bucket: &str) -> Subjects {
        Subjects::of(&self.prefix, bucket)
    }

    /// Waits for others of this process who change the same key.
    async fn turn(&self, place: &Place) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(&place.subject);
        // The remainder is below the number of locks.
        let n = (hash % self.changing.len() as u64) as usize;
        self.changing[n].lock().await
    }

    async fn read(&self, place: &Place) -> Result<Entry, StoreError> {
        let reading = self.stream.get_last_raw_message_by_subject(&place.subject);
        let message = match timeout(self.limit, reading).await {
            Ok(Ok(message)) => message,
            Ok(Err(e)) if e.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(Entry {
                    sequence: 0,
                    value: None,
                });
            }
            Ok(Err(e)) => return Err(self.failed(e)),
            Err(_) => return Err(self.failed(self.no_answer())),
        };
        let value = match is_mark(&message.headers) {
            true => None,
            false if place.named_inside => {
                Some(inside(&message.payload).map_or(Bytes::new(), |(_, value)| value))
            }
            false => Some(message.payload),
        };
        Ok(Entry {
            sequence: message.sequence,
            value,
        })
    }

    fn no_answer(&self) -> String {
        format!("no answer in {} ms", self.limit.as_millis())
    }

    /// The message that keeps a value.
    fn message(&self, place: &Place, key: &str, value: &[u8]) -> Result<Bytes, StoreError> {
        let most = self
            .client
            .server_info()
            .max_payload
            .saturating_sub(OVERHEAD);
        let bytes = value.len() + if place.named_inside { key.len() + 4 } else { 0 };
        if bytes > most {
            let what = "the value";
            return Err(StoreError::TooLarge { what, bytes, most });
        }
        if !place.named_inside {
            return Ok(Bytes::copy_from_slice(value));
        }
        let mut message = BytesMut::with_capacity(bytes);
        // Keys have a bound far below this type's.
        message.put_u32(u32::try_from(key.len()).unwrap_or(u32::MAX));
        message.put(key.as_bytes());
        message.put(value);
        Ok(message.freeze())
    }

    /// Stores a message; returns whether the last one was still `expected`.
    async fn write(
        &self,
        subject: &str,
        mut headers: HeaderMap,
        payload: Bytes,
        expected: Option<u64>,
    ) -> Result<bool, StoreError> {
        if let Some(sequence) = expected {
            headers.insert(
                NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
                sequence.to_string().as_str(),
            );
        }
        let answer = self
            .client
            .request_with_headers(subject.to_owned(), headers, payload)
            .await;
        let ack = self.ack(answer)?;
        match ack.error {
            None => Ok(true),
            Some(error) if error.err_code == WRONG_LAST_SEQUENCE => Ok(false),
            Some(error) => Err(self.failed(error.description)),
        }
    }

    fn ack(
        &self,
        answer: Result<async_nats::Message, async_nats::client::RequestError>,
    ) -> Result<Ack, StoreError> {
        match answer {
            Ok(message) => serde_json::from_slice(&message.payload).map_err(|e| self.lost(e)),
            Err(e) => Err(match e.kind() {
                RequestErrorKind::NoResponders
                | RequestErrorKind::InvalidSubject
                | RequestErrorKind::MaxPayloadExceeded => self.failed(e),
                RequestErrorKind::TimedOut => self.lost(self.no_answer()),
                RequestErrorKind::Other => self.lost(e),
            }),
        }
    }

    /// Stores messages, all or none, as far as one batch has them.
    async fn write_all(&self, messages: Vec<(String, HeaderMap, Bytes)>) -> Result<(), StoreError> {
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            let batch: Vec<_> = messages.by_ref().take(BATCH).collect();
            self.write_batch(batch).await?;
        }
        Ok(())
    }

    async fn write_batch(
        &self,
        mut messages: Vec<(String, HeaderMap, Bytes)>,
    ) -> Result<(), StoreError> {
        let Some((subject, mut headers, payload)) = messages.pop() else {
            return Ok(());
        };
        if messages.is_empty() {
            return self.write(&subject, headers, payload, None).await.map(drop);
        }
        let id = format!("{:032x}", fastrand::u128(..));
        let count = messages.len() + 1;
        let number = |headers: &mut HeaderMap, n: usize| {
            headers.insert("Nats-Batch-Id", id.as_str());
            headers.insert("Nats-Batch-Sequence", n.to_string().as_str());
        };
        for (n, (subject, mut headers, payload)) in messages.into_iter().enumerate() {
            number(&mut headers, n + 1);
            // The server forgets a batch that is not ended; it tells of the first message whether it takes the batch.
            match n {
                0 => {
                    let answer = self
                        .client
                        .request_with_headers(subject, headers, payload)
                        .await;
                    let answer = match answer {
                        Ok(message) if message.payload.is_empty() => continue,
                        other => other,
                    };
                    let refused = self
                        .ack(answer)?
                        .error
                        .map_or_else(String::new, |e| e.description);
                    return Err(self.failed(format!("it takes no batch: {refused}")));
                }
                _ => {
                    let sent = self
                        .client
                        .publish_with_headers(subject, headers, payload)
                        .await;
                    sent.map_err(|e| self.failed(e))?;
                }
            }
        }
        number(&mut headers, count);
        headers.insert("Nats-Batch-Commit", "1");
        let answer = self
            .client
            .request_with_headers(subject, headers, payload)
            .await;
        let ack = self.ack(answer)?;
        match (ack.error, ack.batch) {
            (None, Some(_)) => Ok(()),
            (Some(error), _) => Err(self.failed(error.description)),
            (None, None) => Err(self.lost("it did not take the messages as a batch")),
        }
    }

    /// The keys of entries that say themselves which they are.
    async fn key_inside(&self, subject: &str) -> Result<Option<String>, StoreError> {
        let place = Place {
            subject: subject.to_owned(),
            named_inside: false,
        };
        let entry = self.read(&place).await?;
        Ok(entry
            .value
            .and_then(|value| inside(&value))
            .map(|(key, _)| key))
    }
}

/// Makes the bucket, unless it is there, and has it take batches.
async fn bucket(context: &Context, config: &NatsConfig) -> Result<Stream, NoBucket> {
    let name = format!("KV_{}", config.bucket);
    let ask = async |verb: &str, body: &Value| -> Result<Value, NoBucket> {
        let answer: Value = (context.request(format!("STREAM.{verb}.{name}"), body).await)
            .map_err(NoBucket::Request)?;
        Ok(answer)
    };
    let error = |answer: &Value| -> Option<(u64, String)> {
        let error = answer.get("error")?;
        let code = error.get("err_code").and_then(Value::as_u64).unwrap_or(0);
        let text = error
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Some((code, text.to_owned()))
    };
    let mut answer = ask("INFO", &Value::Null).await?;
    if let Some((NO_STREAM, _)) = error(&answer) {
        let made = json!({
            "name": name, "subjects": [format!("$KV.{}.>", config.bucket)], "max_msgs_per_subject": 1,
            "discard": "new", "allow_rollup_hdrs": true, "deny_delete": true, "allow_direct": true,
            "storage": "file", "num_replicas": config.replicas, "allow_msg_ttl": true, "allow_atomic": true,
        });
        answer = ask("CREATE", &made).await?;
        if error(&answer).is_some() {
            // Another may have made it at the same time.
            let there = ask("INFO", &Value::Null).await?;
            answer = if error(&there).is_none() {
                there
            } else {
                answer
            };
        }
    }
    let is_able = |answer: &Value| {
        let is_on = |key| answer["config"][key] == Value::Bool(true);
        is_on("allow_atomic") && is_on("allow_msg_ttl")
    };
    if error(&answer).is_none() && !is_able(&answer) {
        // One that somebody else made.
        let mut changed = answer["config"].clone();
        changed["allow_atomic"] = true.into();
        changed["allow_msg_ttl"] = true.into();
        answer = ask("UPDATE", &changed).await?;
    }
    if let Some((_, why)) = error(&answer) {
        return Err(NoBucket::Refused(why));
    }
    if !is_able(&answer) {
        return Err(NoBucket::TooOld);
    }
    // Messages from before would be taken for keys that are there.
    match answer["config"]["max_msgs_per_subject"].as_i64() {
        Some(1) => context.get_stream(name).await.map_err(NoBucket::Stream),
        other => Err(NoBucket::History(other.unwrap_or(-1))),
    }
}

/// Whether a message says that its key was removed.
fn is_mark(headers: &HeaderMap) -> bool {
    let operation = headers.get("KV-Operation").map(|value| value.as_str());
    // An expiry is marked by the server itself.
    operation.is_some_and(|operation| operation != "PUT")
        || headers.get("Nats-Marker-Reason").is_some()
}

/// The mark of a key that is removed.
fn mark() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("KV-Operation", "DEL");
    headers.insert("Nats-TTL", MARK);
    headers
}

impl fmt::Debug for NatsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NatsStore").field(&self.address).finish()
    }
}

#[async_trait::async_trait]
impl Store for NatsStore {
    async fn get(
        &self,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let subjects = self.subjects(bucket);
        let places: Vec<_> = keys.iter().map(|key| subjects.place(key)).collect();
        let reads = stream::iter(places).map(async |place| {
            let entry = self.read(&place).await?;
            Ok(entry.value.map(|value| value.to_vec()))
        });
        reads.buffered(READS).try_collect().await
    }

    async fn exists(&self, bucket: &str, key: String) -> Result<bool, StoreError> {
        let entry = self.read(&self.subjects(bucket).place(&key)).await?;
        Ok(entry.value.is_some())
    }

    async fn set(&self, bucket: &str, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        let subjects = self.subjects(bucket);
        // A batch writes a subject once; where a key is there twice, the later one counts.
        let mut messages = indexmap::IndexMap::new();
        for (key, value) in &pairs {
            let place = subjects.place(key);
            let payload = self.message(&place, key, value)?;
            messages.insert(place.subject, payload);
        }
        let messages = messages
            .into_iter()
            .map(|(subject, payload)| (subject, HeaderMap::new(), payload));
        self.write_all(messages.collect()).await
    }

    async fn delete(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError> {
        let subjects = self.subjects(bucket);
        // A batch writes a subject once.
        let mut gone = indexmap::IndexMap::new();
        for key in &keys {
            let place = subjects.place(key);
            // Whoever watches learns from it which key was removed.
            let payload = match place.named_inside {
                true => self.message(&place, key, &[])?,
                false => Bytes::new(),
            };
            gone.insert(place.subject, payload);
        }
        let messages = gone
            .into_iter()
            .map(|(subject, payload)| (subject, mark(), payload));
        self.write_all(messages.collect()).await
    }

    async fn increment(
        &self,
        bucket: &str,
        key: String,
        delta: i64,
        least: i64,
    ) -> Result<i64, StoreError> {
        let place = self.subjects(bucket).place(&key);
        let _turn = self.turn(&place).await;
        loop {
            let Entry { sequence, value } = self.read(&place).await?;
            let sum = add(value.as_deref(), delta, least)?;
            let payload = self.message(&place, &key, sum.to_string().as_bytes())?;
            if self
                .write(&place.subject, HeaderMap::new(), payload, Some(sequence))
                .await?
            {
                return Ok(sum);
            }
        }
    }

    async fn swap(
        &self,
        bucket: &str,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let place = self.subjects(bucket).place(&key);
        let payload = self.message(&place, &key, &value)?;
        let _turn = self.turn(&place).await;
        loop {
            let now = self.read(&place).await?;
            if now.value.as_deref() != expected.as_deref() {
                return Ok(false);
            }
            let (headers, payload) = (HeaderMap::new(), payload.clone());
            if self
                .write(&place.subject, headers, payload, Some(now.sequence))
                .await?
            {
                return Ok(true);
            }
        }
    }

    async fn list(
        &self,
        bucket: &str,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let subjects = self.subjects(bucket);
        // Messages have numbers, and a key that is set again gets a later one: none is passed over.
        let from: u64 = match cursor {
            Some(text) => {
                let number = text
                    .strip_prefix(FROM)
                    .and_then(|number| number.parse().ok());
                number
                    .filter(|number| *number > 0)
                    .ok_or(StoreError::Cursor)?
            }
            None => 1,
        };
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: from,
            },
            ack_policy: AckPolicy::None,
            filter_subject: subjects.filter(),
            headers_only: true,
            memory_storage: true,
            inactive_threshold: Duration::from_secs(5),
            num_replicas: 1,
            ..Default::default()
        };
        let listing = async {
            let consumer = self
                .stream
                .create_consumer(config)
                .await
                .map_err(|e| self.failed(e))?;
            let fetch = consumer.fetch().max_messages(PAGE).messages().await;
            let mut messages = fetch.map_err(|e| self.failed(e))?;
            let (mut keys, mut inside, mut next) = (Vec::new(), Vec::new(), None);
            while let Some(message) = messages.next().await {
                let message = message.map_err(|e| self.failed(e))?;
                let info = message.info().map_err(|e| self.failed(e))?;
                next = (info.pending > 0).then_some(info.stream_sequence + 1);
                if message.headers.as_ref().is_some_and(is_mark) {
                    continue;
                }
                match subjects.key_of(&message.subject) {
                    Found::Key(key) => keys.push(key),
                    Found::Inside => inside.push(message.subject.to_string()),
                    Found::Other => {}
                }
            }
            let name = consumer.cached_info().name.clone();
            // The consumer goes by itself a little later.
            let _ = self.stream.delete_consumer(&name).await;
            let named = stream::iter(inside).map(async |subject| self.key_inside(&subject).await);
            let named: Vec<_> = named.buffered(READS).try_collect().await?;
            keys.extend(named.into_iter().flatten());
            Ok((keys, next.map(|next| format!("{FROM}{next}"))))
        };
        match timeout(self.limit * 5, listing).await {
            Ok(page) => page,
            Err(_) => Err(self.failed(self.no_answer())),
        }
    }

    async fn watch(&self, bucket: &str, changed: Arc<ChangedKeys>) -> Result<Watch, StoreError> {
        let info = timeout(self.limit, self.stream.get_info()).await;
        let info = info.map_err(|_| self.failed(self.no_answer()))?;
        let listener = watch::Listener {
            stream: self.stream.clone(),
            subjects: self.subjects(bucket),
            address: self.address.clone(),
            limit: self.limit,
            changed,
            last: info.map_err(|e| self.failed(e))?.state.last_sequence,
        };
        listener.watch().await.map_err(|e| self.failed(e))
    }

    async fn check(&self) -> Result<(), StoreError> {
        let asked = self
            .context
            .get_stream(&self.stream.cached_info().config.name)
            .await;
        asked.map(drop).map_err(|e| self.failed(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_nats_have_simple_names() {
        assert_eq!(check_bucket("a-b_C9"), Ok(()));
        for name in ["", "a.b", "a b", "ß"] {
            assert!(check_bucket(name).is_err(), "{name}");
        }
    }
}
