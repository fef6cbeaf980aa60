//! Components that are told of changes: one table of cases that every backend must pass, and what each has of its own.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{Component, PATIENCE, config, link};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use withe_provider::codec::ByteList;
use withe_provider::{
    BoxFuture, CallContext, CallError, CallTarget, Callee, FunctionName, Health, Link, LinkId,
    Payload, Peer, Provider,
};
use withe_provider_keyvalue::KeyValue;
use withe_testing::nats::NatsServer;
use withe_testing::redis::{ClusterOptions, RedisCluster, RedisServer};

const ONE: &str = "0.2.0-draft";
const TWO: &str = "0.2.0-draft2";
const LONG: Duration = Duration::from_secs(60);
const ON_SET: usize = 0;

/// Bucket and key, and the value unless the key is gone.
type Told = (String, String, Option<String>);

/// A component that is told of changes. Each call takes a permit.
struct Watcher {
    told: Mutex<Vec<Told>>,
    news: Notify,
    may_answer: Semaphore,
    answer: fn(&Told) -> Result<(), CallError>,
}

impl CallTarget for Watcher {
    fn call(
        &self,
        function: usize,
        params: Payload,
        _: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        let told: Told = if function == ON_SET {
            let (bucket, key, value): (String, String, ByteList) = params.read().unwrap();
            (bucket, key, Some(String::from_utf8(value.0).unwrap()))
        } else {
            let (bucket, key): (String, String) = params.read().unwrap();
            (bucket, key, None)
        };
        let answer = (self.answer)(&told);
        self.told.lock().unwrap().push(told);
        self.news.notify_one();
        Box::pin(async move {
            self.may_answer.acquire().await.unwrap().forget();
            answer.map(|()| Payload::default())
        })
    }
}

impl Watcher {
    fn new(answers: usize) -> Arc<Self> {
        Self::answering(answers, |_| Ok(()))
    }

    fn answering(answers: usize, answer: fn(&Told) -> Result<(), CallError>) -> Arc<Self> {
        Arc::new(Self {
            told: Mutex::default(),
            news: Notify::new(),
            may_answer: Semaphore::new(answers),
            answer,
        })
    }

    /// Links it, as a component that exports this draft's watcher.
    async fn linked(
        self: &Arc<Self>,
        provider: &KeyValue,
        id: u64,
        version: &str,
        pairs: &[(&str, &str)],
    ) {
        let put = provider.link_put(self.link(id, version, pairs)).await;
        put.unwrap();
    }

    fn link(self: &Arc<Self>, id: u64, version: &str, pairs: &[(&str, &str)]) -> Link {
        let functions = ["on-set", "on-delete"].map(|function| FunctionName {
            interface: format!("wasi:keyvalue/watcher@{version}"),
            function: function.into(),
        });
        Link {
            id: LinkId(id),
            name: "default".into(),
            application: "app".into(),
            component: "watcher".into(),
            config: config(pairs),
            peer: Peer::Callee(Callee::new(functions.into(), self.clone())),
        }
    }

    /// The last value that was told of each key, when that is `enough`.
    async fn until(&self, enough: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        let waiting = async {
            loop {
                let told = self.told.lock().unwrap().clone();
                if enough(&told) {
                    return told;
                }
                self.news.notified().await;
            }
        };
        match timeout(LONG, waiting).await {
            Ok(told) => told,
            Err(_) => panic!("it was told only {:?}", self.told.lock().unwrap()),
        }
    }

    /// Waits until it was told that `key` is `value` now.
    async fn told(&self, key: &str, value: Option<&str>) -> Told {
        let is = |(_, k, v): &Told| k == key && v.as_deref() == value;
        let told = self.until(|told| told.iter().any(is)).await;
        told.into_iter().find(is).unwrap()
    }
}

