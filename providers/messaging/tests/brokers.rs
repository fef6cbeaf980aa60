//! One table for all brokers: what components send, and what they are given.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use withe_provider::{
    BoxFuture, Call, CallContext, CallError, CallTarget, Callee, FunctionName, Health, Link,
    LinkId, Payload, Peer, Provider,
};
use withe_provider_messaging::Messaging;
use withe_testing::certificates::Certificates;
use withe_testing::mosquitto::{Mosquitto, MosquittoOptions};
use withe_testing::nats::NatsServer;

/// Long enough for anything that ends at all.
const LONG: Duration = Duration::from_secs(60);

/// A message as the interface has it: subject, body, where an answer is waited for.
type Message = (String, Vec<u8>, Option<String>);

/// A component's answer to a message, with the message's number.
type Answer = fn(&Message, usize) -> Result<Result<(), String>, CallError>;

/// A component: notes the messages it is given, and answers what it is told to.
struct Component {
    given: Mutex<Vec<Message>>,
    news: Notify,
    /// Each call takes one.
    may_answer: Semaphore,
    answer: Answer,
}

impl CallTarget for Component {
    fn call(
        &self,
        _: usize,
        params: Payload,
        _: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        let (subject, body, reply_to) = params.read().unwrap();
        let message: Message = (subject, body, reply_to);
        let nth = {
            let mut given = self.given.lock().unwrap();
            given.push(message.clone());
            given.len()
        };
        self.news.notify_one();
        Box::pin(async move {
            self.may_answer.acquire().await.unwrap().forget();
            (self.answer)(&message, nth).map(|answer| Payload::of(&(answer,)))
        })
    }
}

impl Component {
    fn new(answers: usize, answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            given: Mutex::default(),
            news: Notify::new(),
            may_answer: Semaphore::new(answers),
            answer,
        })
    }

    /// One that handles everything.
    fn well() -> Arc<Self> {
        Self::new(10_000, |_, _| Ok(Ok(())))
    }

    fn bodies(&self) -> Vec<String> {
        let given = self.given.lock().unwrap();
        let text = |(_, body, _): &Message| String::from_utf8(body.clone()).unwrap();
        given.iter().map(text).collect()
    }

    /// Waits until it was given so many, which have no order: they are handled beside each other.
    async fn given(&self, n: usize) -> Vec<String> {
        let enough = async {
            while self.given.lock().unwrap().len() < n {
                self.news.notified().await;
            }
        };
        if timeout(LONG, enough).await.is_err() {
            panic!("only {:?} came", self.bodies());
        }
        let mut bodies = self.bodies();
        bodies.sort();
        bodies
    }
}

/// A provider, and how its links find their broker.
struct Rig {
    provider: Messaging,
    broker: Vec<(String, String)>,
    application: String,
    _server: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

const PUBLISH: usize = 0;
const REQUEST: usize = 1;

impl Rig {
    /// One for each broker. Their applications have names of their own, as tests share this process.
    fn all(test: &str) -> Vec<Self> {
        let memory = Self {
            provider: Messaging::new(Default::default()),
            broker: Vec::new(),
            application: format!("brokers-{test}"),
            _server: None,
        };
        vec![
            memory,
            Self::nats(&Arc::new(NatsServer::start().unwrap()), test),
            Self::mqtt(&[], test),
            Self::mqtt(&[("mqtt_qos", "0")], test),
        ]
    }

    fn nats(server: &Arc<NatsServer>, test: &str) -> Self {
        Self {
            provider: Messaging::new(Default::default()),
            broker: vec![("cluster_uris".into(), server.url())],
            application: format!("brokers-{test}"),
            _server: Some(server.clone()),
        }
    }

    /// One with a broker of MQTT, and these keys besides.
    fn mqtt(keys: &[(&str, &str)], test: &str) -> Self {
        let server = Mosquitto::start().unwrap();
        let keys = keys.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        Self {
            provider: Messaging::new(Default::default()),
            broker: [("mqtt_url".into(), server.url())]
                .into_iter()
                .chain(keys)
                .collect(),
            application: format!("brokers-{test}"),
            _server: Some(Arc::new(server)),
        }
    }

