//! Connections to NATS, for providers that keep or send something there.
//!
//! A provider makes a [`NatsAccess`] of its configuration: where the servers are, and as whom to connect. The provider adds
//! that to the options that are the provider's own, such as its name and its timeouts. Nothing of it is ever printed
//! but where the servers are.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::rustls::pki_types::pem::PemObject as _;
use async_nats::rustls::pki_types::{CertificateDer, pem};
use async_nats::{AuthError, Client, ConnectErrorKind, ConnectOptions, ServerAddr, rustls};

use crate::BackOff;

/// How long is waited before connecting again, after so many attempts.
const AGAIN: BackOff = BackOff {
    first: Duration::from_millis(20),
    most: Duration::from_millis(500),
};

/// Where NATS is, and as whom to connect.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct NatsAccess {
    /// URLs, one or several with commas between them: `nats://[USER:PASSWORD@]HOST[:PORT]`, `tls://…`, or a host alone.
    pub urls: String,
    /// A user's JWT, and the seed of its key.
    pub user: Option<(String, String)>,
    /// A file with both.
    pub credentials_file: Option<String>,
    /// Certificates of the authorities to trust, as PEM: a file. TLS is spoken then. The system's are trusted if
    /// there are none.
    pub ca_file: Option<String>,
    /// The same as text, which goes before the file.
    pub ca: Option<String>,
}

impl fmt::Debug for NatsAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsAccess")
            .field("at", &self.address())
            .finish_non_exhaustive()
    }
}

/// A server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NatsConnectError {
    /// Nobody answers.
    #[error(
        "cannot reach NATS at `{address}`: {why}; start it there (`nats-server -js`), or correct its URL"
    )]
    Unreachable {
        /// Where it should be.
        address: String,
        /// Why there is no connection.
        #[source]
        why: async_nats::ConnectError,
    },
    /// The server is there, and refuses whoever connects.
    #[error(
        "NATS at `{address}` refuses the user: {why}; correct the user and the password in its URL \
         (`nats://USER:PASSWORD@…`), or the JWT, the seed or the credentials that are given"
    )]
    Refused {
        /// Where it is.
        address: String,
        /// The server's words.
        #[source]
        why: async_nats::ConnectError,
    },
    /// A file that is named cannot be read.
    #[error("cannot connect to NATS: `{path}` cannot be read: {why}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        why: std::io::Error,
    },
    /// The URLs are none.
    #[error("cannot connect to NATS: expected {0}")]
    Urls(&'static str),
    /// The seed is none.
    #[error("cannot connect to NATS: the seed is no key: {0}")]
    Seed(#[source] nkeys::error::Error),
    /// The certificates are none.
    #[error("cannot connect to NATS: the certificates are no PEM: {0}")]
    Certificates(#[source] pem::Error),
    /// The certificates cannot be trusted.
    #[error("cannot connect to NATS: the certificates cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// The servers that URLs name; `Err` says what is expected.
///
/// # Errors
///
/// If one is no URL of a server.
pub fn servers(urls: &str) -> Result<Vec<ServerAddr>, &'static str> {
    let expected =
        "`nats://[USER:PASSWORD@]HOST[:PORT]`, or `tls://…`, or several with commas between them";
    let each = urls.split(',').map(|url| {
        let url = url.trim();
        // wasmCloud v1 takes addresses without a scheme.
        let is_one = match url.split_once("://") {
            Some((scheme, _)) => matches!(scheme, "nats" | "tls"),
            None => !url.is_empty() && !url.contains('/'),
        };
        url.parse::<ServerAddr>()
            .ok()
            .filter(|server| is_one && !server.host().is_empty())
            .ok_or(expected)
    });
    each.collect()
}

impl NatsAccess {
    /// The part of the URLs that can be shown: where the servers are.
    pub fn address(&self) -> String {
        let hosts = self.urls.split(',').map(|url| {
            let url = url.trim();
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            rest.rsplit_once('@').map_or(rest, |(_, host)| host)
        });
        hosts.collect::<Vec<_>>().join(",")
    }

    /// Connects with a provider's own options. A connection that is lost is made again as long as there is a client, with a
    /// wait that grows to half a second.
    ///
    /// # Errors
    ///
    /// If the servers cannot be used, in words that say where they should be.
    pub async fn connect(&self, own: ConnectOptions) -> Result<Client, NatsConnectError> {
        // TLS may turn out to be wanted by the server; which implementation of it is used must be known then.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Another thread may have said so meanwhile.
            _ = rustls::crypto::ring::default_provider().install_default();
        }
        let servers = servers(&self.urls).map_err(NatsConnectError::Urls)?;
        let mut options = own
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                AGAIN.after(u32::try_from(attempts).unwrap_or(u32::MAX))
            });
        // The client does not take them from addresses that it is given as such.
        let login = servers
            .iter()
            .find_map(|server| Some((server.username()?, server.password())));
        options = match login {
            Some((user, Some(password))) => {
                options.user_and_password(user.to_owned(), password.to_owned())
            }
            Some((token, None)) => options.token(token.to_owned()),
            None => options,
        };
        if let Some((jwt, seed)) = &self.user {
            let key = nkeys::KeyPair::from_seed(seed).map_err(NatsConnectError::Seed)?;
            let key = Arc::new(key);
            options = options.jwt(jwt.clone(), move |nonce| {
                let key = key.clone();
                async move { key.sign(&nonce).map_err(AuthError::new) }
            });
        }
        if let Some(path) = &self.credentials_file {
            let text = read(path).await?;
            let used = options.credentials(&text);
            options = used.map_err(|why| NatsConnectError::File {
                path: path.clone(),
                why,
            })?;
        }
        let ca = match (&self.ca, &self.ca_file) {
            (Some(text), _) => Some(text.clone()),
            (None, Some(path)) => Some(read(path).await?),
            (None, None) => None,
        };
        if let Some(pem) = ca {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate.map_err(NatsConnectError::Certificates)?)?;
            }
            let tls = rustls::ClientConfig::builder()
                .with_root_certificates(roots)
                .with_no_client_auth();
            options = options.tls_client_config(tls).require_tls(true);
        }
        let connected = options.connect(servers).await;
        let address = self.address();
        connected.map_err(|why| match why.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                NatsConnectError::Refused { address, why }
            }
            _ => NatsConnectError::Unreachable { address, why },
        })
    }

    /// The health of a client that is connected to these servers: why it cannot do its work now, if it
    /// cannot.
    pub fn trouble(&self, client: &Client) -> Option<String> {
        match client.connection_state() {
            State::Connected => None,
            State::Pending | State::Disconnected => {
                Some(format!("NATS at {} cannot be reached", self.address()))
            }
        }
    }
}

