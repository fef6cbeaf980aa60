//! Asks v1's secret backends, which are servers on NATS, as v1's hosts do.
//!
//! A backend answers on `{topic}.v1alpha1.{backend}.server_xkey` with its public key, and on `….get` with a secret. The request is
//! sealed for that key, and the answer for a key that is made for the one request, so nobody who only listens reads either.
//! The backend's key comes over the bus, and nothing proves whose it is: a client that may answer on the backend's subjects, and the NATS
//! server, can put a key of their own in its place, and read the request and answer with a value. A client that asks for a secret as
//! somebody else needs no more than that one's JWT, which whoever has the component has, too. So the rights on these subjects are
//! what protects secrets. Who asks is in the request: the JWT that the part's maker has signed, and one of the host. Whether those suffice is the
//! backend's to decide.
//!
//! The backend's key is asked for once by each [`SecretsBackend`], which is for the secrets of one plan. v1's hosts ask once
//! for ever: a backend that was started again with another key then answers nothing until the host is started again, too.
//!
//! The form is that of v1's crate `wasmcloud-secrets-types`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::{Client, HeaderMap, Message, RequestError, RequestErrorKind};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use nkeys::{KeyPair, XKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// The version of v1's secrets API, in subjects.
const API: &str = "v1alpha1";
/// The header with the key for which the answer is sealed.
const ASKED_BY: &str = "WasmCloud-Host-Xkey";
/// The header of an answer with the key that sealed it. An answer without it is an error, in the clear.
const SEALED_BY: &str = "Server-Response-Xkey";
/// The type of a policy's properties in a request.
const PROPERTIES: &str = "properties.secret.wasmcloud.dev/v1alpha1";
/// How long a backend may take for an answer. v1's hosts wait as long.
const ANSWER: Duration = Duration::from_secs(10);
/// The most characters of a backend's words that are passed on.
const MOST_SAID: usize = 300;

/// A JWT that a host has made of itself, for v1's secret backends. Its key is made with it, and is nowhere else.
#[derive(Clone)]
pub struct HostJwt(String);

impl fmt::Debug for HostJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostJwt")
    }
}

/// A JWT cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("this host's JWT cannot be made: {0}")]
pub struct HostJwtError(#[source] nkeys::error::Error);

impl HostJwt {
    /// The JWT of a host of this name.
    ///
    /// # Errors
    ///
    /// If its key cannot sign.
    pub fn new(name: &str) -> Result<Self, HostJwtError> {
        let key = KeyPair::new_server();
        let public = key.public_key();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let id = Sha256::digest(format!("{public} {now}"));
        let claims = json!({
            "jti": hex::encode(&id[..16]),
            "iat": now,
            "iss": public,
            "sub": public,
            "wascap": { "name": name },
        });
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "typ": "jwt", "alg": "Ed25519" });
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = key.sign(signed.as_bytes()).map_err(HostJwtError)?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(Self(format!("{signed}.{signature}")))
    }
}

/// A backend of v1 that is reached over a connection to NATS.
pub struct SecretsBackend {
    nats: Client,
    /// The subject of its operations, up to the dot before their names.
    subject: String,
    /// The key for which requests are sealed, or why there is none. A backend that hangs is waited for once, and not by
    /// each who asks for a secret.
    server: OnceCell<Result<XKey, Arc<BackendError>>>,
}

/// A topic or the name of a backend is no part of a subject.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no part of a subject of NATS: parts have no white space and no wildcards, and none is empty"
)]
pub struct TopicError(String);

/// The secret that a backend is asked for, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct SecretQuestion<'a> {
    /// The secret's key at the backend.
    pub key: &'a str,
    /// The field that is meant, which the backend takes out of the value.
    pub field: Option<&'a str>,
    /// The version that is meant; the newest if it is none.
    pub version: Option<&'a str>,
    /// The properties of the secret's policy.
    pub properties: &'a BTreeMap<String, String>,
    /// The name of the application that the part belongs to.
    pub application: &'a str,
    /// The JWT of the part that is to have the secret; empty if nobody has signed it.
    pub entity_jwt: &'a str,
    /// The JWT of the host.
    pub host_jwt: &'a HostJwt,
}

