//! The lattice on NATS: any number of machines.
//!
//! Messages and requests are core NATS; entries, leases and blobs are in JetStream. Every client that may
//! use the lattice's buckets and subjects ([`names`]) is a member of the lattice: NATS's own authorisation
//! decides this, and nothing else.

mod blobs;
mod bucket;
mod connect;
mod messages;
mod open;
mod options;
mod pieces;
mod watch;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream;
use async_trait::async_trait;
use blobs::{BlobRecord, Blobs};
use bucket::{Bucket, Kept};
use bytes::Bytes;
use connect::Signals;
use open::time_for;
use pieces::PieceStore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use watch::{Leases, Values, Watching};

pub use options::{Auth, Options, Secret, Tls, Urls};

use crate::backlog::{Changes, Recent};
use crate::error::{Refused, Unreachable};
use crate::feed::Feed;
use crate::value::{self, Packed};
use crate::{
    BlobError, Entry, Expect, Lattice, LatticeError, Messages, Requests, Watch, digest, keys, names,
};

/// The wait after a failure before the buckets are checked again.
const AGAIN: Duration = Duration::from_millis(200);

/// How often a blob is read again that was replaced while it was read.
const READS: usize = 8;

/// A lattice on NATS, as one of its members has it. Dropped, its watches and what it serves end.
pub struct Nats {
    name: String,
    timeout: Duration,
    lease: Duration,
    client: Client,
    signals: Arc<Signals>,
    entries: Arc<Bucket>,
    leases: Arc<Bucket>,
    pieces: Arc<PieceStore>,
    blobs: Arc<Blobs>,
    /// Watches, listeners and servers, and what sees to the buckets.
    tasks: Mutex<JoinSet<()>>,
}

impl Nats {
    /// Joins a lattice; makes its buckets if they are not there.
    ///
    /// # Errors
    ///
    /// [`LatticeError::Invalid`] if the options cannot be used, [`LatticeError::Refused`] if the server does
    /// not let us, [`LatticeError::Unreachable`] if none answers for as long as the options say.
    pub async fn connect(options: Options) -> Result<Self, LatticeError> {
        keys::check_name("lattice", &options.lattice)?;
        let (client, signals) = connect::connect(&options).await?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(options.timeout);
        let name = options.lattice;
        let open = async {
            let entries = names::entries_bucket(&name);
            let leases = names::leases_bucket(&name);
            let pieces = PieceStore::open(&jetstream, names::values_bucket(&name)).await?;
            let pieces = Arc::new(pieces);
            Ok((
                Bucket::open(&jetstream, entries, Duration::ZERO, pieces.clone()).await?,
                Bucket::open(&jetstream, leases, options.lease, pieces.clone()).await?,
                pieces,
                Blobs::open(&jetstream, names::blobs_bucket(&name), options.max_blob).await?,
            ))
        };
        let (entries, leases, pieces, blobs) = within(&signals, options.timeout, open).await?;
        let lattice = Self {
            timeout: options.timeout,
            lease: options.lease,
            client,
            signals,
            entries: Arc::new(entries),
            leases: Arc::new(leases),
            pieces,
            blobs: Arc::new(blobs),
            tasks: Mutex::default(),
            name,
        };
        lattice.spawn(lattice.see_to_buckets());
        lattice.spawn(lattice.sweep(options.sweep));
        Ok(lattice)
    }

    /// Makes the buckets again whenever the server may have lost them.
    fn see_to_buckets(&self) -> impl Future<Output = ()> + Send + use<> {
        let (entries, leases) = (self.entries.clone(), self.leases.clone());
        let (pieces, blobs) = (self.pieces.clone(), self.blobs.clone());
        let signals = self.signals.clone();
        let limit = self.timeout;
        async move {
            let mut connection = signals.subscribe();
            let mut seen_to = connection.borrow().generation;
            while connection
                .wait_for(|now| now.is_up && now.generation != seen_to)
                .await
                .is_ok()
            {
                let generation = connection.borrow().generation;
                let ensured = within(&signals, limit, async {
                    entries.ensure().await?;
                    leases.ensure().await?;
                    pieces.ensure().await?;
                    blobs.ensure().await
                });
                match ensured.await {
                    Ok(()) => seen_to = generation,
                    Err(e) => {
                        tracing::debug!(error = %e, "cannot see to the lattice's buckets");
                        sleep(AGAIN).await;
                    }
                }
            }
        }
    }

