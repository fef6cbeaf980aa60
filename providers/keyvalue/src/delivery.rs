//! The task of a link whose component is told of changes.
//!
//! A bounded number of calls is under way at a time, and never two about one key: so a component that is told of a key
//! has been told what it was before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use withe_provider::{BackOff, CallContext, CallError, Callee, Link};

use crate::changes::{ChangedKeys, Watch};
use crate::config::WatchConfig;
use crate::store::{Store, StoreError};
use crate::wit::wasi::{keyvalue_0_2_0_draft as draft, keyvalue_0_2_0_draft2 as draft2};

/// How long it is waited before a value is read again that could not be read: at first, and at most.
const AGAIN: BackOff = BackOff {
    first: Duration::from_millis(50),
    most: Duration::from_secs(5),
};

/// A link whose component is told of changes. Dropped, it ends at once.
pub(crate) struct WatchedLink {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
    /// For as long as it is watched.
    pub(crate) store: Arc<dyn Store>,
}

/// The component's `watcher`, in one of the drafts.
enum Client {
    First(draft::watcher::Client),
    Second(draft2::watcher::Client),
}

impl Client {
    /// The interface of a component, the second draft's if it has both.
    fn of(callee: &Callee) -> Option<Self> {
        let second = draft2::watcher::Client::of(callee).map(Self::Second);
        second.or_else(|| draft::watcher::Client::of(callee).map(Self::First))
    }

    async fn tell(
        &self,
        cx: CallContext,
        bucket: String,
        key: String,
        value: Option<Vec<u8>>,
    ) -> Result<(), CallError> {
        match (self, value) {
            (Self::First(client), Some(value)) => client.on_set(cx, bucket, key, value).await,
            (Self::First(client), None) => client.on_delete(cx, bucket, key).await,
            (Self::Second(client), Some(value)) => client.on_set(cx, bucket, key, value).await,
            (Self::Second(client), None) => client.on_delete(cx, bucket, key).await,
        }
    }
}

/// The task that tells a component.
struct Teller {
    store: Arc<dyn Store>,
    bucket: String,
    changed: Arc<ChangedKeys>,
    component: String,
    link: String,
    client: Client,
    /// The longest that a call may take.
    timeout: Duration,
    /// How many calls are under way at a time.
    at_once: usize,
    stop: CancellationToken,
}

/// A link cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    #[error("`{0}` exports no `wasi:keyvalue/watcher`, which is told of changes")]
    NoWatcher(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WatchedLink {
    /// Watches `bucket`, and tells the component at the other end of the link.
    ///
    /// # Errors
    ///
    /// If the component cannot be told, or the store does not tell.
    pub(crate) async fn start(
        link: &Link,
        callee: &Callee,
        store: Arc<dyn Store>,
        bucket: String,
        config: WatchConfig,
    ) -> Result<Self, WatchError> {
        let client =
            Client::of(callee).ok_or_else(|| WatchError::NoWatcher(link.component.clone()))?;
        let changed = Arc::new(ChangedKeys::new(config.keys));
        let watch = store.watch(&bucket, changed.clone()).await?;
        let stop = CancellationToken::new();
        let teller = Teller {
            store: store.clone(),
            bucket,
            changed,
            component: link.component.clone(),
            link: link.name.clone(),
            client,
            timeout: config.timeout,
            at_once: config.at_once,
            stop: stop.clone(),
        };
        let task = tokio::spawn(Arc::new(teller).run(watch));
        Ok(Self {
            stop,
            task: AbortOnDropHandle::new(task),
            store,
        })
    }

    /// Watches no longer, and waits until the component was told of what has changed, at most `grace`.
    pub(crate) async fn stop(self, grace: Duration) {
        self.stop.cancel();
        if timeout(grace, self.task).await.is_err() {
            tracing::warn!(
                "a component was not told of all changes in time; the rest was dropped when its link ended"
            );
        }
    }
}

impl Teller {
    /// Tells of what changes, until it is told to stop and all that had changed by then was told.
    async fn run(self: Arc<Self>, watch: Watch) {
        let mut watch = Some(watch);
        let mut calls = JoinSet::new();
        let mut busy: HashMap<Id, String> = HashMap::new();
        loop {
            while calls.len() < self.at_once
                && let Some(key) = self
                    .changed
                    .take(|key| busy.values().any(|other| other == key))
            {
                let call = calls.spawn(self.clone().tell(key.clone()));
                busy.insert(call.id(), key);
            }
            self.say_lost();
            // Without a watch no key is added, and with no call under way none is busy: if there is no call now, all keys
            // were taken. So there always is one below that is waited for.
            if watch.is_none() && calls.is_empty() && self.changed.is_empty() {
                return;
            }
            tokio::select! {
                () = self.stop.cancelled(), if watch.is_some() => watch = None,
                Some(ended) = calls.join_next_with_id() => {
                    let id = ended.map_or_else(|e| e.id(), |(id, ())| id);
                    busy.remove(&id);
                }
                () = self.changed.news(), if watch.is_some() => {}
            }
        }
    }

    fn say_lost(&self) {
        let Self {
            component, link, ..
        } = self;
        let lost = self.changed.take_lost();
        if lost > 0 {
            tracing::warn!(
                component,
                link,
                "{lost} changes are not told: too many keys wait for the component already"
            );
        }
    }

    /// Tells of a key as it is now.
    async fn tell(self: Arc<Self>, key: String) {
        let Some(value) = self.value(&key).await else {
            return;
        };
        let is_wanted = match value {
            Some(_) => self.changed.tells_set(&key),
            None => self.changed.tells_deleted(&key),
        };
        if !is_wanted {
            return;
        }
        let context = CallContext {
            deadline: Instant::now() + self.timeout,
            trace: None,
        };
        let bucket = self.bucket.clone();
        let told = self.client.tell(context, bucket, key.clone(), value).await;
        if let Err(why) = told {
            let Self {
                component, link, ..
            } = &*self;
            tracing::warn!(
                component,
                link,
                key,
                "the component was not told of a change: {why}"
            );
        }
    }

    /// The value of a key now; `None` if it could not be read before the link ended.
    async fn value(&self, key: &str) -> Option<Option<Vec<u8>>> {
        let mut failures = 0;
        loop {
            let reading = self.store.get(&self.bucket, vec![key.to_owned()]);
            let read = timeout(self.timeout, reading).await;
            let why = match read.unwrap_or(Err(StoreError::Late)) {
                // As many values come back as keys are asked for.
                Ok(mut values) => return Some(values.pop().flatten()),
                Err(why) => why,
            };
            failures += 1;
            if failures == 1 {
                let Self {
                    component, link, ..
                } = self;
                tracing::warn!(
                    component,
                    link,
                    key,
                    "a key has changed, and cannot be read; it is tried again: {why}"
                );
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = sleep(AGAIN.after(failures)) => {}
            }
        }
    }
}
