//! Why there is no connection to Redis, for those who wrote the link.

use std::time::Duration;

use ::redis as client;
use client::{ErrorKind, RedisError};
use rustls::CertificateError;
use tokio::task::JoinError;

use super::slots::SlotsError;
use super::tls::{self, CaError};

/// A server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Nobody answers.
    #[error(
        "cannot reach Redis at `{address}`: {why}; start it there (`redis-server`), or correct the link's `url`{}",
        about_tls(*.is_tls, .why)
    )]
    Unreachable {
        address: String,
        is_tls: bool,
        #[source]
        why: NoConnection,
    },
    /// The server is there, and knows nobody with this password.
    #[error(
        "Redis at `{address}` refuses the user or the password: {why}; correct them in the link's `url` (`redis://USER:PASSWORD@…`)"
    )]
    Refused {
        address: String,
        #[source]
        why: RedisError,
    },
    /// The server is there, and its certificate is not believed, or it speaks no TLS.
    #[error("no TLS with Redis at `{address}`: {why}; {}", advice(.why))]
    Tls {
        address: String,
        #[source]
        why: rustls::Error,
    },
    /// The certificates that the link names.
    #[error(transparent)]
    Certificates(#[from] CaError),
    /// The server is in no cluster, and the link says so.
    #[error(
        "Redis at `{address}` is in no cluster: {why}; remove `cluster` from the link, and all but one of its URLs"
    )]
    NoCluster {
        address: String,
        #[source]
        why: RedisError,
    },
    /// The server's answer about its cluster cannot be used.
    #[error("Redis at `{address}` does not say which servers its cluster has: {why}")]
    Slots {
        address: String,
        #[source]
        why: SlotsError,
    },
    /// The server has some of a cluster's keys, and the link does not say so.
    #[error(
        "Redis at `{0}` is one server of a cluster: write `cluster: true` in the link's configuration, or `cluster: false` if \
         something there speaks for all of it"
    )]
    InCluster(String),
    /// Reading certificates panicked.
    #[error("cannot read certificates: {0}")]
    Stopped(#[source] JoinError),
}

impl ConnectError {
    /// The error that says why there is no connection to the server at `address`.
    pub(super) fn new(address: String, is_tls: bool, why: NoConnection) -> Self {
        match why {
            NoConnection::Client(why) if is_of_credentials(&why) => Self::Refused { address, why },
            NoConnection::Client(why) => match tls::fault(&why).cloned() {
                Some(why) => Self::Tls { address, why },
                None => Self::Unreachable {
                    address,
                    is_tls,
                    why: NoConnection::Client(why),
                },
            },
            late @ NoConnection::Late(_) => Self::Unreachable {
                address,
                is_tls,
                why: late,
            },
        }
    }
}

/// The hint about TLS where a server is not understood.
fn about_tls(is_tls: bool, why: &NoConnection) -> &'static str {
    match (is_tls, why) {
        (_, NoConnection::Client(why)) if why.is_connection_refusal() => "",
        // A port without TLS waits for the end of what looks like a long command.
        (true, _) => ": with `rediss://`, that is for a port on which it speaks TLS (`tls-port`)",
        (false, NoConnection::Client(_)) => ": where it speaks TLS, that is `rediss://`",
        (false, NoConnection::Late(_)) => "",
    }
}

/// The remedy for a fault of TLS.
fn advice(fault: &rustls::Error) -> &'static str {
    match fault {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "write a name in the link's `url` that its certificate has",
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "renew its certificate",
        rustls::Error::InvalidCertificate(_) => {
            "name the PEM file of the authority that signed its certificate: the link's `tls_ca_file`"
        }
        rustls::Error::InvalidMessage(_) => {
            "is this the port on which it speaks TLS (`tls-port`)? Without TLS, write `redis://` in the link's `url`"
        }
        _ => {
            "compare what it wants of its clients (`tls-auth-clients`, `tls-protocols`) and the link's `url`"
        }
    }
}

/// Whether a server refuses who asks, and not what is asked.
pub(super) fn is_of_credentials(error: &RedisError) -> bool {
    let code = error.code();
    error.kind() == ErrorKind::AuthenticationFailed
        || code.is_some_and(|code| matches!(code, "NOAUTH" | "WRONGPASS"))
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConnection {
    #[error(transparent)]
    Client(#[from] RedisError),
    #[error("no answer in {} ms", .0.as_millis())]
    Late(Duration),
}
