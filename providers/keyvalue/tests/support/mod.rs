//! A component's side of a link: calls in the interfaces' own types.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use withe_provider::codec::{ByteList, Decode, DecodeError, Encode, Handle, Reader};
use withe_provider::{
    Call, CallError, ConfigMap, FunctionName, Link, LinkId, Payload, Peer, Provider,
};
use withe_provider_keyvalue::KeyValue;

/// Longer than any call should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const FUNCTIONS: [(&str, &str); 13] = [
    ("store", "open"),
    ("store", "[method]bucket.get"),
    ("store", "[method]bucket.set"),
    ("store", "[method]bucket.delete"),
    ("store", "[method]bucket.exists"),
    ("store", "[method]bucket.list-keys"),
    ("atomics", "increment"),
    ("batch", "get-many"),
    ("batch", "set-many"),
    ("batch", "delete-many"),
    ("atomics", "[static]cas.new"),
    ("atomics", "[method]cas.current"),
    ("atomics", "swap"),
];

/// `store.error`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Other(pub(crate) String);

impl Decode for Other {
    const MIN_BYTES: usize = 2;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        assert_eq!(r.case(3)?, 2, "only `other` is ever returned");
        Decode::decode(r).map(Self)
    }
}

/// `atomics.cas-error`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CasError {
    Store(Other),
    Failed(Handle),
}

impl Decode for CasError {
    const MIN_BYTES: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if r.case(2)? == 0 {
            Self::Store(Other::decode(r)?)
        } else {
            Self::Failed(Handle::decode(r)?)
        })
    }
}

/// A map of configuration.
pub(crate) fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// A link from a component that imports all of draft `version`.
pub(crate) fn link(id: u64, version: &str, pairs: &[(&str, &str)]) -> Link {
    let second = version == "0.2.0-draft2";
    let functions: Vec<_> = FUNCTIONS
        .iter()
        .take(if second { FUNCTIONS.len() } else { 10 })
        .map(|(interface, function)| FunctionName {
            interface: format!("wasi:keyvalue/{interface}@{version}"),
            function: (*function).into(),
        })
        .collect();
    Link {
        id: LinkId(id),
        name: "default".into(),
        application: "app".into(),
        component: format!("c{id}"),
        config: config(pairs),
        peer: Peer::Importer(functions.into()),
    }
}

/// A component that is linked to a provider.
#[derive(Clone)]
pub(crate) struct Component {
    pub(crate) provider: Arc<KeyValue>,
    pub(crate) link: LinkId,
    /// How long it waits.
    pub(crate) patience: Duration,
}

impl Component {
    /// One that is linked, as `link`, to a provider of its own.
    pub(crate) async fn linked(link: Link) -> Self {
        let provider = Arc::new(KeyValue::new(ConfigMap::new()));
        provider.start().await.unwrap();
        let component = Self {
            provider,
            link: link.id,
            patience: PATIENCE,
        };
        component.provider.link_put(link).await.unwrap();
        component
    }

    pub(crate) async fn call<R: Decode>(
        &self,
        function: &str,
        params: impl Encode,
    ) -> Result<R, CallError> {
        let call = Call {
            link: self.link,
            function: FUNCTIONS
                .iter()
                .position(|(_, f)| f.ends_with(function))
                .unwrap(),
            params: Payload::of(&params),
            deadline: Instant::now() + self.patience,
            caller: "c",
            trace: None,
        };
        Ok(self.provider.call(call).await?.read().unwrap())
    }

    async fn ask<R: Decode>(&self, function: &str, params: impl Encode) -> Result<R, Other> {
        self.call(function, params).await.unwrap()
    }

    pub(crate) async fn open(&self, bucket: &str) -> Handle {
        self.ask("open", (bucket,)).await.unwrap()
    }

    pub(crate) async fn get(&self, bucket: Handle, key: &str) -> Result<Option<Vec<u8>>, Other> {
        Ok(self
            .ask::<Option<ByteList>>(".get", (bucket, key))
            .await?
            .map(|v| v.0))
    }

    pub(crate) async fn set(&self, bucket: Handle, key: &str, value: &str) -> Result<(), Other> {
        self.ask(".set", (bucket, key, ByteList(value.into())))
            .await
    }

    pub(crate) async fn delete(&self, bucket: Handle, key: &str) -> Result<(), Other> {
        self.ask(".delete", (bucket, key)).await
    }

    pub(crate) async fn exists(&self, bucket: Handle, key: &str) -> Result<bool, Other> {
        self.ask(".exists", (bucket, key)).await
    }

    pub(crate) async fn increment(&self, bucket: Handle, key: &str, by: u64) -> Result<u64, Other> {
        self.ask("increment", (bucket, key, by)).await
    }

    pub(crate) async fn increment_signed(
        &self,
        bucket: Handle,
        key: &str,
        by: i64,
    ) -> Result<i64, Other> {
        self.ask("increment", (bucket, key, by)).await
    }

    pub(crate) async fn list<C: Encode + Decode>(
        &self,
        bucket: Handle,
        cursor: Option<C>,
    ) -> Result<(Vec<String>, Option<C>), Other> {
        self.ask("list-keys", (bucket, cursor)).await
    }

    /// All keys, sorted.
    pub(crate) async fn keys(&self, bucket: Handle) -> Vec<String> {
        let mut keys = Vec::new();
        let mut cursor: Option<u64> = None;
        loop {
            let (page, next) = self.list(bucket, cursor).await.unwrap();
            keys.extend(page);
            cursor = next;
            if cursor.is_none() {
                keys.sort();
                return keys;
            }
        }
    }

    pub(crate) async fn set_many(
        &self,
        bucket: Handle,
        pairs: &[(String, String)],
    ) -> Result<(), Other> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| (k.as_str(), ByteList(v.clone().into())))
            .collect();
        self.ask("set-many", (bucket, pairs)).await
    }

    pub(crate) async fn delete_many(&self, bucket: Handle, keys: &[String]) -> Result<(), Other> {
        self.ask("delete-many", (bucket, keys.to_vec())).await
    }
}

/// Waits until something is so.
pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(Instant::now() < give_up, "it did not come to be so");
    }
}
