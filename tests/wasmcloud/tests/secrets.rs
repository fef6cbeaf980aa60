//! v1's secret backends, asked by the built command: v1's own one for NATS, and one that is made with v1's types.

mod command;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_nats_v1::{Client, HeaderMap, Message};
use bytes::Bytes;
use futures::StreamExt as _;
use nkeys::{KeyPair, XKey};
use secrets_nats_kv::client::{add_mapping, put_secret};
use secrets_nats_kv::{Api, PutSecretRequest};
use tokio::task::JoinSet;
use wasmcloud_secrets_types::{
    GetSecretError, RESPONSE_XKEY, Secret, SecretRequest, SecretResponse, WASMCLOUD_HOST_XKEY,
};
use withe_testing::nats::NatsServer;
use withe_testing::wait::eventually;
use withe_wasmcloud::{ComponentJwtError, component_jwt};

use command::{Ended, Folder, guest};

const TOPIC: &str = "wasmcloud.secrets";
/// The value that nothing but the component may show.
const MARKER: &str = "hush-51c0ffee";

/// v1's own backend on a server of its own, with a component that it knows.
struct V1 {
    nats: NatsServer,
    client: Client,
    transit: XKey,
    /// The component's key, by which the backend knows it.
    component: KeyPair,
    tasks: JoinSet<()>,
}

impl V1 {
    async fn start() -> Self {
        let nats = NatsServer::start().unwrap();
        let client = async_nats_v1::connect(nats.url()).await.unwrap();
        let transit = XKey::new();
        let api = Api::new(
            XKey::from_seed(&transit.seed().unwrap()).unwrap(),
            XKey::new(),
            client.clone(),
            TOPIC.into(),
            "nats-kv".into(),
            "secrets".into(),
            8,
            TOPIC.into(),
            "v1alpha1".into(),
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { api.run().await.unwrap() });
        let this = Self {
            nats,
            client,
            transit,
            component: KeyPair::new_module(),
            tasks,
        };
        // The backend listens before it has made its buckets, the last of which this is.
        let js = async_nats_v1::jetstream::new(this.client.clone());
        eventually("v1's backend runs", async || {
            js.get_stream("SECRETS_nats-kv_state_lock").await.ok()
        })
        .await;
        this
    }

    async fn put(&self, key: &str, text: Option<&str>, bytes: Option<&[u8]>) {
        // The backend answers after 3 s that others hold its lock, if its server is slow.
        eventually("a secret is put", async || {
            let secret = PutSecretRequest {
                key: key.into(),
                version: String::new(),
                string_secret: text.map(Into::into),
                binary_secret: bytes.map(Into::into),
            };
            let put = put_secret(&self.client, TOPIC, &self.transit, secret).await;
            put.ok()
        })
        .await;
    }

    /// Lets the component have these secrets.
    async fn allow(&self, keys: &[&str]) {
        let keys: HashSet<_> = keys.iter().map(|&key| key.to_owned()).collect();
        let key = self.component.public_key();
        eventually("a component may have secrets", async || {
            let added = add_mapping(&self.client, TOPIC, &key, keys.clone()).await;
            added.ok()
        })
        .await;
    }

    /// A folder with an application of the component, signed as `wash` does, and of the same without a signature.
    fn folder(&self, secrets: &str) -> Folder {
        let component = |name: &str| {
            format!(
                "    - name: {name}
      type: component
      properties: {{image: {name}.wasm, secrets: [{secrets}]}}
"
            )
        };
        let folder = Folder::with(&format!(
            "apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: shop}}
spec:
  policies:
    - name: kv
      type: policy.secret.wasmcloud.dev/v1alpha1
      properties: {{backend: nats-kv}}
    - name: played
      type: policy.secret.wasmcloud.dev/v1alpha1
      properties: {{backend: played, mount: here}}
    - name: gone
      type: policy.secret.wasmcloud.dev/v1alpha1
      properties: {{backend: gone}}
  components:
{}{}",
            component("signed"),
            component("unsigned")
        ));
        folder.write("signed.wasm", &signed("secrets", &self.component));
        folder.write("unsigned.wasm", &guest("secrets"));
        folder
    }

