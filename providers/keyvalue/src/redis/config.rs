//! Where Redis is, and how it is spoken to.

use std::fmt;
use std::time::Duration;

use ::redis as client;
use client::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// The right of a link over the server's `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Notifications {
    /// Look whether it is set as it must be.
    #[default]
    Check,
    /// Set it, if it is not.
    Enable,
    /// Take it for set: the server does not say.
    Assume,
}

/// Where Redis is and how long to wait for it, with v1's defaults.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct RedisConfig {
    /// May hold a password: never printed.
    pub(crate) url: String,
    /// A PEM file of the certificates that are believed of a `rediss:` URL; without it, those that the system believes.
    pub(crate) ca_file: Option<String>,
    /// Attempts to connect again before calls fail.
    pub(crate) retries: usize,
    /// Longest wait between two attempts.
    pub(crate) max_delay: Duration,
    /// Longest that connecting may take.
    pub(crate) connect_timeout: Duration,
    /// Longest that an answer may take.
    pub(crate) response_timeout: Duration,
    /// The right to have the server tell of changes.
    pub(crate) notifications: Notifications,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379/".into(),
            ca_file: None,
            retries: 3,
            max_delay: Duration::from_millis(300),
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(1),
            notifications: Notifications::default(),
        }
    }
}

impl RedisConfig {
    /// Longest that one command may take, connecting again included.
    pub(super) fn limit(&self) -> Duration {
        let waits = self.max_delay * u32::try_from(self.retries).unwrap_or(u32::MAX);
        self.connect_timeout + waits + self.response_timeout
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &address(&self.url))
            .finish_non_exhaustive()
    }
}

/// Checks a URL; `Err` says what is expected.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    match url
        .into_connection_info()
        .as_ref()
        .map(ConnectionInfo::addr)
    {
        Ok(ConnectionAddr::TcpTls { insecure: true, .. }) => Err(
            "a URL without `#insecure`: certificates are always checked, against those of `tls_ca_file` if it is given",
        ),
        Ok(_) => Ok(()),
        Err(_) => Err("`redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS"),
    }
}

/// Whether a URL asks for TLS.
pub(crate) fn is_tls(url: &str) -> bool {
    let info = url.into_connection_info();
    info.is_ok_and(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }))
}

/// The part of a URL that can be shown: where the server is.
pub(super) fn address(url: &str) -> String {
    match url.into_connection_info() {
        Ok(info) => info.addr().to_string(),
        Err(_) => "an address that cannot be read".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_printed() {
        for scheme in ["redis", "rediss"] {
            let url = format!("{scheme}://user:s3cret@db.example:7000/2");
            assert_eq!(address(&url), "db.example:7000");
            let config = RedisConfig {
                url,
                ..Default::default()
            };
            assert!(!format!("{config:?}").contains("s3cret"));
        }
    }

    #[test]
    fn a_url_says_whether_tls_is_spoken() {
        assert!(is_tls("rediss://h") && !is_tls("redis://h") && !is_tls("h"));
        assert_eq!(check_url("rediss://u:p@h:1/2"), Ok(()));
        assert!(check_url("rediss://h/#insecure").is_err());
        assert!(check_url("http://h").is_err());
    }
}