    /// Removes what is left of large values that nobody has any more, again and again.
    fn sweep(&self, every: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (entries, leases) = (self.entries.clone(), self.leases.clone());
        let (pieces, signals) = (self.pieces.clone(), self.signals.clone());
        let limit = self.timeout;
        async move {
            loop {
                // Members are not to do it all at once.
                sleep(every.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
                let named = async {
                    let mut named = entries.named().await?;
                    named.extend(leases.named().await?);
                    Ok(named)
                };
                if let Err(e) = within(&signals, 4 * limit, pieces.sweep(named)).await {
                    tracing::debug!(error = %e, "cannot sweep what is left of values");
                }
            }
        }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, LatticeError>>,
    ) -> Result<T, LatticeError> {
        within(&self.signals, limit, work).await
    }

    async fn get_in(&self, bucket: &Bucket, key: &str) -> Result<Option<Entry>, LatticeError> {
        keys::check(key)?;
        match self.within(self.timeout, bucket.kept(key)).await? {
            Some(kept) => bucket.whole(kept, self.timeout).await,
            None => Ok(None),
        }
    }

    async fn list_in(&self, bucket: &Bucket, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        keys::check_prefix(prefix)?;
        let (there, _) = self.within(self.timeout, bucket.follow(prefix)).await?;
        let mut kept: Vec<Kept> = there.into_iter().filter_map(|seen| seen.entry).collect();
        kept.sort_by(|a, b| a.key.cmp(&b.key));
        let mut entries = Vec::with_capacity(kept.len());
        for kept in kept {
            entries.extend(bucket.whole(kept, self.timeout).await?);
        }
        Ok(entries)
    }

    async fn put_in(
        &self,
        bucket: &Bucket,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        keys::check(key)?;
        keys::check_value(key, &value)?;
        let packed = self.pack(value).await?;
        let limit = self.timeout + time_for(packed.size());
        self.within(limit, bucket.put(key, packed, expect)).await
    }

    async fn blob_record(
        &self,
        digest: &str,
    ) -> Result<Option<Result<BlobRecord, BlobError>>, LatticeError> {
        self.within(self.timeout, self.blobs.record(digest)).await
    }

    async fn pack(&self, value: Bytes) -> Result<Packed, LatticeError> {
        let most = self.pieces.largest();
        if value.len() <= most {
            return Ok(value::pack(value, most));
        }
        let packed = tokio::task::spawn_blocking(move || value::pack(value, most)).await;
        packed.map_err(LatticeError::unreachable)
    }

    fn watch_in(
        &self,
        bucket: &Arc<Bucket>,
        prefix: &str,
        leases: Option<Leases>,
    ) -> Result<Watch, LatticeError> {
        keys::check_prefix(prefix)?;
        let (feed, watch) = Feed::new(Changes::default());
        let watching = Watching {
            bucket: bucket.clone(),
            prefix: prefix.into(),
            feed,
            connection: self.signals.subscribe(),
            timeout: self.timeout,
            leases,
            values: Values::default(),
        };
        self.spawn(watching.run());
        Ok(watch)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// Does something once there is a connection, in time.
async fn within<T>(
    signals: &Signals,
    limit: Duration,
    work: impl Future<Output = Result<T, LatticeError>>,
) -> Result<T, LatticeError> {
    let (refusals, _) = signals.refusals();
    let done = timeout(limit, async {
        let mut connection = signals.subscribe();
        // Commands sent while there is no connection would be kept, and done later when nobody expects it.
        let up = connection.wait_for(|connection| connection.is_up).await;
        up.map_err(|_| Unreachable::Closed)?;
        work.await
    });
    let error = match done.await {
        Ok(Err(LatticeError::Unreachable(why))) => why,
        Ok(result) => return result,
        Err(_) if signals.subscribe().borrow().is_up => Unreachable::NoAnswer(limit),
        Err(_) => Unreachable::Lost,
    };
    // The server says apart from answers what it does not allow.
    match signals.refusals() {
        (now, text) if now > refusals => Err(Refused::Server(text).into()),
        _ => Err(error.into()),
    }
}

#[async_trait]
impl Lattice for Nats {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, LatticeError> {
        self.get_in(&self.entries, key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        self.list_in(&self.entries, prefix).await
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, LatticeError> {
        self.put_in(&self.entries, key, value, expect).await
    }

    async fn put_lease(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        self.put_in(&self.leases, key, value, expect).await
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        self.list_in(&self.leases, prefix).await
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<(), LatticeError> {
        keys::check(key)?;
        self.within(self.timeout, self.entries.delete(key, expect))
            .await
    }

    async fn delete_lease(&self, key: &str) -> Result<(), LatticeError> {
        keys::check(key)?;
        self.within(self.timeout, self.leases.delete(key, Expect::Any))
            .await
    }

    async fn watch(&self, prefix: &str) -> Result<Watch, LatticeError> {
        self.watch_in(&self.entries, prefix, None)
    }

    async fn watch_leases(&self, prefix: &str) -> Result<Watch, LatticeError> {
        self.watch_in(&self.leases, prefix, Some(Leases::new(self.lease)))
    }

    async fn put_blob(&self, digest: &str, blob: Bytes) -> Result<(), LatticeError> {
        digest::check(digest, &blob)?;
        // The blob that is there is read to see whether it is whole, and may have to be sent anew.
        let limit = self.timeout + 2 * time_for(blob.len());
        self.within(limit, self.blobs.put(digest, &blob)).await
    }

    async fn blob(&self, digest: &str) -> Result<Option<Bytes>, LatticeError> {
        let mut reads = 0;
        let mut record = self.blob_record(digest).await?;
        loop {
            let read = match record.as_ref() {
                None => return Ok(None),
                Some(Ok(record)) => {
                    let limit = self.timeout + time_for(record.size());
                    self.within(limit, self.blobs.get(digest, record)).await?
                }
                Some(Err(why)) => Err(why.clone()),
            };
            let why = match read {
                Ok(blob) => return Ok(Some(blob)),
                Err(why) => why,
            };
            reads += 1;
            // A writer that replaces a blob removes its chunks.
            let now = self.blob_record(digest).await?;
            let is_same = match (&record, &now) {
                (Some(Ok(before)), Some(Ok(now))) => before == now,
                (_, now) => matches!(now, Some(Err(_))),
            };
            if is_same || reads >= READS {
                return Err(LatticeError::blob(digest, why));
            }
            record = now;
        }
    }

    async fn delete_blob(&self, digest: &str) -> Result<(), LatticeError> {
        self.within(self.timeout, self.blobs.delete(digest)).await
    }

    async fn publish(&self, subject: &str, message: Bytes) -> Result<(), LatticeError> {
        keys::check(subject)?;
        let publish = messages::publish(&self.client, &self.name, subject, message);
        self.within(self.timeout, publish).await
    }

    async fn subscribe(&self, prefix: &str) -> Result<Messages, LatticeError> {
        keys::check_prefix(prefix)?;
        let subscribe = messages::subscribe(&self.client, &self.name, prefix);
        let subscribers = self.within(self.timeout, subscribe).await?;
        let (feed, messages) = Feed::new(Recent::new());
        let prefix = names::message_prefix(&self.name);
        self.spawn(messages::listen(subscribers, prefix, feed));
        Ok(messages)
    }

    async fn request(
        &self,
        subject: &str,
        message: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, LatticeError> {
        keys::check(subject)?;
        let request = messages::request(&self.client, &self.name, subject, message, timeout);
        // The request's own time is up first, which says that it may have been received.
        self.within(timeout + timeout / 8, request).await
    }

    async fn serve(&self, subject: &str) -> Result<Requests, LatticeError> {
        keys::check(subject)?;
        let serve = messages::serve(&self.client, &self.name, subject);
        let subscriber = self.within(self.timeout, serve).await?;
        let (served, requests) = messages::requests();
        let client = self.client.clone();
        self.spawn(messages::answer(client, subject.into(), subscriber, served));
        Ok(requests)
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    fn nats(&self) -> Option<Client> {
        Some(self.client.clone())
    }
}