async fn read(path: &str) -> Result<String, NatsConnectError> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|why| NatsConnectError::File {
        path: path.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(urls: &str) -> NatsAccess {
        NatsAccess {
            urls: urls.into(),
            user: Some(("jwt".into(), "SUAsecret".into())),
            ..NatsAccess::default()
        }
    }

    #[test]
    fn urls_are_checked_and_only_places_shown() {
        for urls in [
            "nats://h",
            "tls://u:s3cret@h:1",
            "nats://a, nats://b:4223",
            "h:4222",
        ] {
            assert!(servers(urls).is_ok(), "{urls}");
        }
        for urls in ["", "http://h", "nats://", "nats://a,redis://b", "a/b"] {
            assert!(servers(urls).is_err(), "{urls}");
        }
        let access = access("nats://me:s3cret@a:4222, tls://token@b");
        assert_eq!(access.address(), "a:4222,b");
        let shown = format!("{access:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("secret"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_said_before_anybody_is_asked() {
        let refused = async |access: NatsAccess| {
            let connected = access.connect(ConnectOptions::new()).await;
            connected.map(drop).unwrap_err().to_string()
        };
        let said = refused(access("nats://127.0.0.1:1")).await;
        assert!(said.contains("the seed is no key"), "{said}");
        let said = refused(NatsAccess {
            user: None,
            ca: Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----".into()),
            ..access("nats://127.0.0.1:1")
        })
        .await;
        assert!(
            said.contains("no PEM") || said.contains("cannot be used"),
            "{said}"
        );
        let said = refused(NatsAccess {
            user: None,
            ca_file: Some("/nowhere/ca.pem".into()),
            ..access("nats://127.0.0.1:1")
        })
        .await;
        assert!(said.contains("`/nowhere/ca.pem` cannot be read"), "{said}");
        let said = refused(NatsAccess {
            user: None,
            ..access("nats://me:s3cret@127.0.0.1:1")
        })
        .await;
        assert!(
            said.starts_with("cannot reach NATS at `127.0.0.1:1`:"),
            "{said}"
        );
        assert!(!said.contains("s3cret"), "{said}");
    }
}