/// Runs `case` on each backend, for a component that is linked as number 1, and with what has to be said of the backend.
async fn everywhere(version: &str, case: impl AsyncFn(Component, &[(&str, &str)])) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.redb");
    let redis = RedisServer::start().unwrap();
    let url = redis.url();
    let cluster = RedisCluster::start(ClusterOptions::default()).unwrap();
    let cluster_urls = cluster.urls();
    let nats = NatsServer::start().unwrap();
    let nats_url = nats.url();
    let backends = [
        (vec![("backend", "memory")], vec![]),
        (vec![("path", path.to_str().unwrap())], vec![]),
        (
            vec![("URL", url.as_str())],
            vec![("redis_notifications", "enable")],
        ),
        (
            vec![("url", cluster_urls.as_str())],
            vec![("redis_notifications", "enable")],
        ),
        (vec![("url", nats_url.as_str())], vec![]),
    ];
    for (pairs, of_watchers) in backends {
        println!("with {pairs:?}");
        let component = Component::linked(link(1, version, &pairs)).await;
        case(component.clone(), &[pairs, of_watchers].concat()).await;
        component.provider.shutdown(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_told_what_keys_are_set_to_and_which_are_gone() {
    for version in [ONE, TWO] {
        everywhere(version, async |c, backend| {
            let watcher = Watcher::new(1_000);
            let b = c.open("").await;
            c.set(b, "before", "was there").await.unwrap();
            watcher.linked(&c.provider, 2, version, backend).await;
            c.set(b, "k", "one").await.unwrap();
            let (bucket, ..) = watcher.told("k", Some("one")).await;
            assert_eq!(bucket, "default");
            c.set(b, "k", "two").await.unwrap();
            watcher.told("k", Some("two")).await;
            c.delete(b, "k").await.unwrap();
            watcher.told("k", None).await;
            c.increment(b, "n", 41).await.unwrap();
            watcher.told("n", Some("41")).await;
            c.increment(b, "n", 1).await.unwrap();
            watcher.told("n", Some("42")).await;
            let pairs = ["x", "y", ""].map(|key| (key.to_owned(), format!("of {key}")));
            c.set_many(b, &pairs).await.unwrap();
            for (key, value) in &pairs {
                watcher.told(key, Some(value)).await;
            }
            c.delete_many(b, &["x".into(), "before".into()])
                .await
                .unwrap();
            watcher.told("x", None).await;
            watcher.told("before", None).await;
            // Keys that no server takes as they are, one of them too long to be a name there.
            let long = "a long key: ".repeat(300);
            for key in ["withe:odd * key", &long] {
                c.set(b, key, "odd").await.unwrap();
                watcher.told(key, Some("odd")).await;
                c.delete(b, key).await.unwrap();
                watcher.told(key, None).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_told_of_what_it_watches_and_no_more() {
    everywhere(ONE, async |c, backend| {
        let (some, other) = (Watcher::new(1_000), Watcher::new(1_000));
        let watch = [backend, &[("WATCH", "SET@s, DEL@d, p/*, withe:*")]].concat();
        some.linked(&c.provider, 2, ONE, &watch).await;
        let bucket = [backend, &[("bucket", "another")]].concat();
        other.linked(&c.provider, 3, ONE, &bucket).await;
        let b = c.open("").await;
        for key in ["s", "d", "p/1", "p", "ss", "withe:x"] {
            c.set(b, key, "v").await.unwrap();
        }
        for key in ["s", "d", "p/1", "p", "ss", "withe:x"] {
            c.delete(b, key).await.unwrap();
        }
        let a = c.open("another").await;
        c.set(a, "p/2", "v").await.unwrap();
        let (bucket, ..) = other.told("p/2", Some("v")).await;
        assert_eq!(bucket, "another");
        // The key that comes last: all that came before it was told.
        c.set(b, "p/end", "v").await.unwrap();
        some.told("p/end", Some("v")).await;
        some.told("d", None).await;
        some.told("p/1", None).await;
        some.told("withe:x", None).await;
        let told = some.told.lock().unwrap().clone();
        let keys: Vec<_> = told.iter().map(|(_, key, _)| key.as_str()).collect();
        assert!(!keys.contains(&"p") && !keys.contains(&"ss"), "{told:?}");
        let of = |key: &str, gone| {
            let mut all = told.iter();
            all.any(|(_, k, v)| k == key && v.is_none() == gone)
        };
        assert!(!of("s", true) && !of("d", false), "{told:?}");
        assert_eq!(other.told.lock().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_come_faster_than_they_are_told_are_told_as_one() {
    everywhere(ONE, async |c, backend| {
        let watcher = Watcher::new(0);
        let config = [backend, &[("max_concurrent", "2")]].concat();
        watcher.linked(&c.provider, 2, ONE, &config).await;
        let b = c.open("").await;
        c.set(b, "first", "0").await.unwrap();
        watcher.told("first", Some("0")).await;
        // A key of which the component is being told waits for that; others do not.
        for n in 1..50 {
            c.set(b, "first", &n.to_string()).await.unwrap();
        }
        c.set(b, "second", "x").await.unwrap();
        watcher.told("second", Some("x")).await;
        assert_eq!(watcher.told.lock().unwrap().len(), 2);
        watcher.may_answer.add_permits(1_000);
        watcher.told("first", Some("49")).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_takes_nothing_else_with_it() {
    everywhere(ONE, async |c, backend| {
        let watcher = Watcher::answering(1_000, |(_, key, _)| match key.as_str() {
            "trap" => Err(CallError::Trap("as was asked for".into())),
            _ => Ok(()),
        });
        let config = [backend, &[("max_concurrent", "1")]].concat();
        watcher.linked(&c.provider, 2, ONE, &config).await;
        let b = c.open("").await;
        for key in ["trap", "well"] {
            c.set(b, key, "v").await.unwrap();
        }
        watcher.told("well", Some("v")).await;
        let told = watcher.told.lock().unwrap().len();
        assert_eq!(told, 2, "a call that failed is not made again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_changes_misses_nothing_and_one_that_goes_tells_what_it_knows() {
    everywhere(ONE, async |c, backend| {
        let (before, after) = (Watcher::new(10_000), Watcher::new(10_000));
        before.linked(&c.provider, 2, ONE, backend).await;
        let b = c.open("").await;
        for n in 0..60 {
            if n == 30 {
                // News of servers is under way for a moment, and whoever is replaced hears no more of it.
                before.told("29", Some("v")).await;
                after.linked(&c.provider, 2, ONE, backend).await;
            }
            c.set(b, &n.to_string(), "v").await.unwrap();
        }
        after.told("59", Some("v")).await;
        c.provider.link_deleted(LinkId(2), LONG).await;
        // The one that was replaced tells the rest beside it.
        before.until(|told| told.len() >= 30).await;
        let mut all: Vec<u32> = [&before, &after]
            .iter()
            .flat_map(|watcher| watcher.told.lock().unwrap().clone())
            .map(|(_, key, _)| key.parse().unwrap())
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, (0..60).collect::<Vec<_>>());
        // Nothing is left that could tell.
        assert_eq!(Arc::strong_count(&after), 1);
        c.set(b, "later", "v").await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_says_what_has_to_be_set_and_a_link_may_set_it() {
    let redis = RedisServer::start().unwrap();
    let url = redis.url();
    let provider = KeyValue::new(config(&[]));
    let watcher = Watcher::new(1_000);
    let plain = watcher.link(1, ONE, &[("url", &url)]);
    let refused = provider.link_put(plain).await.unwrap_err().0;
    for part in [
        "does not tell of changes",
        "config set notify-keyspace-events 'Kg$xe'",
        "redis_notifications: enable",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    let enabling = [("url", url.as_str()), ("redis_notifications", "enable")];
    watcher.linked(&provider, 1, ONE, &enabling).await;
    // Now that it is set, nobody has to.
    watcher.linked(&provider, 2, ONE, &[("url", &url)]).await;
    provider.shutdown(LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_away_tells_again_when_it_is_back() {
    let mut redis = RedisServer::start().unwrap();
    let mut nats = NatsServer::start().unwrap();
    let (redis_url, nats_url) = (redis.url(), nats.url());
    for url in [&redis_url, &nats_url] {
        let is_redis = url == &redis_url;
        let c = Component::linked(link(1, ONE, &[("url", url)])).await;
        let watcher = Watcher::new(100_000);
        let mut pairs = vec![("url", url.as_str())];
        if is_redis {
            pairs.push(("redis_notifications", "enable"));
        }
        watcher.linked(&c.provider, 2, ONE, &pairs).await;
        let b = c.open("").await;
        c.set(b, "before", "v").await.unwrap();
        watcher.told("before", Some("v")).await;
        if is_redis {
            // The server has forgotten what was set, and is told once more.
            redis.restart().unwrap();
        } else {
            nats.restart().unwrap();
        }
        let told = async {
            for n in 0_u64.. {
                _ = c.set(b, "after", &n.to_string()).await;
                let is_told = |(_, key, _): &Told| key == "after";
                if watcher.told.lock().unwrap().iter().any(is_told) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LONG, told).await.unwrap();
        assert_eq!(c.provider.health().await, Health::Healthy);
        c.provider.shutdown(LONG).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_becomes_a_master_tells_of_changes() {
    let options = ClusterOptions {
        has_replica: true,
        node_timeout: Duration::from_secs(1),
        ..ClusterOptions::default()
    };
    let mut cluster = RedisCluster::start(options).unwrap();
    let urls = cluster.urls();
    let c = Component::linked(link(1, ONE, &[("url", &urls)])).await;
    let watcher = Watcher::new(100_000);
    let enabling = [("url", urls.as_str()), ("redis_notifications", "enable")];
    watcher.linked(&c.provider, 2, ONE, &enabling).await;
    let b = c.open("").await;
    // This key is the first master's, and the replica has it after that.
    let key = "{bar}";
    c.set(b, key, "before").await.unwrap();
    watcher.told(key, Some("before")).await;
    cluster.nodes[0].stop();
    let told = async {
        for n in 0_u64.. {
            _ = c.set(b, key, &n.to_string()).await;
            let is_new = |(_, k, value): &Told| k == key && value.as_deref() != Some("before");
            if watcher.told.lock().unwrap().iter().any(is_new) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, told).await.unwrap();
    support::until(async || c.provider.health().await == Health::Healthy).await;
    c.provider.shutdown(LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_has_forgotten_what_was_set_by_others_is_said() {
    let mut redis = RedisServer::start().unwrap();
    let url = redis.url();
    let setter = KeyValue::new(config(&[]));
    let enabling = [("url", url.as_str()), ("redis_notifications", "enable")];
    Watcher::new(0).linked(&setter, 1, ONE, &enabling).await;
    setter.shutdown(LONG).await;
    let provider = KeyValue::new(config(&[]));
    let watcher = Watcher::new(1_000);
    let plain = [("url", url.as_str())];
    watcher.linked(&provider, 2, ONE, &plain).await;
    assert_eq!(provider.health().await, Health::Healthy);
    redis.restart().unwrap();
    let health = async |is: fn(&Health) -> bool| {
        let waiting = async {
            while !is(&provider.health().await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = timeout(LONG, waiting).await;
        assert!(waited.is_ok(), "{:?}", provider.health().await);
    };
    health(|health| matches!(health, Health::Unhealthy(why) if why.contains("does not tell of changes"))).await;
    // Set by somebody, it is found out.
    let setter = KeyValue::new(config(&[]));
    Watcher::new(0).linked(&setter, 1, ONE, &enabling).await;
    setter.shutdown(LONG).await;
    health(|health| *health == Health::Healthy).await;
    provider.shutdown(LONG).await;
}

#[tokio::test]
async fn what_cannot_be_told_is_refused() {
    let provider = KeyValue::new(config(&[("backend", "memory")]));
    let watcher = Watcher::new(0);
    let other = watcher.link(1, "0.3.0", &[]);
    let refused = provider.link_put(other).await.unwrap_err().0;
    assert!(
        refused.contains("`watcher` exports no `wasi:keyvalue/watcher`"),
        "{refused}"
    );
    let unknown = watcher.link(1, ONE, &[("watched", "k")]);
    let refused = provider.link_put(unknown).await.unwrap_err().0;
    assert!(refused.contains("did you mean `watch`?"), "{refused}");
}
