//! The table of cases of `wasi:keyvalue`, for every backend.

mod support;

use std::future::Future;

use support::{CasError, Component, Other, link};
use withe_provider::codec::{ByteList, Handle};
use withe_provider::{CallError, Provider};
use withe_testing::certificates::Certificates;
use withe_testing::keyvalue::{Answer, Cursor, Draft, KeyValue, NotSwapped};
use withe_testing::nats::NatsServer;
use withe_testing::redis::{ClusterOptions, RedisCluster, RedisServer};
use withe_testing::seaweedfs::{ACCESS_KEY, SECRET_KEY, SeaweedServer};

withe_testing::keyvalue_table!(everywhere);

/// Runs `case` on each backend, for a component that imports `draft`.
async fn everywhere<F: Future<Output = ()>>(draft: Draft, _name: &str, case: impl Fn(Linked) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/data.redb");
    let certificates = Certificates::new().unwrap();
    let ca = certificates.ca();
    let redis = RedisServer::start_with_tls(&certificates).unwrap();
    let (url, tls_url) = (redis.url(), redis.tls_url().unwrap());
    let cluster = RedisCluster::start(ClusterOptions::default()).unwrap();
    let cluster_urls = cluster.urls();
    let nats = NatsServer::start().unwrap();
    let nats_url = nats.url();
    let seaweed = SeaweedServer::start().unwrap();
    let endpoint = seaweed.endpoint();
    let backends = [
        vec![("backend", "memory")],
        vec![("path", path.to_str().unwrap())],
        vec![("URL", url.as_str())],
        vec![
            ("url", tls_url.as_str()),
            ("tls_ca_file", ca.to_str().unwrap()),
        ],
        vec![("url", cluster_urls.as_str())],
        vec![("url", nats_url.as_str())],
        vec![
            ("s3_bucket", "keys"),
            ("s3_folder", "of/tests"),
            ("endpoint", endpoint.as_str()),
            ("access_key_id", ACCESS_KEY),
            ("secret_access_key", SECRET_KEY),
        ],
    ];
    for pairs in backends {
        println!("with {pairs:?}");
        // Redis with TLS is the one without it.
        redis.ask("FLUSHALL").unwrap();
        let component = Component::linked(link(1, draft.version(), &pairs)).await;
        case(Linked(component.clone(), draft)).await;
        component.provider.shutdown(support::PATIENCE).await;
    }
}

/// A component that imports a draft, and is linked to a provider.
#[derive(Clone)]
struct Linked(Component, Draft);

fn told<T>(result: Result<T, Other>) -> Answer<T> {
    result.map_err(|error| error.0)
}

impl KeyValue for Linked {
    type Bucket = Handle;
    type Cas = Handle;

    fn draft(&self) -> Draft {
        self.1
    }

    async fn open(&self, name: &str) -> Answer<Handle> {
        told(self.0.call("open", (name,)).await.unwrap())
    }

    async fn get(&self, bucket: &Handle, key: &str) -> Answer<Option<Vec<u8>>> {
        told(self.0.get(*bucket, key).await)
    }

    async fn set(&self, bucket: &Handle, key: &str, value: &str) -> Answer<()> {
        told(self.0.set(*bucket, key, value).await)
    }

    async fn delete(&self, bucket: &Handle, key: &str) -> Answer<()> {
        told(self.0.delete(*bucket, key).await)
    }

    async fn exists(&self, bucket: &Handle, key: &str) -> Answer<bool> {
        told(self.0.exists(*bucket, key).await)
    }

    async fn list(
        &self,
        bucket: &Handle,
        cursor: Option<Cursor>,
    ) -> Answer<(Vec<String>, Option<Cursor>)> {
        match self.1 {
            Draft::One => {
                let cursor = cursor.map(|cursor| match cursor {
                    Cursor::Number(number) => number,
                    Cursor::Text(_) => panic!("a text in the first draft"),
                });
                let (keys, next) = told(self.0.list(*bucket, cursor).await)?;
                Ok((keys, next.map(Cursor::Number)))
            }
            Draft::Two => {
                let cursor = cursor.map(|cursor| match cursor {
                    Cursor::Text(text) => text,
                    Cursor::Number(_) => panic!("a number in the second draft"),
                });
                let (keys, next) = told(self.0.list(*bucket, cursor).await)?;
                Ok((keys, next.map(Cursor::Text)))
            }
        }
    }

    async fn increment(&self, bucket: &Handle, key: &str, by: u64) -> Answer<u64> {
        told(self.0.increment(*bucket, key, by).await)
    }

    async fn increment_signed(&self, bucket: &Handle, key: &str, by: i64) -> Answer<i64> {
        told(self.0.increment_signed(*bucket, key, by).await)
    }

    async fn get_many(
        &self,
        bucket: &Handle,
        keys: &[&str],
    ) -> Answer<Vec<(Option<String>, Option<Vec<u8>>)>> {
        let params = (*bucket, keys.to_vec());
        match self.1 {
            Draft::One => {
                type Pairs = Vec<Option<(String, ByteList)>>;
                let pairs = self.0.call::<Result<Pairs, Other>>("get-many", params);
                let pairs = told(pairs.await.unwrap())?.into_iter();
                Ok(pairs
                    .map(|pair| match pair {
                        Some((key, value)) => (Some(key), Some(value.0)),
                        None => (None, None),
                    })
                    .collect())
            }
            Draft::Two => {
                type Pairs = Vec<(String, Option<ByteList>)>;
                let pairs = self.0.call::<Result<Pairs, Other>>("get-many", params);
                let pairs = told(pairs.await.unwrap())?.into_iter();
                Ok(pairs
                    .map(|(key, value)| (Some(key), value.map(|value| value.0)))
                    .collect())
            }
        }
    }

    async fn set_many(&self, bucket: &Handle, pairs: &[(String, String)]) -> Answer<()> {
        told(self.0.set_many(*bucket, pairs).await)
    }

    async fn delete_many(&self, bucket: &Handle, keys: &[String]) -> Answer<()> {
        told(self.0.delete_many(*bucket, keys).await)
    }

    async fn cas(&self, bucket: &Handle, key: &str) -> Answer<Handle> {
        told(self.0.call("cas.new", (*bucket, key)).await.unwrap())
    }

    async fn current(&self, cas: &Handle) -> Answer<Option<Vec<u8>>> {
        let current = self
            .0
            .call::<Result<Option<ByteList>, Other>>("cas.current", (*cas,));
        Ok(told(current.await.unwrap())?.map(|value| value.0))
    }

    async fn swap(&self, cas: Handle, value: &str) -> Result<(), NotSwapped<Handle>> {
        let swapped = self.0.call("swap", (cas, ByteList(value.into()))).await;
        let swapped: Result<(), CasError> = swapped.unwrap();
        swapped.map_err(|error| match error {
            CasError::Store(error) => NotSwapped::Store(error.0),
            CasError::Failed(cas) => NotSwapped::Changed(cas),
        })
    }
}

#[tokio::test]
async fn what_was_swapped_is_given_away() {
    let link = link(1, Draft::Two.version(), &[("backend", "memory")]);
    let c = Linked(Component::linked(link).await, Draft::Two);
    let bucket = c.open("cas").await.unwrap();
    let cas = c.cas(&bucket, "k").await.unwrap();
    c.swap(cas, "first").await.unwrap();
    let again =
        c.0.call::<Result<(), CasError>>("swap", (cas, ByteList(vec![])));
    let again = again.await;
    assert!(
        matches!(again, Err(CallError::TypeMismatch(_))),
        "{again:?}"
    );
}