    /// Has a component say the secret `s`.
    async fn said(&self, folder: &Folder, component: &str) -> Ended {
        let url = self.nats.url();
        let args = [
            "call",
            "app.yaml",
            component,
            r#"t:names/run#run(["s"])"#,
            "--lattice",
            &url,
            "--secrets",
            "nats-kv=v1",
            "--secrets",
            "played=v1:other.topic",
            "--secrets",
            "gone=v1:other.topic",
        ];
        eventually("a backend that answers in time", async || {
            let said = folder.run(&args).await;
            let is_late = said.stderr.contains("has not answered for")
                || said.stderr.contains("have not given all");
            (!is_late).then_some(said)
        })
        .await
    }
}

/// The component as `wash` signs it.
fn signed(name: &str, key: &KeyPair) -> Vec<u8> {
    let account = KeyPair::new_account();
    let signed = wascap::wasm::sign_buffer_with_claims(
        name.into(),
        guest(name),
        key,
        &account,
        None,
        None,
        Vec::new(),
        false,
        None,
        None,
        None,
    );
    signed.unwrap()
}

#[test]
fn what_v1s_tool_has_signed_is_known_and_its_section_counts_nowhere_else() {
    let key = KeyPair::new_module();
    let mut section = Vec::new();
    for name in ["secrets", "events", "command-p3"] {
        let signed = signed(name, &key);
        let token = wascap::wasm::extract_claims(&signed).unwrap().unwrap();
        assert_eq!(component_jwt(&signed).unwrap(), Some(token.jwt));
        assert_eq!(component_jwt(&guest(name)).unwrap(), None);
        // The section of another, at the end, where v1's tool puts it.
        let grafted = [guest(name), section].concat();
        if grafted != guest(name) {
            let why = component_jwt(&grafted).unwrap_err();
            assert!(
                matches!(why, ComponentJwtError::OtherComponent { .. }),
                "{why}"
            );
            wascap::wasm::extract_claims(&grafted).unwrap_err();
        }
        section = signed[guest(name).len()..].to_vec();
    }
}

