//! Secrets that applications ask for by name, fetched where they are used.
//!
//! An operator says which backends a host has, each under the name that policies of manifests give it. The values come
//! into a plan when it is prepared ([`crate::fetch`]), so that all that carries plans out, changes them and masks them knows
//! them as it knows configuration. Asking a backend at each call of a component was rejected: a change of a secret would reach the one
//! instance and not the other, and a backend that is away would fail calls.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::path::{Component as PathPart, Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout_at};
use withe_linker::plan::PlannedSecret;
use withe_linker::secrets::SecretValue;
use withe_wasmcloud::{
    ArchiveError, BackendError, ComponentJwtError, HostJwt, HostJwtError, Secret, SecretQuestion,
    SecretsBackend, TopicError,
};

/// The largest value, in bytes.
const LARGEST: u64 = 1 << 20;

/// The topic of v1's backends if none is given: that of v1's own backend for NATS.
const V1_TOPIC: &str = "wasmcloud.secrets";

/// How long v1's backends may take for all secrets of a plan together.
const V1_ALL: Duration = Duration::from_secs(30);

/// The text that stands for an application's name in a place.
const APPLICATION: &str = "{application}";

/// Where secrets are, by the names of backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretBackends(BTreeMap<String, SecretBackend>);

/// Where the secrets of one backend are. `{application}` stands for the name of the application that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretBackend {
    /// In a folder: each in the file that its key names. A line break at the end does not belong to a value.
    Folder(String),
    /// In variables of the host's environment whose names are this prefix and the key.
    Environment(String),
    /// In the lattice that the host is on, under names that are this prefix and the key.
    Lattice(String),
    /// At a server of wasmCloud v1, which has the backend's name below this topic on the NATS of the lattice that the
    /// host is on. The server is told the application's name, and decides itself.
    V1(String),
}

/// Whom a host asks for secrets that it has not itself.
pub(crate) struct Sources<'a> {
    /// The lattice that the host is on.
    pub(crate) lattice: Option<&'a dyn LatticeSecrets>,
    /// v1's backends on its NATS.
    pub(crate) v1: Option<&'a V1Sources>,
}

/// v1's backends while one plan is prepared, and the identities that they are asked with.
pub(crate) struct V1Sources {
    /// The connection.
    nats: async_nats::Client,
    /// The JWT of this host.
    host: HostJwt,
    /// The JWTs of those parts that have one, by their names.
    jwts: BTreeMap<String, String>,
    /// When all is to be there.
    until: Instant,
    /// The backends that were asked, by their topics and names.
    backends: Mutex<BTreeMap<(String, String), Arc<SecretsBackend>>>,
}

/// Secrets that a lattice keeps. A host knows no lattice, so whoever makes it a member says how they are had.
#[async_trait]
pub trait LatticeSecrets: Send + Sync + 'static {
    /// The value of the secret of this name, in the version that a manifest names, or the newest.
    ///
    /// # Errors
    ///
    /// Why it cannot be had. Never has a value.
    async fn secret(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<String, Box<dyn Error + Send + Sync>>;
}

/// A text that is no backend.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected `NAME=FOLDER`, `NAME=env:PREFIX` for variables of the environment, `NAME=lattice:PREFIX` for secrets of the \
     lattice, or `NAME=v1:TOPIC` for a secret backend of wasmCloud v1"
)]
pub struct NoBackend;