/// The value of a secret, as a backend has it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Why a backend gives no secret. Never has a value.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Nobody listens.
    #[error("nobody answers on `{0}`: start the backend there, or correct its topic or name")]
    Nobody(String),
    /// Nobody answers in time.
    #[error("the backend on `{0}` has not answered for {seconds} s", seconds = ANSWER.as_secs())]
    Late(String),
    /// NATS cannot carry it.
    #[error("the backend on `{subject}` cannot be asked: {why}")]
    Request {
        /// The subject.
        subject: String,
        /// Why.
        #[source]
        why: RequestError,
    },
    /// The backend does not say by which key it is written to.
    #[error("what the backend on `{subject}` says is no public key: {why}")]
    Key {
        /// The subject.
        subject: String,
        /// Why.
        #[source]
        why: nkeys::error::Error,
    },
    /// The request cannot be sealed.
    #[error("the request cannot be sealed: {0}")]
    Seal(#[source] nkeys::error::Error),
    /// The request cannot be written.
    #[error("the request cannot be written: {0}")]
    Write(#[source] serde_json::Error),
    /// The backend refuses.
    #[error("the backend on `{subject}` refuses: {said}")]
    Refused {
        /// The subject.
        subject: String,
        /// Its own words.
        said: String,
    },
    /// The answer does not open.
    #[error("the answer of the backend on `{subject}` does not open: {why}")]
    Open {
        /// The subject.
        subject: String,
        /// Why.
        #[source]
        why: nkeys::error::Error,
    },
    /// The answer is not what v1's backends say.
    #[error("the answer of the backend on `{subject}` has no secret as wasmCloud v1 writes it")]
    Answer {
        /// The subject.
        subject: String,
    },
}

impl SecretsBackend {
    /// The backend of this name below this topic, which v1's hosts are given by `--secrets-topic`. Asks nothing.
    ///
    /// # Errors
    ///
    /// If a subject cannot have these names.
    pub fn new(nats: Client, topic: &str, backend: &str) -> Result<Self, TopicError> {
        let subject = subject(topic, backend)?;
        let server = OnceCell::new();
        Ok(Self {
            nats,
            subject,
            server,
        })
    }

    /// Asks for a secret.
    ///
    /// # Errors
    ///
    /// If the backend does not answer in 10 s, refuses, or answers nonsense.
    pub async fn get(&self, question: &SecretQuestion<'_>) -> Result<Secret, Arc<BackendError>> {
        let server = self.server.get_or_init(async || {
            let key = self.server_key().await;
            key.map_err(Arc::new)
        });
        match server.await {
            Ok(server) => Ok(self.get_sealed(question, server).await?),
            Err(why) => Err(why.clone()),
        }
    }

    /// Asks for a secret by a request that is sealed for this key.
    async fn get_sealed(
        &self,
        question: &SecretQuestion<'_>,
        server: &XKey,
    ) -> Result<Secret, BackendError> {
        let own = XKey::new();
        let request = serde_json::to_vec(&Request::of(question)).map_err(BackendError::Write)?;
        let sealed = own.seal(&request, server).map_err(BackendError::Seal)?;
        let mut headers = HeaderMap::new();
        headers.insert(ASKED_BY, own.public_key());
        let subject = format!("{}.get", self.subject);
        let answer = self.ask(&subject, headers, sealed.into()).await?;
        let sealed_by = answer.headers.as_ref().and_then(|h| h.get(SEALED_BY));
        let Some(sealed_by) = sealed_by else {
            let said = refusal(&answer.payload);
            return Err(BackendError::Refused { subject, said });
        };
        let opened = XKey::from_public_key(sealed_by.as_str())
            .and_then(|server| own.open(&answer.payload, &server));
        let opened = match opened {
            Ok(opened) => opened,
            Err(why) => return Err(BackendError::Open { subject, why }),
        };
        let answer: Answer = match serde_json::from_slice(&opened) {
            Ok(answer) => answer,
            // The reason would quote the answer.
            Err(_) => return Err(BackendError::Answer { subject }),
        };
        match answer {
            Answer {
                error: Some(error), ..
            } => Err(BackendError::Refused {
                subject,
                said: words(&error),
            }),
            Answer {
                secret: Some(secret),
                ..
            } => match (secret.string_secret, secret.binary_secret) {
                (Some(text), _) => Ok(Secret::Text(text)),
                (None, Some(bytes)) => Ok(Secret::Bytes(bytes)),
                (None, None) => Err(BackendError::Answer { subject }),
            },
            Answer { .. } => Err(BackendError::Answer { subject }),
        }
    }

    /// The key for which requests are sealed.
    async fn server_key(&self) -> Result<XKey, BackendError> {
        let subject = format!("{}.server_xkey", self.subject);
        let answer = self.ask(&subject, HeaderMap::new(), Bytes::new()).await?;
        let text = String::from_utf8_lossy(&answer.payload);
        XKey::from_public_key(text.trim()).map_err(|why| BackendError::Key { subject, why })
    }

    async fn ask(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Message, BackendError> {
        // The client's own limit would be whatever the connection was made with.
        let request = async_nats::Request::new()
            .headers(headers)
            .payload(payload)
            .timeout(None);
        let asked = self.nats.send_request(subject.to_owned(), request);
        match timeout(ANSWER, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(match why.kind() {
                RequestErrorKind::NoResponders => BackendError::Nobody(subject.to_owned()),
                RequestErrorKind::TimedOut => BackendError::Late(subject.to_owned()),
                _ => BackendError::Request {
                    subject: subject.to_owned(),
                    why,
                },
            }),
            Err(_) => Err(BackendError::Late(subject.to_owned())),
        }
    }
}

/// The subject of a backend's operations, up to the dot before their names.
fn subject(topic: &str, backend: &str) -> Result<String, TopicError> {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || "*>".contains(c);
    let is_token = |token: &str| !token.is_empty() && !token.contains(is_bad);
    for part in [topic, backend] {
        if !part.split('.').all(is_token) {
            return Err(TopicError(part.escape_debug().to_string()));
        }
    }
    Ok(format!("{topic}.{API}.{backend}"))
}

/// A request, as v1 writes it.
#[derive(Serialize)]
struct Request<'a> {
    key: &'a str,
    field: Option<&'a str>,
    version: Option<&'a str>,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    entity_jwt: &'a str,
    host_jwt: &'a str,
    application: Application<'a>,
}

#[derive(Serialize)]
struct Application<'a> {
    name: &'a str,
    /// JSON, as a text.
    policy: String,
}

