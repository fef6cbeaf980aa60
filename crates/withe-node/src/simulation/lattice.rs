//! The lattice of a simulation: an embedded one, behind a connection that delays, is cut, and loses answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fastrand::Rng;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use withe_lattice::error::Unreachable;
use withe_lattice::{
    Change, Embedded, Entry, Expect, LEASE, Lattice, LatticeError, Messages, Requests, Watch,
};

/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(2);
/// The longest way to the lattice or back, in milliseconds: most are far shorter.
const LONGEST_WAY: u64 = 400;

/// The store of the lattice's data, which can lose them.
pub(super) struct Store {
    kept: watch::Sender<Generation>,
    rng: Mutex<Rng>,
}

/// The data kept between two losses.
#[derive(Clone)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) lattice: Embedded,
    /// The keys of entries that were removed.
    removed: BTreeSet<String>,
}

impl Generation {
    fn new(number: u64) -> Self {
        Self {
            number,
            lattice: Embedded::in_memory("simulated").unwrap(),
            removed: BTreeSet::new(),
        }
    }
}

impl Store {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            kept: watch::channel(Generation::new(0)).0,
            rng: Mutex::new(Rng::with_seed(seed)),
        })
    }

    /// Loses all data.
    pub(super) fn lose(&self) {
        self.kept
            .send_modify(|kept| *kept = Generation::new(kept.number + 1));
    }

    /// The current generation, and each one after a loss.
    pub(super) fn kept(&self) -> watch::Receiver<Generation> {
        self.kept.subscribe()
    }

    fn lattice(&self) -> Embedded {
        self.kept.borrow().lattice.clone()
    }

    /// The time on the way to the lattice, or back.
    fn way(&self) -> Duration {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let most = if rng.u8(..8) == 0 { LONGEST_WAY } else { 10 };
        Duration::from_millis(rng.u64(..most))
    }
}

/// The lattice as one member has it.
pub(super) struct Member {
    store: Arc<Store>,
    connected: watch::Sender<bool>,
}

impl Member {
    pub(super) fn new(store: &Arc<Store>) -> Arc<Self> {
        Arc::new(Self {
            store: store.clone(),
            connected: watch::channel(true).0,
        })
    }

    /// Cuts or mends the connection.
    pub(super) fn connect(&self, connected: bool) {
        self.connected.send_replace(connected);
    }

    /// Asks the lattice. One who is cut off meanwhile does not know whether it was done.
    async fn ask<T, F>(&self, ask: impl FnOnce(Embedded) -> F) -> Result<T, LatticeError>
    where
        F: Future<Output = Result<T, LatticeError>>,
    {
        sleep(self.store.way()).await;
        if !*self.connected.borrow() {
            sleep(ANSWER).await;
            return Err(Unreachable::NoAnswer(ANSWER).into());
        }
        let answer = ask(self.store.lattice()).await;
        sleep(self.store.way()).await;
        match *self.connected.borrow() {
            true => answer,
            false => Err(Unreachable::Lost.into()),
        }
    }

    fn watched(&self, prefix: &str, kind: Kind) -> Watch {
        let (sender, watch) = mpsc::channel(16);
        let carrier = Carrier {
            store: self.store.clone(),
            connected: self.connected.subscribe(),
            prefix: prefix.to_owned(),
            kind,
            known: BTreeMap::new(),
            sender,
        };
        tokio::spawn(carrier.run());
        watch
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entries,
    Leases,
}

/// Carries a watch over losses of the connection and of the data, as [`Lattice::watch`] says.
struct Carrier {
    store: Arc<Store>,
    connected: watch::Receiver<bool>,
    prefix: String,
    kind: Kind,
    /// The keys there that the reader knows of, with the end of each lease that was not seen since the connection was
    /// lost.
    known: BTreeMap<String, Option<Instant>>,
    sender: mpsc::Sender<Change>,
}

/// The reader has gone.
struct Unread;

impl Carrier {
    async fn run(mut self) {
        let closed = self.sender.clone();
        tokio::select! {
            Err(Unread) = self.carry() => {}
            () = closed.closed() => {}
        }
    }

    async fn carry(&mut self) -> Result<(), Unread> {
        loop {
            // The sender of it lives as long as the member, and with it the reader.
            _ = self.connected.wait_for(|connected| *connected).await;
            let mut kept = self.store.kept();
            let (number, lattice) = {
                let now = kept.borrow_and_update();
                (now.number, now.lattice.clone())
            };
            let watch = match self.kind {
                Kind::Entries => lattice.watch(&self.prefix).await,
                Kind::Leases => lattice.watch_leases(&self.prefix).await,
            };
            let mut connected = self.connected.clone();
            tokio::select! {
                told = self.tell(watch.unwrap()) => told?,
                _ = connected.wait_for(|connected| !*connected) => {}
                _ = kept.wait_for(|now| now.number != number) => {}
            }
        }
    }