/// Why a secret cannot be had. Never has its value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The host has no backend of that name.
    #[error(
        "this host has no secret backend `{0}`: name its place with `--secrets {0}=FOLDER`, `--secrets {0}=env:PREFIX`, \
         `--secrets {0}=lattice:PREFIX` or `--secrets {0}=v1:TOPIC`"
    )]
    NoBackend(String),
    /// The file cannot be read.
    #[error("the file `{path}` cannot be read: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// The variable is not there.
    #[error("the host's environment has no variable `{0}`")]
    NoVariable(String),
    /// The key would lead out of the backend's folder.
    #[error("the key `{0}` is no path below the backend's folder")]
    Key(String),
    /// The value has no text.
    #[error("the value is no text in UTF-8")]
    NoText,
    /// The value is too large.
    #[error("the value has more than {LARGEST} bytes")]
    TooLarge,
    /// A field is meant, and the value is no JSON object with such a text.
    #[error("the value is no JSON object with a text `{0}`")]
    Field(String),
    /// A version is meant.
    #[error("the backend keeps no versions: leave `version` out")]
    Version,
    /// The host is on no lattice.
    #[error(
        "the backend keeps its secrets in a lattice, and this application runs without one: give another place by `--secrets`"
    )]
    NoLattice,
    /// The lattice does not give it.
    #[error(transparent)]
    Lattice(Box<dyn Error + Send + Sync>),
    /// The host is on no NATS.
    #[error(
        "the backend is a server on the lattice's NATS, and this application runs without one: join a lattice by `--lattice \
         nats://…`, or give another place by `--secrets`"
    )]
    NoNats,
    /// The backend has no subject.
    #[error("the backend has no subject: {0}")]
    Topic(#[from] TopicError),
    /// A backend of v1 does not give it.
    #[error("{why}{}", no_jwt(*.signed, why))]
    V1Backend {
        /// Why.
        #[source]
        why: Arc<BackendError>,
        /// Whether the part has a JWT.
        signed: bool,
    },
    /// All backends of v1 together take too long.
    #[error(
        "secret backends of wasmCloud v1 have not given all that the plan asks for in {seconds} s: see whether `{0}` answers",
        seconds = V1_ALL.as_secs()
    )]
    V1Late(String),
    /// The application's name cannot be where the topic has it.
    #[error(
        "the backend's topic has `{{application}}`, and the name `{0}` is not one part of a subject of NATS: name the application \
         without dots, or give the backend a topic without it"
    )]
    V1Application(String),
    /// The host cannot say who it is.
    #[error(transparent)]
    HostJwt(#[from] HostJwtError),
    /// The archive of a provider, which has its JWT, cannot be read.
    #[error(transparent)]
    Archive(Box<ArchiveError>),
    /// The JWT in a component does not count.
    #[error(transparent)]
    ComponentJwt(#[from] ComponentJwtError),
    /// Reading a component or an archive was given up.
    #[error("the JWT of the part was not read: {0}")]
    Task(#[source] JoinError),
    /// The value is for configuration.
    #[error(
        "the value is bytes, and the configuration of a provider or a link is text: keep it as text"
    )]
    ConfigBytes,
    /// The provider is somebody else's, who alone has its keys.
    #[error(
        "a provider that a wasmCloud v1 host runs takes secrets of that host only: give them there, or run it here from its archive"
    )]
    V1,
}

/// The advice for a part that has nothing to show, if the backend has refused.
fn no_jwt(signed: bool, why: &BackendError) -> &'static str {
    match (signed, why) {
        (false, BackendError::Refused { .. }) => {
            ". The part has no JWT to show, which `wash build` signs into components and archives of providers"
        }
        _ => "",
    }
}

impl SecretBackends {
    /// Adds a backend; one of the same name is replaced.
    pub fn add(&mut self, name: impl Into<String>, backend: SecretBackend) {
        self.0.insert(name.into(), backend);
    }