    fn link(&self, id: u64, component: &str, config: &[(&str, &str)], peer: Peer) -> Link {
        let config = config.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        Link {
            id: LinkId(id),
            name: "default".into(),
            application: self.application.clone(),
            component: component.into(),
            config: self.broker.iter().cloned().chain(config).collect(),
            peer,
        }
    }

    /// Links a component that sends.
    async fn sends(&self, id: u64) {
        let function = |name: &str| FunctionName {
            interface: "wasmcloud:messaging/consumer@0.2.0".into(),
            function: name.into(),
        };
        let functions = [function("publish"), function("request")];
        let link = self.link(id, "sender", &[], Peer::Importer(functions.into()));
        self.provider.link_put(link).await.unwrap();
    }

    /// Links a component that takes messages.
    async fn takes(
        &self,
        id: u64,
        name: &str,
        config: &[(&str, &str)],
        component: &Arc<Component>,
    ) {
        let functions = [FunctionName {
            interface: "wasmcloud:messaging/handler@0.2.0".into(),
            function: "handle-message".into(),
        }];
        let callee = Callee::new(functions.into(), component.clone());
        let link = self.link(id, name, config, Peer::Callee(callee));
        self.provider.link_put(link).await.unwrap();
    }

    async fn call(&self, id: u64, function: usize, params: Payload, limit: Duration) -> Payload {
        let call = Call {
            link: LinkId(id),
            function,
            params,
            deadline: Instant::now() + limit,
            caller: "sender",
            trace: None,
        };
        self.provider.call(call).await.unwrap()
    }

    async fn publish(&self, id: u64, subject: &str, body: &str) -> Result<(), String> {
        let message: Message = (subject.into(), body.into(), None);
        let result = self.call(id, PUBLISH, Payload::of(&message), LONG).await;
        let (result,): (Result<(), String>,) = result.read().unwrap();
        result
    }

