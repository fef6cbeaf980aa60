//! Where Redis is, and how it is spoken to.

use std::fmt;
use std::time::Duration;

use ::redis as client;
use client::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

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
    /// One, or several of a cluster with commas between them. May hold a password: never printed.
    pub(crate) url: String,
    /// Whether it is a cluster. If nobody says, several URLs are one.
    pub(crate) cluster: Option<bool>,
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
            cluster: None,
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
    /// Whether it is a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        self.cluster.unwrap_or_else(|| urls(&self.url).len() > 1)
    }

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

/// The URLs of a text that has commas between them.
pub(super) fn urls(text: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for part in text.split(',') {
        match urls.last_mut() {
            // A password may have commas in it.
            Some(before) if !part.contains("://") => {
                before.push(',');
                before.push_str(part);
            }
            _ => urls.push(part.trim().to_owned()),
        }
    }
    urls
}

/// Checks each URL by itself; `Err` says what is expected.
pub(crate) fn check_url(text: &str) -> Result<(), &'static str> {
    urls(text).iter().try_for_each(|url| {
        let info = url.as_str().into_connection_info();
        match info.as_ref().map(ConnectionInfo::addr) {
            Ok(ConnectionAddr::TcpTls { insecure: true, .. }) => Err(
                "a URL without `#insecure`: certificates are always checked, against those of `tls_ca_file` if it is given",
            ),
            Ok(_) => Ok(()),
            Err(_) => Err(
                "`redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS; of a cluster there may be several, \
                 with commas between them",
            ),
        }
    })
}

/// Checks whether URLs, each of which can be used, are those of a cluster if it is to be one, or of a server if not; `Err`
/// says what is wrong, and what to do.
pub(crate) fn check_cluster(
    text: &str,
    cluster: Option<bool>,
) -> Result<(), (&'static str, &'static str)> {
    let urls = urls(text);
    if urls.len() > 1 && cluster == Some(false) {
        return Err((
            "several servers are a cluster, and `cluster` is `false`",
            "leave one URL in the `url`, or remove `cluster`",
        ));
    }
    if urls.len() == 1 && cluster != Some(true) {
        return Ok(());
    }
    let mut first: Option<(RedisConnectionInfo, bool)> = None;
    for url in &urls {
        let Ok(info) = url.as_str().into_connection_info() else {
            continue;
        };
        if info.redis_settings().db() != 0 {
            return Err((
                "a cluster has no databases but 0",
                "remove what is after the `/` in the `url`, or `cluster`",
            ));
        }
        if matches!(info.addr(), ConnectionAddr::Unix(_)) {
            return Err((
                "a cluster's servers are found by host and port",
                "write `redis://HOST:PORT`",
            ));
        }
        let now = (info.redis_settings().clone(), is_tls(url));
        let (settings, tls) = first.get_or_insert_with(|| now.clone());
        let is_same = settings.username() == now.0.username()
            && settings.password() == now.0.password()
            && *tls == now.1;
        if !is_same {
            return Err((
                "the URLs of a cluster differ in more than host and port",
                "give all of them the same scheme, user and password",
            ));
        }
    }
    Ok(())
}

/// Whether the URLs ask for TLS.
pub(crate) fn is_tls(text: &str) -> bool {
    urls(text).iter().any(|url| {
        let info = url.as_str().into_connection_info();
        info.is_ok_and(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }))
    })
}

/// The part of the URLs that can be shown: where the servers are.
pub(super) fn address(text: &str) -> String {
    let at = |url: &String| match url.as_str().into_connection_info() {
        Ok(info) => info.addr().to_string(),
        Err(_) => "an address that cannot be read".into(),
    };
    urls(text).iter().map(at).collect::<Vec<_>>().join(",")
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

    #[test]
    fn several_urls_are_a_cluster() {
        let text = "redis://:a,b@h:1, redis://:a,b@i:2";
        assert_eq!(urls(text), ["redis://:a,b@h:1", "redis://:a,b@i:2"]);
        assert_eq!(address(text), "h:1,i:2");
        assert_eq!(check_url(text), Ok(()));
        assert!(check_url("redis://h,http://i").is_err());
        for (text, cluster, is_right) in [
            (text, None, true),
            (text, Some(true), true),
            (text, Some(false), false),
            ("redis://h/3", None, true),
            ("redis://h/3", Some(true), false),
            ("redis://h/0", Some(true), true),
            ("redis+unix:///s", Some(true), false),
            ("redis://h,rediss://i", None, false),
            ("redis://u:p@h,redis://i", None, false),
        ] {
            assert_eq!(check_cluster(text, cluster).is_ok(), is_right, "{text}");
        }
    }
}