impl<'a> Request<'a> {
    fn of(question: &SecretQuestion<'a>) -> Self {
        let policy = json!({ "type": PROPERTIES, "properties": question.properties });
        Self {
            key: question.key,
            field: question.field,
            version: question.version,
            context: Context {
                entity_jwt: question.entity_jwt,
                host_jwt: &question.host_jwt.0,
                application: Application {
                    name: question.application,
                    policy: policy.to_string(),
                },
            },
        }
    }
}

/// An answer, as v1 writes it. Has a secret or an error.
#[derive(Deserialize)]
struct Answer {
    secret: Option<SecretAnswer>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct SecretAnswer {
    string_secret: Option<String>,
    binary_secret: Option<Vec<u8>>,
}

/// The reason in an answer that is not sealed.
fn refusal(payload: &[u8]) -> String {
    match serde_json::from_slice(payload) {
        Ok(Answer {
            error: Some(error), ..
        }) => words(&error),
        Ok(_) => "no reason given".to_owned(),
        Err(_) => shown(&String::from_utf8_lossy(payload)),
    }
}

/// An error as v1 writes it, for people: its name, and its reason if it has one.
fn words(error: &Value) -> String {
    match error {
        Value::String(name) => shown(name),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, why)| match why {
                Value::String(why) => format!("{name}: {why}"),
                why => format!("{name}: {why}"),
            });
            shown(&fields.collect::<Vec<_>>().join(", "))
        }
        other => shown(&other.to_string()),
    }
}

/// A text that others wrote, on one line of bounded length.
fn shown(text: &str) -> String {
    let mut shown: String = text.escape_debug().take(MOST_SAID).collect();
    if text.escape_debug().nth(MOST_SAID).is_some() {
        shown.push('…');
    }
    match shown.is_empty() {
        true => "no reason given".to_owned(),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question<'a>(
        host: &'a HostJwt,
        properties: &'a BTreeMap<String, String>,
    ) -> SecretQuestion<'a> {
        SecretQuestion {
            key: "k",
            field: None,
            version: Some("2"),
            properties,
            application: "shop",
            entity_jwt: "",
            host_jwt: host,
        }
    }

    #[test]
    fn a_request_has_the_form_of_v1() {
        let host = HostJwt::new("h").unwrap();
        let properties = BTreeMap::from([("mount".to_owned(), "kv".to_owned())]);
        let request = Request::of(&question(&host, &properties));
        let mut request = serde_json::to_value(&request).unwrap();
        let policy = request["context"]["application"]["policy"].take();
        let policy: Value = serde_json::from_str(policy.as_str().unwrap()).unwrap();
        assert_eq!(
            policy,
            json!({"type": "properties.secret.wasmcloud.dev/v1alpha1", "properties": {"mount": "kv"}})
        );
        let expected = json!({
            "key": "k", "field": null, "version": "2",
            "context": {
                "entity_jwt": "", "host_jwt": host.0, "application": {"name": "shop", "policy": null},
            },
        });
        assert_eq!(request, expected);
    }

    #[test]
    fn subjects_have_no_wildcards_and_no_empty_parts() {
        assert_eq!(
            subject("wasmcloud.secrets", "nats-kv").unwrap(),
            "wasmcloud.secrets.v1alpha1.nats-kv"
        );
        for (topic, backend) in [
            ("", "b"),
            ("a.", "b"),
            ("a", "b c"),
            ("a.*", "b"),
            ("a", ">"),
        ] {
            subject(topic, backend).unwrap_err();
        }
    }

    #[test]
    fn a_hosts_jwt_is_signed_by_the_host_itself() {
        let HostJwt(jwt) = HostJwt::new("here").unwrap();
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let (_, claims) = signed.split_once('.').unwrap();
        let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["sub"], claims["iss"]);
        assert_eq!(claims["wascap"]["name"], "here");
        let key = KeyPair::from_public_key(claims["iss"].as_str().unwrap()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        key.verify(signed.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn what_a_backend_says_is_one_short_line() {
        for (payload, said) in [
            (r#"{"error": "SecretNotFound"}"#, "SecretNotFound"),
            (
                r#"{"error": {"InvalidEntityJWT": "no\ntoken"}}"#,
                r"InvalidEntityJWT: no\ntoken",
            ),
            ("{}", "no reason given"),
            ("", "no reason given"),
            ("unknown operation", "unknown operation"),
            ("{\"error\": [1]}", "[1]"),
        ] {
            assert_eq!(refusal(payload.as_bytes()), said, "{payload}");
        }
        let long = refusal("x".repeat(2 * MOST_SAID).as_bytes());
        assert_eq!(long.chars().count(), MOST_SAID + 1);
    }
}