    /// Whether the backend of this name is a server of v1.
    pub(crate) fn is_v1(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(SecretBackend::V1(_)))
    }

    /// Fetches a secret for a part of an application.
    ///
    /// # Errors
    ///
    /// See [`SecretError`].
    pub(crate) async fn fetch(
        &self,
        application: &str,
        part: &str,
        secret: &PlannedSecret,
        sources: &Sources<'_>,
    ) -> Result<SecretValue, SecretError> {
        let backend = self.0.get(&secret.backend);
        let backend = backend.ok_or_else(|| SecretError::NoBackend(secret.backend.clone()))?;
        let keeps_versions = matches!(backend, SecretBackend::Lattice(_) | SecretBackend::V1(_));
        if secret.version.is_some() && !keeps_versions {
            return Err(SecretError::Version);
        }
        let text = match backend {
            SecretBackend::V1(topic) => {
                let v1 = sources.v1.ok_or(SecretError::NoNats)?;
                return v1.fetch(topic, application, part, secret).await;
            }
            SecretBackend::Lattice(prefix) => {
                let lattice = sources.lattice.ok_or(SecretError::NoLattice)?;
                let name = match prefix.contains(APPLICATION) {
                    true => prefix.replace(APPLICATION, &file_name(application)?),
                    false => prefix.clone(),
                } + &secret.key;
                let value = lattice.secret(&name, secret.version.as_deref()).await;
                value.map_err(SecretError::Lattice)?
            }
            SecretBackend::Folder(folder) => {
                let folder = folder.replace(APPLICATION, &file_name(application)?);
                read(Path::new(&folder), &secret.key)?
            }
            SecretBackend::Environment(prefix) => {
                let name = prefix.replace(APPLICATION, application) + &secret.key;
                // `var_os` may panic at anything else.
                let is_name = !name.is_empty() && !name.contains(['=', '\0']);
                let value = is_name.then(|| std::env::var_os(&name)).flatten();
                let value = value.ok_or(SecretError::NoVariable(name))?;
                OsString::into_string(value).map_err(|_| SecretError::NoText)?
            }
        };
        let Some(field) = &secret.field else {
            return Ok(SecretValue::Text(text));
        };
        let object: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let value = object.get(field).and_then(|value| value.as_str());
        value
            .map(|value| SecretValue::Text(value.to_owned()))
            .ok_or_else(|| SecretError::Field(field.clone()))
    }
}

impl V1Sources {
    /// Sources for one plan, whose time begins now. `jwts` has the JWTs of those parts that have one, by their names.
    pub(crate) fn new(
        nats: async_nats::Client,
        host: HostJwt,
        jwts: BTreeMap<String, String>,
    ) -> Self {
        Self {
            nats,
            host,
            jwts,
            until: Instant::now() + V1_ALL,
            backends: Mutex::default(),
        }
    }

    /// The backend of this name below `topic`: one for all that the plan asks of it.
    fn backend(&self, topic: String, name: &str) -> Result<Arc<SecretsBackend>, SecretError> {
        // The value is whole at any time.
        let backends = self.backends.lock();
        let mut backends = backends.unwrap_or_else(PoisonError::into_inner);
        let key = (topic, name.to_owned());
        if let Some(backend) = backends.get(&key) {
            return Ok(backend.clone());
        }
        let backend = Arc::new(SecretsBackend::new(self.nats.clone(), &key.0, name)?);
        backends.insert(key, backend.clone());
        Ok(backend)
    }

    /// Fetches a secret from the backend below `topic` that has the name of the secret's. The backend takes the field out
    /// of the value, and knows the versions.
    async fn fetch(
        &self,
        topic: &str,
        application: &str,
        part: &str,
        secret: &PlannedSecret,
    ) -> Result<SecretValue, SecretError> {
        let topic = v1_topic(topic, application)?;
        let backend = self.backend(topic, &secret.backend)?;
        let jwt = self.jwts.get(part);
        let question = SecretQuestion {
            key: &secret.key,
            field: secret.field.as_deref(),
            version: secret.version.as_deref(),
            properties: &secret.properties,
            application,
            entity_jwt: jwt.map_or("", String::as_str),
            host_jwt: &self.host,
        };
        let signed = jwt.is_some();
        let value = timeout_at(self.until, backend.get(&question)).await;
        let value = value.map_err(|_| SecretError::V1Late(secret.backend.clone()))?;
        let value = value.map_err(|why| SecretError::V1Backend { why, signed })?;
        let (size, value) = match value {
            Secret::Text(text) => (text.len(), SecretValue::Text(text)),
            Secret::Bytes(bytes) => (bytes.len(), SecretValue::Bytes(bytes)),
        };
        match size as u64 > LARGEST {
            true => Err(SecretError::TooLarge),
            false => Ok(value),
        }
    }
}

impl FromStr for SecretBackend {
    type Err = NoBackend;

    fn from_str(text: &str) -> Result<Self, NoBackend> {
        let (kind, prefix) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "env" => Ok(Self::Environment(prefix.to_owned())),
            "lattice" => Ok(Self::Lattice(prefix.to_owned())),
            "v1" if prefix.is_empty() => Ok(Self::V1(V1_TOPIC.to_owned())),
            "v1" => Ok(Self::V1(prefix.to_owned())),
            _ if text.is_empty() => Err(NoBackend),
            _ => Ok(Self::Folder(text.to_owned())),
        }
    }
}

