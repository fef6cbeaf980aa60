//! Decides which requests are answered: those of a browser that was given the page's address, and not those of another
//! site that it has open.
//!
//! Other users of the machine can ask this server, and logs and traces are not theirs to read. So all but the page's files, which
//! everybody has who has the program, needs the secret of the address: in a header, or in the query where a browser sends no
//! headers (server-sent events). A cookie was rejected, for a browser sends those of an address to all of its ports, and so to the
//! servers of other users.
//!
//! Another site can have a browser ask this server, by a name of its own that leads here (DNS rebinding); then the
//! `Host` is that name. So only addresses, `localhost` and names that were given are answered; no site has an address
//! as its name. Requests that call something must besides come from the page itself.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;

use anyhow::Context as _;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN};

/// The header with the secret of the page's address.
const TOKEN: HeaderName = HeaderName::from_static("x-withe-token");

/// How many random bytes that has.
const TOKEN_BYTES: usize = 16;

/// The rules for requests that are answered.
pub(super) struct Guard {
    names: Vec<String>,
    token: String,
    calls: bool,
}

/// Why somebody is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error(
        "this page is reached by an address, by `localhost`, or by a name given with `--ui-name`"
    )]
    Host,
    #[error(
        "calls are not allowed here: `--ui-allow-calls` of `withe up` and `withe host` allows them"
    )]
    NotAllowed,
    #[error("calls are made by the page itself")]
    Origin,
    #[error("a call is JSON: its `content-type` must be `application/json`")]
    NoJson,
    #[error(
        "this needs the secret of the address that was printed when the page began to be served: open the page by all of that \
         address, or send what is behind `#token=` in the header `x-withe-token` or as `?token=`"
    )]
    Token,
}

impl Guard {
    pub(super) fn new(names: Vec<String>, token: String, calls: bool) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        Self {
            names: names.collect(),
            token,
            calls,
        }
    }

    /// Whether calls are allowed.
    pub(super) fn allows_calls(&self) -> bool {
        self.calls
    }

    /// Checks that the request knows the secret: from a header, or else from the query, of which `query` is `token`.
    ///
    /// # Errors
    ///
    /// If it is another one, or none.
    pub(super) fn check_secret(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<(), Refused> {
        let header = headers.get(&TOKEN).and_then(|value| value.to_str().ok());
        match header
            .or(query)
            .is_some_and(|given| is_same(given, &self.token))
        {
            true => Ok(()),
            false => Err(Refused::Token),
        }
    }

    /// Checks by which name the server is asked.
    ///
    /// # Errors
    ///
    /// If it is not one of its own.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let name = host.map(|host| name_of(host).to_ascii_lowercase());
        let is_own = name.is_some_and(|name| {
            let address = name.trim_start_matches('[').trim_end_matches(']');
            name == "localhost" || address.parse::<IpAddr>().is_ok() || self.names.contains(&name)
        });
        match is_own && hosts.next().is_none() {
            true => Ok(()),
            false => Err(Refused::Host),
        }
    }

    /// Checks who wants to call something, and has the secret.
    ///
    /// # Errors
    ///
    /// If that is not the page, or not allowed.
    pub(super) fn check_call(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if !self.calls {
            return Err(Refused::NotAllowed);
        }
        // A browser says it with each; a proxy may have taken TLS off.
        if let Some(origin) = text(&ORIGIN) {
            let by = ["http://", "https://"];
            let from = by.iter().find_map(|scheme| origin.strip_prefix(scheme));
            if from.is_none() || from != text(&HOST) {
                return Err(Refused::Origin);
            }
        }
        let kind = text(&CONTENT_TYPE).and_then(|kind| kind.split(';').next());
        match kind.map(str::trim) == Some("application/json") {
            true => Ok(()),
            false => Err(Refused::NoJson),
        }
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether two texts are the same, in a time that does not tell how far they are.
fn is_same(a: &str, b: &str) -> bool {
    let differences = a
        .bytes()
        .zip(b.bytes())
        .fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && differences == 0
}

/// A new secret.
///
/// # Errors
///
/// If the system gives no random numbers.
pub(super) fn token() -> anyhow::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("no random numbers for the page's secret")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn names_of_others_are_refused() {
        let guard = Guard::new(vec!["Build.example".into()], String::new(), false);
        for host in [
            "localhost",
            "localhost:7171",
            "127.0.0.1:7171",
            "[::1]:7171",
            "10.0.0.7",
            "build.example:80",
        ] {
            assert_eq!(guard.check(&headers(&[("host", host)])), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7171",
            "localhost.evil.example",
            "",
        ] {
            let refused = guard.check(&headers(&[("host", host)]));
            assert_eq!(refused, Err(Refused::Host), "{host}");
        }
        assert!(guard.check(&headers(&[])).is_err());
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert!(guard.check(&headers(&two)).is_err());
    }

    #[test]
    fn all_is_for_those_who_know_the_secret() {
        let token = token().unwrap();
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        let guard = Guard::new(Vec::new(), token.clone(), false);
        let header = |token: &str| headers(&[("x-withe-token", token)]);
        assert_eq!(guard.check_secret(&header(&token), None), Ok(()));
        assert_eq!(guard.check_secret(&headers(&[]), Some(&token)), Ok(()));
        for (given, query) in [
            (headers(&[]), None),
            (headers(&[]), Some("")),
            (headers(&[]), Some("0123")),
            (header(""), None),
            (header(&token[1..]), None),
            (header("0123"), Some(token.as_str())),
        ] {
            let refused = guard.check_secret(&given, query);
            assert_eq!(refused, Err(Refused::Token), "{given:?} {query:?}");
        }
    }

    #[test]
    fn calls_are_made_by_the_page() {
        let guard = Guard::new(Vec::new(), "0123".into(), true);
        let good = [
            ("host", "localhost:7171"),
            ("origin", "http://localhost:7171"),
            ("content-type", "application/json; charset=utf-8"),
        ];
        assert_eq!(guard.check_call(&headers(&good)), Ok(()));
        let with = |place: usize, value| {
            let mut changed = good;
            changed[place].1 = value;
            guard.check_call(&headers(&changed))
        };
        assert_eq!(with(1, "http://evil.example"), Err(Refused::Origin));
        assert_eq!(with(1, "null"), Err(Refused::Origin));
        assert_eq!(with(1, "localhost:7171"), Err(Refused::Origin));
        assert_eq!(with(1, "https://evil.example"), Err(Refused::Origin));
        // Behind a proxy with TLS.
        assert_eq!(with(1, "https://localhost:7171"), Ok(()));
        assert_eq!(with(2, "text/plain"), Err(Refused::NoJson));
        let closed = Guard::new(Vec::new(), "0123".into(), false);
        assert_eq!(closed.check_call(&headers(&good)), Err(Refused::NotAllowed));
    }
}
