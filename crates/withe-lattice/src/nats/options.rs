//! How to reach a lattice on NATS, and as whom.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

use crate::error::{Cause, Invalid};
use crate::{LEASE, MAX_BLOB};

/// How often members sweep, if nothing else is said: far longer than it takes to put a value.
const SWEEP: Duration = Duration::from_secs(30 * 60);

/// How to reach a lattice on NATS, and as whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// The servers' URLs, separated by commas: `nats://host:4222`, or `tls://…` to insist on TLS. They may
    /// hold `user:password@` or `token@`, all the same.
    pub urls: Urls,
    /// The lattice's name.
    pub lattice: String,
    /// The identity that this client presents to the server.
    pub auth: Auth,
    /// The demands on TLS, if the server wants it or the URL says so.
    pub tls: Tls,
    /// The beginning of the subjects on which this member gets answers; `_INBOX` without. One that other members may not
    /// subscribe to keeps answers from them: [`names::inbox`](crate::names::inbox).
    pub inbox: Option<String>,
    /// How long to go on trying if no server can be reached at first. Refusals are not tried again.
    pub wait: Duration,
    /// How long each operation may take, but for blobs, which have a second more for each MiB.
    pub timeout: Duration,
    /// The most bytes of a blob. A larger one is neither put nor fetched.
    pub max_blob: usize,
    /// The interval between searches for pieces of large values that nobody has any more.
    pub sweep: Duration,
    /// How long leases live: the same for all members, who otherwise believe each other to be gone.
    pub lease: Duration,
}

/// The servers' URLs. They are shown without what is secret in them.
#[derive(Clone, PartialEq, Eq)]
pub struct Urls(String);

/// The identity that this client presents to the server. Secrets are never shown.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Nobody, or who the URLs say.
    #[default]
    None,
    /// The holder of a credentials file (`.creds`: a JWT and its key).
    Credentials(PathBuf),
    /// The holder of an nkey, given as its seed.
    Nkey(Secret),
    /// The holder of an nkey whose seed is in a file.
    NkeyFile(PathBuf),
    /// A user with a password.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// The holder of a token.
    Token(Secret),
}

/// The demands on TLS. Without any of it the system's certificates decide whether a server is trusted.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The certificates (PEM) of who may have signed the server's.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key (PEM), for servers that ask for it.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether TLS comes before the server's first word, as its `handshake_first` has it.
    pub first: bool,
}

/// Something that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Options {
    /// A lattice at these URLs, without authentication, and with everything else as it is by default.
    pub fn new(urls: impl Into<String>, lattice: impl Into<String>) -> Self {
        Self {
            urls: Urls(urls.into()),
            lattice: lattice.into(),
            auth: Auth::None,
            tls: Tls::default(),
            inbox: None,
            wait: Duration::ZERO,
            timeout: Duration::from_secs(5),
            max_blob: MAX_BLOB,
            sweep: SWEEP,
            lease: LEASE,
        }
    }
}

impl Secret {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(secret: T) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Urls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, url) in self.each().enumerate() {
            let (before, _, after) = parts(url);
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{before}{after}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Urls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Urls {
    /// Whether they hold a user with a password, or a token.
    pub fn hold_secrets(&self) -> bool {
        self.each().any(|url| parts(url).1.is_some())
    }

    fn each(&self) -> impl Iterator<Item = &str> {
        let urls = self.0.split(',').map(str::trim);
        urls.filter(|url| !url.is_empty())
    }

    /// The servers' addresses, without anything secret, and who the URLs say that we are.
    ///
    /// # Errors
    ///
    /// They are not URLs of NATS servers, or each says something else.
    pub(super) fn parse(&self) -> Result<(Vec<ServerAddr>, Auth), Invalid> {
        let mut addresses = Vec::new();
        let mut users = Vec::new();
        for url in self.each() {
            let (before, user, after) = parts(url);
            let address = format!("{before}{after}");
            let parsed = address.parse().map_err(|e: io::Error| Invalid::Url {
                url: address.clone(),
                why: Cause::new(e),
            })?;
            addresses.push(parsed);
            users.push(user);
        }
        if addresses.is_empty() {
            return Err(Invalid::NoUrl);
        }
        users.dedup();
        match users[..] {
            [None] => Ok((addresses, Auth::None)),
            [Some(user)] => Ok((addresses, auth_of(user)?)),
            _ => Err(Invalid::Users(self.to_string())),
        }
    }
}

/// A URL without its user, and the user: `scheme://`, `user:password`, `host:port`.
fn parts(url: &str) -> (&str, Option<&str>, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(host);
    match rest.rsplit_once('@') {
        Some((user, rest)) => (scheme, Some(user), rest),
        None => (scheme, None, rest),
    }
}

fn auth_of(user: &str) -> Result<Auth, Invalid> {
    Ok(match user.split_once(':') {
        Some((user, password)) => Auth::Password {
            user: percent_decoded(user)?,
            password: percent_decoded(password)?.into(),
        },
        None => Auth::Token(percent_decoded(user)?.into()),
    })
}

fn percent_decoded(text: &str) -> Result<String, Invalid> {
    // The library leaves a `%` alone that two digits do not follow; here that is a password mistyped.
    let is_encoded = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_encoded) {
        return Err(Invalid::User);
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| Invalid::User)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(urls: &str) -> Result<(Vec<String>, String), Invalid> {
        let (addresses, auth) = Options::new(urls, "l").urls.parse()?;
        let addresses = addresses
            .iter()
            .map(|a| a.as_url_str().to_owned())
            .collect();
        let auth = match auth {
            Auth::Password { user, password } => format!("{user} {}", password.reveal()),
            Auth::Token(token) => token.reveal().to_owned(),
            other => format!("{other:?}"),
        };
        Ok((addresses, auth))
    }

    #[test]
    fn users_are_taken_out_of_urls() {
        let (addresses, auth) = parsed("nats://u:p%40ss@a:1, tls://u:p%40ss@b").unwrap();
        assert_eq!(addresses, ["nats://a:1", "tls://b"]);
        assert_eq!(auth, "u p@ss");
        assert_eq!(parsed("tok@[::1]:4222").unwrap().1, "tok");
        assert_eq!(parsed("localhost").unwrap().1, "None");
    }

    #[test]
    fn what_is_wrong_is_said_without_secrets() {
        for (urls, expected) in [
            ("nats://u:hush@a,nats://b", "the URLs `nats://a,nats://b`"),
            ("http://u:hush@a", "`http://a` is no URL of a NATS server"),
            ("nats://u:hush%4@a", "not percent-encoded"),
            ("nats://u:hush%zz@a", "not percent-encoded"),
            (" , ", "no URL"),
        ] {
            let error = parsed(urls).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn options_show_no_secrets() {
        let mut options = Options::new("nats://u:hush@a,nats://hush@b", "l");
        for auth in [
            Auth::Nkey("hush".into()),
            Auth::Token("hush".into()),
            Auth::Password {
                user: "u".into(),
                password: "hush".into(),
            },
        ] {
            options.auth = auth;
            let shown = format!("{options:?} {}", options.urls);
            assert!(!shown.contains("hush"), "{shown}");
            assert!(shown.contains("nats://a,nats://b"), "{shown}");
        }
    }
}