    /// Tells what comes, while there is a connection.
    async fn tell(&mut self, mut watch: Watch) -> Result<(), Unread> {
        let mut there = BTreeSet::new();
        let mut synced = false;
        loop {
            let out = self.known.values().flatten().min().copied();
            let change = tokio::select! {
                change = watch.recv() => change,
                () = sleep_until(out.unwrap_or_else(Instant::now)), if out.is_some() => {
                    self.run_out().await?;
                    continue;
                }
            };
            sleep(self.store.way()).await;
            let Some(change) = change else { return Ok(()) };
            match &change {
                Change::Put(entry) => {
                    there.insert(entry.key.clone());
                    self.known.insert(entry.key.clone(), None);
                }
                Change::Gone { key } => drop(self.known.remove(key)),
                Change::Synced if !synced => {
                    synced = true;
                    self.tell_missing(&there).await?;
                }
                Change::Lost { .. } | Change::Synced => {}
            }
            self.sender.send(change).await.map_err(|_| Unread)?;
        }
    }

    /// Tells what went while nobody could be told.
    async fn tell_missing(&mut self, there: &BTreeSet<String>) -> Result<(), Unread> {
        let missing: Vec<String> = (self.known.keys())
            .filter(|key| !there.contains(*key))
            .cloned()
            .collect();
        for key in missing {
            if self.kind == Kind::Leases {
                self.known.insert(key, Some(Instant::now() + LEASE));
                continue;
            }
            self.known.remove(&key);
            let change = match self.store.kept.borrow().removed.contains(&key) {
                true => Change::Gone { key },
                false => Change::Lost { key },
            };
            self.sender.send(change).await.map_err(|_| Unread)?;
        }
        Ok(())
    }

    /// Tells that leases are gone which nobody has renewed in time.
    async fn run_out(&mut self) -> Result<(), Unread> {
        let now = Instant::now();
        let out = self
            .known
            .extract_if(.., |_, until| until.is_some_and(|until| until <= now));
        for key in out.map(|(key, _)| key).collect::<Vec<_>>() {
            let gone = Change::Gone { key };
            self.sender.send(gone).await.map_err(|_| Unread)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Lattice for Member {
    fn name(&self) -> &str {
        "simulated"
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, LatticeError> {
        self.ask(|lattice| async move { lattice.get(key).await })
            .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        self.ask(|lattice| async move { lattice.list(prefix).await })
            .await
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, LatticeError> {
        let put = |lattice: Embedded| async move {
            let revision = lattice.put(key, value, expect).await?;
            (self.store.kept).send_if_modified(|kept| {
                kept.removed.remove(key);
                false
            });
            Ok(revision)
        };
        self.ask(put).await
    }

    async fn put_lease(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<u64, LatticeError> {
        self.ask(|lattice| async move { lattice.put_lease(key, value, expect).await })
            .await
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Entry>, LatticeError> {
        self.ask(|lattice| async move { lattice.leases(prefix).await })
            .await
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<(), LatticeError> {
        let delete = |lattice: Embedded| async move {
            lattice.delete(key, expect).await?;
            (self.store.kept).send_if_modified(|kept| {
                kept.removed.insert(key.to_owned());
                false
            });
            Ok(())
        };
        self.ask(delete).await
    }

    async fn delete_lease(&self, key: &str) -> Result<(), LatticeError> {
        self.ask(|lattice| async move { lattice.delete_lease(key).await })
            .await
    }

    async fn watch(&self, prefix: &str) -> Result<Watch, LatticeError> {
        Ok(self.watched(prefix, Kind::Entries))
    }

    async fn watch_leases(&self, prefix: &str) -> Result<Watch, LatticeError> {
        Ok(self.watched(prefix, Kind::Leases))
    }

    async fn put_blob(&self, digest: &str, blob: Bytes) -> Result<(), LatticeError> {
        self.ask(|lattice| async move { lattice.put_blob(digest, blob).await })
            .await
    }

    async fn blob(&self, digest: &str) -> Result<Option<Bytes>, LatticeError> {
        self.ask(|lattice| async move { lattice.blob(digest).await })
            .await
    }

    async fn delete_blob(&self, digest: &str) -> Result<(), LatticeError> {
        self.ask(|lattice| async move { lattice.delete_blob(digest).await })
            .await
    }

    async fn publish(&self, subject: &str, message: Bytes) -> Result<(), LatticeError> {
        self.ask(|lattice| async move { lattice.publish(subject, message).await })
            .await
    }

    async fn subscribe(&self, prefix: &str) -> Result<Messages, LatticeError> {
        self.store.lattice().subscribe(prefix).await
    }

    async fn request(
        &self,
        subject: &str,
        message: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, LatticeError> {
        self.ask(|lattice| async move { lattice.request(subject, message, timeout).await })
            .await
    }

    async fn serve(&self, subject: &str) -> Result<Requests, LatticeError> {
        self.store.lattice().serve(subject).await
    }

    fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    fn nats(&self) -> Option<async_nats::Client> {
        None
    }

    fn is_shared(&self) -> bool {
        true
    }
}