/// The topic for an application. One with a dot in its name would have the subjects of another.
fn v1_topic(topic: &str, application: &str) -> Result<String, SecretError> {
    if !topic.contains(APPLICATION) {
        return Ok(topic.to_owned());
    }
    match application.contains('.') {
        true => Err(SecretError::V1Application(application.to_owned())),
        false => Ok(topic.replace(APPLICATION, application)),
    }
}

/// An application's name as one part of a path, so that none is read as another's and a part of its key.
fn file_name(application: &str) -> Result<String, SecretError> {
    let mut parts = Path::new(application).components();
    match (parts.next(), parts.next()) {
        (Some(PathPart::Normal(_)), None) => Ok(application.to_owned()),
        _ => Err(SecretError::Key(application.to_owned())),
    }
}

fn read(folder: &Path, key: &str) -> Result<String, SecretError> {
    let mut parts = Path::new(key).components().peekable();
    if parts.peek().is_none() || !parts.all(|part| matches!(part, PathPart::Normal(_))) {
        return Err(SecretError::Key(key.to_owned()));
    }
    let path = folder.join(key);
    let bytes = std::fs::metadata(&path).and_then(|metadata| match metadata.len() {
        0..=LARGEST => std::fs::read(&path).map(Some),
        _ => Ok(None),
    });
    let bytes = bytes.map_err(|why| SecretError::File { path, why })?;
    let bytes = bytes.ok_or(SecretError::TooLarge)?;
    let mut text = String::from_utf8(bytes).map_err(|_| SecretError::NoText)?;
    // Editors and shells put it there.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(key: &str, field: Option<&str>) -> PlannedSecret {
        PlannedSecret {
            name: "password".into(),
            policy: "vault".into(),
            backend: "vault".into(),
            properties: Default::default(),
            key: key.into(),
            field: field.map(Into::into),
            version: None,
        }
    }

    fn backends(place: &str) -> SecretBackends {
        let mut backends = SecretBackends::default();
        backends.add("vault", place.parse().unwrap());
        backends
    }

    /// Fetches a secret, which is text.
    async fn fetch_text(
        backends: &SecretBackends,
        application: &str,
        secret: &PlannedSecret,
        lattice: Option<&dyn LatticeSecrets>,
    ) -> Result<String, SecretError> {
        let sources = Sources { lattice, v1: None };
        let fetched = backends.fetch(application, "cart", secret, &sources).await;
        fetched.map(|value| value.text().unwrap().to_owned())
    }

    #[test]
    fn a_topic_of_v1_may_have_the_applications_name() {
        let topic = |topic, application| v1_topic(topic, application).ok();
        assert_eq!(topic("a.b", "shop.de").as_deref(), Some("a.b"));
        let of_shop = topic("a.{application}.b", "shop");
        assert_eq!(of_shop.as_deref(), Some("a.shop.b"));
        assert_eq!(topic("a.{application}", "shop.de"), None);
    }

    #[tokio::test]
    async fn files_are_read_without_the_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        write("shop/a", b"one\n");
        write("shop/b", b"one\ntwo\r\n");
        write("shop/c", br#"{"user": "me", "n": 1}"#);
        write("shop/d", &[0xff]);
        write("shop/e", &vec![b'x'; LARGEST as usize + 1]);
        let place = format!("{}/{APPLICATION}", folder.path().display());
        let backends = backends(&place);
        let fetch = async |key: &str, field| {
            let fetched = fetch_text(&backends, "shop", &secret(key, field), None).await;
            fetched.map_err(|why| why.to_string())
        };
        assert_eq!(fetch("a", None).await.unwrap(), "one");
        assert_eq!(fetch("b", None).await.unwrap(), "one\ntwo");
        assert_eq!(fetch("c", Some("user")).await.unwrap(), "me");
        for (key, field, why) in [
            ("c", Some("n"), "no JSON object with a text `n`"),
            ("a", Some("user"), "no JSON object"),
            ("d", None, "no text"),
            ("e", None, "more than 1048576 bytes"),
            ("missing", None, "cannot be read"),
            ("../shop/a", None, "no path below"),
            ("/etc/hostname", None, "no path below"),
            ("", None, "no path below"),
        ] {
            let said = fetch(key, field).await.unwrap_err();
            assert!(said.contains(why), "{key}: {said}");
        }
        // Another application has a folder of its own, and none outside.
        for (application, key) in [("other", "a"), ("..", "shop/a")] {
            let fetched = fetch_text(&backends, application, &secret(key, None), None).await;
            assert!(fetched.is_err(), "{application}");
        }
    }

    #[tokio::test]
    async fn variables_are_read_and_what_is_missing_is_named() {
        // A variable that every process has.
        let backends = backends("env:PA");
        let path = fetch_text(&backends, "shop", &secret("TH", None), None).await;
        let path = path.unwrap();
        assert_eq!(Some(path), std::env::var("PATH").ok());
        let said = fetch_text(&backends, "shop", &secret("NONE", None), None).await;
        let said = said.unwrap_err();
        assert!(said.to_string().contains("`PANONE`"), "{said}");
        let said = fetch_text(&backends, "shop", &secret("A=B", None), None).await;
        said.unwrap_err();
        let other = PlannedSecret {
            backend: "other".into(),
            ..secret("TH", None)
        };
        let said = fetch_text(&backends, "shop", &other, None).await;
        let said = said.unwrap_err().to_string();
        assert!(said.contains("--secrets other=FOLDER"), "{said}");
        let old = PlannedSecret {
            version: Some("1".into()),
            ..secret("TH", None)
        };
        assert!(matches!(
            fetch_text(&backends, "shop", &old, None).await,
            Err(SecretError::Version)
        ));
        assert!("".parse::<SecretBackend>().is_err());
        for (place, topic) in [("v1", V1_TOPIC), ("v1:", V1_TOPIC), ("v1:a.b", "a.b")] {
            let backend: SecretBackend = place.parse().unwrap();
            assert_eq!(backend, SecretBackend::V1(topic.to_owned()));
        }
        let said = fetch_text(&super::tests::backends("v1"), "shop", &old, None).await;
        assert!(matches!(said, Err(SecretError::NoNats)), "{said:?}");
    }

    /// Says which secret it was asked for.
    struct Echo;

    #[async_trait]
    impl LatticeSecrets for Echo {
        async fn secret(
            &self,
            name: &str,
            version: Option<&str>,
        ) -> Result<String, Box<dyn Error + Send + Sync>> {
            match version {
                Some("9") => Err("no version 9".into()),
                version => Ok(format!("{name} {version:?}")),
            }
        }
    }

    #[tokio::test]
    async fn a_lattice_is_asked_for_the_name_and_the_version() {
        let fetch = async |place: &str, application: &str, version: Option<&str>, lattice| {
            let secret = PlannedSecret {
                version: version.map(Into::into),
                ..secret("a/b", None)
            };
            let backends = backends(place);
            let fetched = fetch_text(&backends, application, &secret, lattice).await;
            fetched.map_err(|why| why.to_string())
        };
        let echo: Option<&dyn LatticeSecrets> = Some(&Echo);
        for (place, version, name) in [
            ("lattice", None, "a/b None"),
            ("lattice:", Some("2"), "a/b Some(\"2\")"),
            ("lattice:x/", None, "x/a/b None"),
            ("lattice:{application}/", None, "shop/a/b None"),
        ] {
            assert_eq!(fetch(place, "shop", version, echo).await.unwrap(), name);
        }
        let said = fetch("lattice", "shop", Some("9"), echo).await.unwrap_err();
        assert_eq!(said, "no version 9");
        // The application `shop/a` has none of the secrets of `shop`.
        let said = fetch("lattice:{application}/", "shop/a", None, echo).await;
        assert!(said.unwrap_err().contains("`shop/a`"));
        let said = fetch("lattice", "shop", None, None).await.unwrap_err();
        assert!(said.contains("runs without one"), "{said}");
        assert!("lattice".parse::<SecretBackend>().is_ok());
    }
}
