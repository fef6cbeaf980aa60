//! Stores of all backends, and what tests do with them.
#![allow(dead_code, reason = "each test uses a part")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use withe_provider::{
    BlobError, BlobStore, Body, CallContext, ConfigMap, HttpError, Link, LinkId, ObjectId, Peer,
    Provider as _,
};
use withe_provider_blobstore::Blobs;
use withe_testing::nats::NatsServer;
use withe_testing::seaweedfs::{ACCESS_KEY, SECRET_KEY, SeaweedServer};

/// Long enough for anything that ends at all.
pub(crate) const AGES: Duration = Duration::from_secs(120);

pub(crate) fn context() -> CallContext {
    CallContext {
        deadline: Instant::now() + AGES,
        trace: None,
    }
}

pub(crate) fn id(container: &str, object: &str) -> ObjectId {
    ObjectId {
        container: container.into(),
        object: object.into(),
    }
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(text).collect()
}

/// A provider with one link, which has this configuration.
pub(crate) async fn linked(config: ConfigMap) -> Result<(Blobs, Arc<dyn BlobStore>), String> {
    let provider = Blobs::new(ConfigMap::new());
    provider.start().await.unwrap();
    let link = Link {
        id: LinkId(1),
        name: "default".into(),
        application: "app".into(),
        component: "shelf".into(),
        config,
        peer: Peer::Importer(Arc::new([])),
    };
    provider
        .link_put(link)
        .await
        .map_err(|why| why.to_string())?;
    let store = provider.blob_store(LinkId(1)).unwrap();
    Ok((provider, store))
}

/// A backend to test, and what it lives in.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) store: Arc<dyn BlobStore>,
    _provider: Blobs,
    _folder: Option<tempfile::TempDir>,
    _nats: Option<NatsServer>,
    _seaweed: Option<Arc<SeaweedServer>>,
}

impl Backend {
    async fn new(name: &'static str, config: &[(&str, &str)]) -> Self {
        let (provider, store) = linked(map(config)).await.unwrap();
        Self {
            name,
            store,
            _provider: provider,
            _folder: None,
            _nats: None,
            _seaweed: None,
        }
    }

    pub(crate) async fn memory() -> Self {
        Self::new("memory", &[("max_bytes", "100000000")]).await
    }

    pub(crate) async fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("objects").display().to_string();
        Self {
            _folder: Some(folder),
            ..Self::new("folder", &[("root", &root)]).await
        }
    }

    pub(crate) async fn nats() -> Self {
        let server = NatsServer::start().unwrap();
        let url = server.url();
        Self {
            _nats: Some(server),
            ..Self::new("nats", &[("url", &url)]).await
        }
    }

    /// With a bucket for each container, or one for all.
    pub(crate) async fn s3(server: &Arc<SeaweedServer>, bucket: Option<&str>) -> Self {
        let endpoint = server.endpoint();
        let mut config = vec![
            ("backend", "s3"),
            ("endpoint", &*endpoint),
            ("access_key_id", ACCESS_KEY),
            ("secret_access_key", SECRET_KEY),
        ];
        config.extend(bucket.map(|bucket| ("bucket", bucket)));
        let name = match bucket {
            Some(_) => "s3 in one bucket",
            None => "s3",
        };
        Self {
            _seaweed: Some(server.clone()),
            ..Self::new(name, &config).await
        }
    }

    /// One of each sort.
    pub(crate) async fn all() -> Vec<Self> {
        let server = Arc::new(SeaweedServer::start().unwrap());
        let s3 = Self::s3(&server, None).await;
        s3.store
            .create_container("shared", context())
            .await
            .unwrap();
        vec![
            Self::memory().await,
            Self::folder().await,
            Self::nats().await,
            s3,
            Self::s3(&server, Some("shared")).await,
        ]
    }
}

/// Bytes that are not all the same.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..size)
        .map(|n| (n % 251) as u8 ^ (n >> 16) as u8)
        .collect()
}

/// A body in pieces.
pub(crate) fn pieces(bytes: &[u8], size: usize) -> Body {
    let pieces = bytes.chunks(size.max(1));
    let frames: Vec<Result<_, HttpError>> = pieces
        .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

pub(crate) async fn write(
    store: &dyn BlobStore,
    id: &ObjectId,
    bytes: &[u8],
) -> Result<(), BlobError> {
    let written = store.write(id, pieces(bytes, 50_000), context()).await?;
    written.await
}

pub(crate) async fn read(
    store: &dyn BlobStore,
    id: &ObjectId,
    range: std::ops::Range<u64>,
) -> Result<Vec<u8>, BlobError> {
    let blob = store.read(id, range, context()).await?;
    let bytes = blob.body.collect().await.map_err(BlobError::from)?;
    let bytes = bytes.to_bytes();
    assert_eq!(bytes.len() as u64, blob.size);
    Ok(bytes.into())
}

pub(crate) async fn names(
    store: &dyn BlobStore,
    container: &str,
) -> Result<Vec<String>, BlobError> {
    let listed = store.list_objects(container, context()).await?;
    let some: Vec<Result<Vec<String>, _>> = listed.collect().await;
    let mut names = Vec::new();
    for some in some {
        names.extend(some?);
    }
    names.sort();
    Ok(names)
}
