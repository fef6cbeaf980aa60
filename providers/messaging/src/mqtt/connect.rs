//! Where a broker is, and the way there: TCP, or TLS.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::packet::{PacketError, Qos};
use crate::mqtt_codes::{is_of_user, refusal};

/// How long connecting may take.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// The broker where nobody names one.
pub(crate) const DEFAULT_URL: &str = "mqtt://127.0.0.1:1883";

/// Where the broker is, and as whom to connect.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct MqttConfig {
    /// May hold a password: never printed.
    pub(crate) url: String,
    /// How messages are carried.
    pub(crate) qos: Qos,
    /// Certificates of the authorities to trust, as PEM: a file.
    pub(crate) ca_file: Option<String>,
    /// The same as text.
    pub(crate) ca: Option<String>,
}

impl fmt::Debug for MqttConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Place::of(&self.url).map(|place| place.address());
        f.debug_struct("MqttConfig")
            .field("url", &place)
            .finish_non_exhaustive()
    }
}

/// Checks a URL; `Err` says what is expected.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    Place::of(url)
        .map(drop)
        .ok_or("`mqtt://[USER:PASSWORD@]HOST[:PORT]`, or `mqtts://…` for TLS")
}

/// Whether a URL asks for TLS.
pub(crate) fn is_tls(url: &str) -> bool {
    Place::of(url).is_some_and(|place| place.tls)
}

/// The parts of a URL.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    tls: bool,
    host: String,
    port: u16,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl Place {
    fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8().ok()?.into_owned();
            super::packet::is_text(&text).then_some(text)
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, "")) => (Some(decoded(user)?), None),
            Some((user, password)) => (Some(decoded(user)?), Some(decoded(password)?)),
            None => (None, None),
        };
        let (host, number) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']')?;
                match behind.is_empty() {
                    true => (host, None),
                    false => (host, Some(behind.strip_prefix(':')?)),
                }
            }
            None => match place.split_once(':') {
                Some((host, number)) => (host, Some(number)),
                None => (place, None),
            },
        };
        let port = number.map_or(Some(port), |number| number.parse().ok())?;
        let is_host = !host.is_empty() && !host.contains(['/', '?', '#', ' ']);
        is_host.then(|| Self {
            tls,
            host: host.to_owned(),
            port,
            user,
            password,
        })
    }

    /// The part of the URL that can be shown.
    pub(super) fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// A broker cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Nobody answers, or whoever does is no broker that can be used.
    #[error(
        "cannot reach the MQTT broker at {address}: {why}; start it there (`mosquitto`), or correct the link's `mqtt_url`"
    )]
    Unreachable {
        address: String,
        #[source]
        why: NoConnection,
    },
    /// The broker is there, and refuses whoever connects.
    #[error(
        "the MQTT broker at {address} refuses the user: {why}; correct the user and the password in the link's `mqtt_url` \
         (`mqtt://USER:PASSWORD@…`), or let the user connect there"
    )]
    Refused {
        address: String,
        #[source]
        why: NoConnection,
    },
}

impl ConnectError {
    pub(super) fn new(address: String, why: NoConnection) -> Self {
        match why {
            NoConnection::Refused(code) if is_of_user(code) => Self::Refused { address, why },
            why => Self::Unreachable { address, why },
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConnection {
    #[error("`mqtt_url` is no URL of a broker")]
    Url,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("no answer in {} s", .0.as_secs())]
    Late(Duration),
    #[error("`{path}` cannot be read: {why}")]
    File {
        path: String,
        #[source]
        why: std::io::Error,
    },
    #[error("the certificates are no PEM: {0}")]
    Certificates(#[source] pem::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("no certificate could have this name: {0}")]
    Name(#[from] InvalidDnsNameError),
    #[error("it sends {0}")]
    Packet(#[from] PacketError),
    #[error("it closed the connection")]
    Closed,
    #[error("it refused with the code {0:#x}: {text}", text = refusal(*.0))]
    Refused(u8),
    #[error("it lacks {0}, which a broker of MQTT 5 may, and this needs")]
    Lacks(&'static str),
}

/// A connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The way to a broker.
pub(super) struct Way {
    pub(super) place: Place,
    tls: Option<TlsConnector>,
}

impl Way {
    /// The way that a configuration names.
    pub(super) async fn of(config: &MqttConfig) -> Result<Self, ConnectError> {
        let place = Place::of(&config.url);
        let address = || place.as_ref().map_or_else(String::new, Place::address);
        let failed = |why| ConnectError::new(address(), why);
        let Some(found) = place.clone() else {
            return Err(failed(NoConnection::Url));
        };
        let tls = match found.tls {
            true => Some(tls(config).await.map_err(failed)?),
            false => None,
        };
        Ok(Self { place: found, tls })
    }

    /// Connects, without a word of MQTT.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, NoConnection> {
        let Place { host, port, .. } = &self.place;
        let connecting = async {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = &self.tls else {
                return Ok(Box::new(stream) as Box<dyn Stream>);
            };
            let name = ServerName::try_from(host.clone())?;
            Ok(Box::new(tls.connect(name, stream).await?) as Box<dyn Stream>)
        };
        let connected = timeout(CONNECT, connecting).await;
        connected.unwrap_or(Err(NoConnection::Late(CONNECT)))
    }
}

async fn tls(config: &MqttConfig) -> Result<TlsConnector, NoConnection> {
    let mut roots = rustls::RootCertStore::empty();
    let pem = match (&config.ca, &config.ca_file) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(path)) => {
            let read = tokio::fs::read_to_string(path).await;
            Some(read.map_err(|why| NoConnection::File {
                path: path.clone(),
                why,
            })?)
        }
        (None, None) => None,
    };
    match pem {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate.map_err(NoConnection::Certificates)?)?;
            }
        }
        None => {
            // Certificates that cannot be read, or are none, are the system's to mend; the others do.
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(tls)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_where_the_broker_is_and_show_no_password() {
        let place = |url| Place::of(url).map(|place| (place.address(), place.tls));
        assert_eq!(place("mqtt://h"), Some(("h:1883".into(), false)));
        assert_eq!(place("mqtts://h/"), Some(("h:8883".into(), true)));
        assert_eq!(place("MQTT://u:p@h:7"), Some(("h:7".into(), false)));
        assert_eq!(place("mqtt://[::1]:7"), Some(("[::1]:7".into(), false)));
        assert_eq!(place("mqtts://[::1]"), Some(("[::1]:8883".into(), true)));
        let login = Place::of("mqtt://me:a%40b%3a@h").unwrap();
        assert_eq!(
            (login.user.as_deref(), login.password.as_deref()),
            (Some("me"), Some("a@b:"))
        );
        for wrong in [
            "",
            "h",
            "nats://h",
            "mqtt://",
            "mqtt://h:x",
            "mqtt://[::1",
            "mqtt://a/b",
        ] {
            assert!(check_url(wrong).is_err(), "{wrong}");
        }
        let config = MqttConfig {
            url: "mqtt://me:s3cret@h".into(),
            qos: Qos::default(),
            ca_file: None,
            ca: None,
        };
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