    async fn request(
        &self,
        id: u64,
        subject: &str,
        body: &str,
        ms: u32,
    ) -> Result<Message, String> {
        let params = Payload::of(&(subject.to_owned(), body.as_bytes().to_vec(), ms));
        let result = self.call(id, REQUEST, params, LONG).await;
        let (result,): (Result<Message, String>,) = result.read().unwrap();
        result
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_come_to_whoever_subscribed_to_their_subject() {
    for rig in Rig::all("subjects") {
        let (some, all) = (Component::well(), Component::well());
        rig.sends(1).await;
        rig.takes(2, "some", &[("subscriptions", "a.b, c.*")], &some)
            .await;
        rig.takes(3, "all", &[("subscriptions", "a.*, c.>")], &all)
            .await;
        for subject in ["a.b", "a.c", "c.d", "c.d.e"] {
            rig.publish(1, subject, subject).await.unwrap();
        }
        assert_eq!(all.given(4).await, ["a.b", "a.c", "c.d", "c.d.e"]);
        assert_eq!(some.given(2).await, ["a.b", "c.d"]);
        rig.provider.shutdown(LONG).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_of_a_component_are_one_subscriber() {
    for rig in Rig::all("groups") {
        let (one, other, audit) = (Component::well(), Component::well(), Component::well());
        rig.sends(1).await;
        let config = [("subscriptions", "a")];
        rig.takes(2, "c", &config, &one).await;
        rig.takes(3, "c", &config, &other).await;
        rig.takes(4, "audit", &config, &audit).await;
        for n in 0..50 {
            rig.publish(1, "a", &n.to_string()).await.unwrap();
        }
        audit.given(50).await;
        rig.provider.shutdown(LONG).await;
        let mut between: Vec<_> = [one.bodies(), other.bodies()].concat();
        between.sort_by_key(|n| n.parse::<u32>().unwrap());
        let expected: Vec<_> = (0..50).map(|n| n.to_string()).collect();
        assert_eq!(between, expected);
    }
}

/// Answers a request by a link of its own, as a component does.
async fn answer(rig: &Rig, component: &Component, id: u64) {
    component.given(1).await;
    let (_, body, reply_to) = component.given.lock().unwrap()[0].clone();
    let reply_to = reply_to.expect("a request says where its answer is waited for");
    let body = String::from_utf8(body).unwrap().to_uppercase();
    rig.publish(id, &reply_to, &body).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_or_say_why_not() {
    for rig in Rig::all("requests") {
        let component = Component::well();
        rig.sends(1).await;
        rig.takes(2, "c", &[("subscriptions", "asked")], &component)
            .await;
        let asking = rig.request(1, "asked", "louder", 60_000);
        let (answered, ()) = tokio::join!(asking, answer(&rig, &component, 1));
        assert_eq!(answered.unwrap().1, b"LOUDER");
        let nobody = rig.request(1, "nobody", "x", 60_000).await.unwrap_err();
        assert_eq!(nobody, "nobody listens on `nobody`");
        let late = rig.request(1, "asked", "x", 50).await.unwrap_err();
        assert!(late.starts_with("no answer on `asked` in 50 ms"), "{late}");
        for subject in ["a b", "a.*", ""] {
            let refused = rig.publish(1, subject, "x").await.unwrap_err();
            assert!(refused.contains("is no subject"), "{refused}");
        }
        let large = "x".repeat((1 << 20) + 1);
        let refused = rig.publish(1, "asked", &large).await.unwrap_err();
        assert!(refused.contains("has 1048577 bytes"), "{refused}");
        rig.provider.shutdown(LONG).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_takes_nothing_else_with_it() {
    for rig in Rig::all("failures") {
        let component = Component::new(10_000, |(_, body, _), _| match &body[..] {
            b"refuse" => Ok(Err("as was asked for".into())),
            b"trap" => Err(CallError::Trap("as was asked for".into())),
            _ => Ok(Ok(())),
        });
        rig.sends(1).await;
        rig.takes(2, "c", &[("subscriptions", "a")], &component)
            .await;
        for body in ["refuse", "trap", "well"] {
            rig.publish(1, "a", body).await.unwrap();
        }
        assert_eq!(component.given(3).await, ["refuse", "trap", "well"]);
        rig.provider.shutdown(LONG).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_are_handled_at_a_time_and_no_more() {
    for rig in Rig::all("bounds") {
        let component = Component::new(0, |_, _| Ok(Ok(())));
        rig.sends(1).await;
        let config = [("subscriptions", "a"), ("max_concurrent", "2")];
        rig.takes(2, "c", &config, &component).await;
        for n in 0..5 {
            rig.publish(1, "a", &n.to_string()).await.unwrap();
        }
        component.given(2).await;
        component.may_answer.add_permits(1);
        component.given(3).await;
        assert_eq!(component.bodies().len(), 3);
        component.may_answer.add_permits(100);
        assert_eq!(component.given(5).await, ["0", "1", "2", "3", "4"]);
        rig.provider.shutdown(LONG).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_at_a_time_keeps_the_order() {
    for rig in Rig::all("order") {
        let component = Component::well();
        rig.sends(1).await;
        let config = [("subscriptions", "a"), ("max_concurrent", "1")];
        rig.takes(2, "c", &config, &component).await;
        for n in 0..50 {
            rig.publish(1, "a", &n.to_string()).await.unwrap();
        }
        component.given(50).await;
        let expected: Vec<_> = (0..50).map(|n| n.to_string()).collect();
        assert_eq!(component.bodies(), expected);
        rig.provider.shutdown(LONG).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_changes_or_goes_loses_no_message() {
    for rig in Rig::all("changes") {
        let (before, after) = (Component::well(), Component::well());
        rig.sends(1).await;
        let config = [("subscriptions", "a")];
        rig.takes(2, "c", &config, &before).await;
        for n in 0..300 {
            match n {
                100 => {
                    // Sending alone need not wait until a message has come.
                    before.given(1).await;
                    rig.takes(2, "c", &config, &after).await;
                }
                // As when a part moves: the next link is made, and then this one goes.
                200 => {
                    rig.takes(3, "c", &config, &after).await;
                    rig.provider.link_deleted(LinkId(2), LONG).await;
                }
                _ => {}
            }
            rig.publish(1, "a", &n.to_string()).await.unwrap();
        }
        let all = async {
            while before.bodies().len() + after.bodies().len() < 300 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(LONG, all).await.is_err() {
            panic!(
                "{} and {} came",
                before.bodies().len(),
                after.bodies().len()
            );
        }
        rig.provider.shutdown(LONG).await;
        assert_eq!(before.bodies().len() + after.bodies().len(), 300);
        assert!(!before.bodies().is_empty() && !after.bodies().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_came_to_nothing_gives_its_messages_back() {
    for rig in Rig::all("given-up") {
        let stays = Component::well();
        // As a link is that was made for a change which is not carried out.
        let given_up = Component::new(10_000, |_, _| Err(CallError::Unlinked("nowhere".into())));
        rig.sends(1).await;
        let config = [("subscriptions", "a")];
        rig.takes(2, "c", &config, &stays).await;
        rig.takes(3, "c", &config, &given_up).await;
        for n in 10..60 {
            rig.publish(1, "a", &n.to_string()).await.unwrap();
        }
        given_up.given(1).await;
        rig.provider.link_deleted(LinkId(3), LONG).await;
        let expected: Vec<_> = (10..60).map(|n| n.to_string()).collect();
        assert_eq!(stays.given(50).await, expected);
        rig.provider.shutdown(LONG).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_waits_for_what_has_come_and_not_for_ever() {
    for rig in Rig::all("shutdown") {
        let component = Component::new(1, |_, _| Ok(Ok(())));
        rig.sends(1).await;
        rig.takes(2, "c", &[("subscriptions", "a")], &component)
            .await;
        rig.publish(1, "a", "one").await.unwrap();
        rig.publish(1, "a", "two").await.unwrap();
        component.given(2).await;
        // The second is never handled.
        let stopped = rig.provider.shutdown(Duration::from_millis(100));
        timeout(LONG, stopped).await.unwrap();
        let given_up = async {
            while Arc::strong_count(&component) > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, given_up).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_jetstream_keeps_comes_again_until_it_is_handled() {
    let server = Arc::new(NatsServer::start().unwrap());
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let stream = async_nats::jetstream::stream::Config {
        name: "ORDERS".into(),
        subjects: vec!["orders.*".into()],
        ..Default::default()
    };
    let stream = context.create_stream(stream).await.unwrap();
    let consumer = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("workers".into()),
        ..Default::default()
    };
    let consumer = stream.create_consumer(consumer).await.unwrap();
    let rig = Rig::nats(&server, "jetstream");
    rig.sends(1).await;
    // Published while nobody takes it.
    rig.publish(1, "orders.new", "first").await.unwrap();
    let component = Component::new(10_000, |_, nth| match nth {
        1 => Err(CallError::Trap("the first attempt".into())),
        2 => Ok(Err("the second".into())),
        _ => Ok(Ok(())),
    });
    let consumers = r#"[{"stream": "ORDERS", "consumer": "workers"}]"#;
    rig.takes(2, "c", &[("consumers", consumers)], &component)
        .await;
    assert_eq!(component.given(3).await, ["first", "first", "first"]);
    let given = component.given.lock().unwrap()[2].clone();
    assert_eq!((given.0.as_str(), given.2), ("orders.new", None));
    let nothing_is_left = async {
        let mut consumer = consumer;
        loop {
            let info = consumer.info().await.unwrap();
            if info.num_ack_pending == 0 && info.num_pending == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, nothing_is_left).await.unwrap();
    rig.provider.shutdown(LONG).await;
    assert_eq!(component.bodies().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_said_and_comes_back() {
    let nobody = Rig {
        provider: Messaging::new(Default::default()),
        broker: vec![("cluster_uris".into(), "nats://me:secret@127.0.0.1:1".into())],
        application: "brokers-away".into(),
        _server: None,
    };
    let link = nobody.link(1, "sender", &[], Peer::Importer([].into()));
    let refused = nobody.provider.link_put(link).await.unwrap_err();
    assert!(
        refused.0.starts_with("cannot reach NATS at `127.0.0.1:1`:"),
        "{refused}"
    );
    assert!(!refused.0.contains("secret"), "{refused}");

    let mut server = NatsServer::start().unwrap();
    let url = server.url();
    let rig = Rig {
        broker: vec![("cluster_uris".into(), url)],
        ..nobody
    };
    let component = Component::well();
    rig.sends(1).await;
    rig.takes(2, "c", &[("subscriptions", "a")], &component)
        .await;
    assert_eq!(rig.provider.health().await, Health::Healthy);
    server.restart().unwrap();
    // Publishing fails while the server is away; then the subscription is there as before.
    let again = async {
        while component.bodies().is_empty() {
            _ = rig.publish(1, "a", "hello").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, again).await.unwrap();
    assert_eq!(rig.provider.health().await, Health::Healthy);
    rig.provider.shutdown(LONG).await;
}

/// A rig whose links say so of their broker.
fn with(broker: &[(&str, &str)]) -> Rig {
    Rig {
        provider: Messaging::new(Default::default()),
        broker: broker
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect(),
        application: "brokers-mqtt".into(),
        _server: None,
    }
}

/// Why a link to a component that sends is not made.
async fn refused(rig: &Rig) -> String {
    let link = rig.link(1, "sender", &[], Peer::Importer([].into()));
    rig.provider.link_put(link).await.unwrap_err().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_refuses_the_user_is_not_to_be_started() {
    let mqtt = Mosquitto::with(&MosquittoOptions {
        user: Some(("me".into(), "right".into())),
        tls: None,
    });
    let mqtt = mqtt.unwrap();
    let nats = "authorization { user: me, password: right }";
    let nats = NatsServer::start_with(nats).unwrap();
    let with_login = |url: String, login: &str| url.replace("://", &format!("://{login}"));
    for (key, url, says) in [
        ("mqtt_url", mqtt.url(), "the MQTT broker at "),
        ("cluster_uris", nats.url(), "NATS at `127.0.0.1:"),
    ] {
        for login in ["me:s3cret@", ""] {
            let said = refused(&with(&[(key, &with_login(url.clone(), login))])).await;
            let is_clear = said.starts_with(says)
                && said.contains(" refuses the user: ")
                && !said.contains("start it there");
            assert!(is_clear && !said.contains("s3cret"), "{said}");
        }
        with(&[(key, &with_login(url, "me:right@"))]).sends(1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_of_mqtt_that_was_away_is_said_and_comes_back() {
    let said = refused(&with(&[("mqtt_url", "mqtt://me:secret@127.0.0.1:1")])).await;
    assert!(
        said.starts_with("cannot reach the MQTT broker at 127.0.0.1:1:"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");

    let mut broker = Mosquitto::start().unwrap();
    let rig = with(&[("mqtt_url", &broker.url())]);
    let component = Component::well();
    rig.sends(1).await;
    rig.takes(2, "c", &[("subscriptions", "a")], &component)
        .await;
    assert_eq!(rig.provider.health().await, Health::Healthy);
    broker.stop();
    let lost = async {
        while rig.provider.health().await == Health::Healthy {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, lost).await.unwrap();
    let away = rig.publish(1, "a", "lost").await.unwrap_err();
    assert!(away.contains("cannot be reached now"), "{away}");
    broker.restart().unwrap();
    let again = async {
        while component.bodies().is_empty() {
            _ = rig.publish(1, "a", "hello").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, again).await.unwrap();
    let asking = rig.request(1, "nobody", "x", 60_000).await.unwrap_err();
    assert_eq!(asking, "nobody listens on `nobody`");
    assert_eq!(rig.provider.health().await, Health::Healthy);
    // A link that goes does not wait for a broker that does not come back.
    broker.stop();
    let lost = async {
        while rig.provider.health().await == Health::Healthy {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, lost).await.unwrap();
    let gone = rig.provider.link_deleted(LinkId(2), 10 * LONG);
    timeout(LONG, gone).await.unwrap();
    rig.provider.shutdown(LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_of_mqtt_lets_in_who_has_the_password_and_is_known_by_its_certificate() {
    let files = Certificates::new().unwrap();
    let read = |path| std::fs::read_to_string(path).unwrap();
    let (certificate, key) = files.server();
    let ca = read(files.ca());
    let broker = Mosquitto::with(&MosquittoOptions {
        user: Some(("me".into(), "s3cret:@/".into())),
        tls: Some((read(certificate), read(key))),
    })
    .unwrap();
    let url = broker.url();
    let login = |password: &str| url.replace("://", &format!("://me:{password}@"));
    let right = login("s3cret%3A%40%2F");
    let rig = with(&[("mqtt_url", &right), ("tls_ca", &ca)]);
    let component = Component::well();
    rig.sends(1).await;
    rig.takes(2, "c", &[("subscriptions", "a.>")], &component)
        .await;
    rig.publish(1, "a.b", "hello").await.unwrap();
    assert_eq!(component.given(1).await, ["hello"]);
    rig.provider.shutdown(LONG).await;

    let wrong = login("wr0ng");
    let said = refused(&with(&[("mqtt_url", &wrong), ("tls_ca", &ca)])).await;
    assert!(said.contains("0x87") || said.contains("0x86"), "{said}");
    assert!(!said.contains("wr0ng"), "{said}");
    let said = refused(&with(&[("mqtt_url", &right)])).await;
    assert!(
        said.contains("TLS") || said.contains("certificate"),
        "{said}"
    );
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("ca.pem").display().to_string();
    let said = refused(&with(&[("mqtt_url", &right), ("tls_ca_file", &missing)])).await;
    assert!(said.contains("cannot be read"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_waits_here_waits_at_the_broker_of_mqtt() {
    let broker = Mosquitto::start().unwrap();
    let rig = with(&[("mqtt_url", &broker.url())]);
    let component = Component::new(0, |_, _| Ok(Ok(())));
    rig.sends(1).await;
    let config = [("subscriptions", "a"), ("max_concurrent", "1")];
    rig.takes(2, "c", &config, &component).await;
    for n in 0..600 {
        rig.publish(1, "a", &n.to_string()).await.unwrap();
    }
    component.may_answer.add_permits(10_000);
    component.given(600).await;
    let expected: Vec<_> = (0..600).map(|n| n.to_string()).collect();
    assert_eq!(component.bodies(), expected);
    rig.provider.shutdown(LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_at_the_broker_of_mqtt_comes_though_the_subscription_ends() {
    let broker = Mosquitto::start().unwrap();
    let url = [("mqtt_url", &broker.url()[..])];
    // Of two hosts, whose sessions are two.
    let (leaves, stays) = (with(&url), with(&url));
    let slow = Component::new(0, |_, _| Ok(Ok(())));
    let other = Component::well();
    let config = [("subscriptions", "a")];
    stays.sends(1).await;
    leaves.takes(2, "c", &config, &slow).await;
    // More than are handled, and wait here: the others wait at the broker, for this session alone.
    for n in 0..600 {
        stays.publish(1, "a", &n.to_string()).await.unwrap();
    }
    stays.takes(2, "c", &config, &other).await;
    let ending = leaves.provider.link_deleted(LinkId(2), LONG);
    let answering = async {
        // As soon as the link has ended, all comes to the other.
        for n in 600.. {
            stays.publish(1, "a", &n.to_string()).await.unwrap();
            if !other.bodies().is_empty() {
                slow.may_answer.add_permits(10_000);
                return n + 1;
            }
        }
        unreachable!("the numbers have no end")
    };
    let ((), sent) = tokio::join!(ending, answering);
    let all = async {
        while slow.bodies().len() + other.bodies().len() < sent {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    _ = timeout(LONG, all).await;
    let mut came: Vec<usize> = [slow.bodies(), other.bodies()]
        .concat()
        .iter()
        .map(|n| n.parse().unwrap())
        .collect();
    came.sort_unstable();
    assert_eq!(came, (0..sent).collect::<Vec<_>>());
    assert!(slow.bodies().len() >= 600);
    leaves.provider.shutdown(LONG).await;
    stays.provider.shutdown(LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_without_an_answer_is_written_before_shutdown_is_over() {
    let broker = Mosquitto::start().unwrap();
    let url = broker.url();
    let (sends, takes) = (
        with(&[("mqtt_url", &url), ("mqtt_qos", "0")]),
        with(&[("mqtt_url", &url)]),
    );
    let component = Component::well();
    sends.sends(1).await;
    takes
        .takes(2, "c", &[("subscriptions", "a")], &component)
        .await;
    for n in 0..500 {
        sends.publish(1, "a", &n.to_string()).await.unwrap();
    }
    sends.provider.shutdown(LONG).await;
    component.given(500).await;
    takes.provider.shutdown(LONG).await;
}