/// A secret `s` with this key and more.
fn secret(policy: &str, key: &str, more: &str) -> String {
    format!("{{name: s, properties: {{policy: {policy}, key: {key}{more}}}}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn v1s_own_backend_gives_text_versions_and_bytes_to_whom_it_may() {
    let v1 = V1::start().await;
    v1.put("password", Some("first"), None).await;
    v1.put("password", Some(MARKER), None).await;
    v1.put("key", None, Some(&[0xff, 0xfe])).await;
    v1.put("other", Some("not for it"), None).await;
    v1.allow(&["password", "key", "missing"]).await;

    let newest = v1.folder(&secret("kv", "password", ""));
    let said = v1.said(&newest, "signed").await;
    assert_eq!(said.stdout, format!("[\"s: {MARKER}\"]\n"), "{said:?}");
    let before = v1.folder(&secret("kv", "password", ", version: '1'"));
    let said = v1.said(&before, "signed").await;
    assert_eq!(said.stdout, "[\"s: first\"]\n", "{said:?}");
    // v1's backend gives bytes as it keeps them, sealed: longer than they were put.
    let bytes = v1.folder(&secret("kv", "key", ""));
    let said = v1.said(&bytes, "signed").await;
    assert!(said.stdout.ends_with(" bytes\"]\n"), "{said:?}");

    for (component, key, more, words) in [
        ("signed", "other", "", "refuses: Unauthorized"),
        ("signed", "missing", "", "refuses: SecretNotFound"),
        ("signed", "password", ", version: 'x'", "InvalidRequest"),
        ("unsigned", "password", "", "InvalidEntityJWT"),
        ("unsigned", "password", "", "The part has no JWT to show"),
    ] {
        let folder = v1.folder(&secret("kv", key, more));
        let said = v1.said(&folder, component).await;
        let named = format!("the secret `s` of `{component}` cannot be had");
        let subject = "wasmcloud.secrets.v1alpha1.nats-kv.get";
        for words in [named.as_str(), subject, words] {
            assert!(!said.is_good && said.stderr.contains(words), "{said:?}");
        }
    }
    let gone = v1.folder(&secret("gone", "password", ""));
    let said = v1.said(&gone, "signed").await;
    let words = "nobody answers on `other.topic.v1alpha1.gone.server_xkey`";
    assert!(said.stderr.contains(words), "{said:?}");
    drop(v1.tasks);
}

/// A backend that says what it was asked, or what the key names.
async fn play(client: Client) {
    let server = XKey::new();
    let mut asked = client
        .subscribe("other.topic.v1alpha1.played.*")
        .await
        .unwrap();
    while let Some(message) = asked.next().await {
        let Message { reply, .. } = &message;
        let reply = reply.clone().unwrap();
        if message.subject.ends_with(".server_xkey") {
            let key = server.public_key();
            client.publish(reply, key.into()).await.unwrap();
            continue;
        }
        let headers = message.headers.unwrap();
        let host = headers.get(WASMCLOUD_HOST_XKEY).unwrap().as_str();
        let host = XKey::from_public_key(host).unwrap();
        let request = server.open(&message.payload, &host).unwrap();
        let request: SecretRequest = serde_json::from_slice(&request).unwrap();
        let mut secret = Secret::default();
        match request.key.as_str() {
            "bytes" => secret.binary_secret = Some(vec![1, 2, 3]),
            "empty" | "sealed-error" => {}
            "plain" => {
                client.publish(reply, "broken\nhere".into()).await.unwrap();
                continue;
            }
            _ => {
                request.context.valid_claims().unwrap();
                let application = &request.context.application;
                let policy: serde_json::Value = serde_json::from_str(&application.policy).unwrap();
                secret.string_secret = Some(format!(
                    "{:?} {:?} {:?} {}",
                    application.name, request.field, request.version, policy["properties"]["mount"]
                ));
            }
        }
        let response = match request.key.as_str() {
            "sealed-error" => GetSecretError::UpstreamError("down".into()).into(),
            _ => SecretResponse {
                secret: Some(secret),
                error: None,
            },
        };
        let sealer = XKey::new();
        let answer = sealer.seal(&Bytes::from(response), &host).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(RESPONSE_XKEY, sealer.public_key().as_str());
        let answered = client.publish_with_headers(reply, headers, answer.into());
        answered.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_is_told_what_v1_tells_and_its_answers_are_bounded() {
    let mut v1 = V1::start().await;
    v1.tasks.spawn(play(v1.client.clone()));
    let own = v1.folder(&secret("played", "k", ", field: f, version: v2"));
    let told = r#"s: Some(\"shop\") Some(\"f\") Some(\"v2\") \"here\""#;
    let said = v1.said(&own, "signed").await;
    assert_eq!(said.stdout, format!("[\"{told}\"]\n"), "{said:?}");
    let bytes = v1.folder(&secret("played", "bytes", ""));
    // Whether a signature is needed is the backend's to say.
    let said = v1.said(&bytes, "unsigned").await;
    assert_eq!(said.stdout, "[\"s: 3 bytes\"]\n", "{said:?}");
    for (key, words) in [
        ("empty", "has no secret as wasmCloud v1 writes it"),
        ("plain", r"refuses: broken\nhere"),
        ("sealed-error", "refuses: UpstreamError: down"),
    ] {
        let folder = v1.folder(&secret("played", key, ""));
        let said = v1.said(&folder, "signed").await;
        assert!(!said.is_good && said.stderr.contains(words), "{said:?}");
    }
    let without = v1.folder(&secret("played", "k", ""));
    let args = ["call", "app.yaml", "signed", r#"t:names/run#run(["s"])"#];
    let said = without
        .run(&[&args[..], &["--secrets", "played=v1"]].concat())
        .await;
    assert!(said.stderr.contains("runs without one"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_reads_the_bus_the_store_or_the_log_has_the_value() {
    let v1 = V1::start().await;
    v1.put("password", Some(MARKER), None).await;
    v1.allow(&["password"]).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    // Answers have subjects of three tokens. With somebody listening where JetStream delivers, it would deliver too early.
    let mut taps = JoinSet::new();
    for subject in ["wasmcloud.>", "_INBOX.*.*", "$KV.>"] {
        let mut tapped = v1.client.subscribe(subject).await.unwrap();
        let seen = seen.clone();
        taps.spawn(async move {
            while let Some(message) = tapped.next().await {
                seen.lock().unwrap().push(message);
            }
        });
    }
    v1.client.flush().await.unwrap();
    let folder = v1.folder(&secret("kv", "password", ""));
    // The part that nobody has signed gets nothing.
    let manifest = folder.read("app.yaml");
    let (signed, _) = manifest.split_once("    - name: unsigned").unwrap();
    folder.write("app.yaml", signed.as_bytes());
    let url = v1.nats.url();
    let lattice = ["--lattice", url.as_str()];
    let host = [
        "host",
        "--log",
        "debug",
        "--wasmcloud",
        "--secrets",
        "nats-kv=v1",
    ];
    let _host = folder.background("host", &[&host[..], &lattice].concat());
    let put = folder
        .run(&[&["up", "app.yaml", "--wait=60"][..], &lattice].concat())
        .await;
    assert!(put.is_good, "{put:?}\n{}", folder.read("host.log"));
    let get = "wasmcloud.secrets.v1alpha1.nats-kv.get";
    let is_sealed = |m: &Message| {
        let headers = m.headers.as_ref();
        headers.is_some_and(|headers| headers.get(RESPONSE_XKEY).is_some())
    };
    // The taps may be told later than those that they listen to.
    eventually("the question and its sealed answer", async || {
        let seen = seen.lock().unwrap();
        let is_asked = seen.iter().any(|m| m.subject.as_str() == get);
        (is_asked && seen.iter().any(is_sealed)).then_some(())
    })
    .await;
    {
        let seen = seen.lock().unwrap();
        let clean = |m: &Message| !String::from_utf8_lossy(&m.payload).contains(MARKER);
        assert!(seen.iter().all(clean));
    }
    assert!(!folder.read("host.log").contains(MARKER));
    let mut files = 0;
    let mut folders = vec![v1.nats.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        // The server may have removed a folder meanwhile.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    let bytes = std::fs::read(&path).unwrap_or_default();
                    assert!(
                        !String::from_utf8_lossy(&bytes).contains(MARKER),
                        "{path:?}"
                    );
                    files += 1;
                }
            }
        }
    }
    assert!(files > 2, "{files}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_of_v1_shows_the_claims_of_its_archive() {
    let mut v1 = V1::start().await;
    // The backend panics at claims that v1 does not take, and then the application does not run.
    v1.tasks.spawn(play(v1.client.clone()));
    let manifest = "apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: shop}
spec:
  policies:
    - name: played
      type: policy.secret.wasmcloud.dev/v1alpha1
      properties: {backend: played, mount: here}
  components:
    - name: memory
      type: capability
      properties:
        image: file://./memory.par
        secrets: [{name: s, properties: {policy: played, key: KEY}}]
";
    let program = env!("CARGO_BIN_EXE_v1-provider");
    for (key, says) in [
        ("k", None),
        ("bytes", Some("the value is bytes, and the configuration")),
    ] {
        let folder = Folder::with(&manifest.replace("KEY", key));
        command::archive(&folder, "memory", program).await;
        let url = v1.nats.url();
        let lattice = ["--lattice", url.as_str(), "--lattice-name", key];
        let host = [
            "host",
            "--allow-programs",
            "--secrets",
            "played=v1:other.topic",
        ];
        let _host = folder.background("host", &[&host[..], &lattice].concat());
        let up = ["up", "app.yaml", "--wait=60"];
        let put = folder.run(&[&up[..], &lattice].concat()).await;
        let log = folder.read("host.log");
        match says {
            None => assert!(put.is_good, "{put:?}\n{log}"),
            Some(why) => assert!(!put.is_good && put.stderr.contains(why), "{put:?}\n{log}"),
        }
    }
}
