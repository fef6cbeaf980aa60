//! Which link a request belongs to. Pure: a table is built when links change, and only read after.
//!
//! Places may be patterns: `*.example.com` is for all names below one, `/users/{id}/orders` for all users. The most specific
//! place wins, whatever the order of links is: of hosts, one that is named before a pattern, and a longer pattern before a shorter one;
//! of paths, a word before a wildcard at the first segment where two differ. Two places that differ are therefore never equally good.
//! Regular expressions were rejected: two of them cannot be compared.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use http::uri::Scheme;

use crate::target::split_port;

/// Where requests for a link go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoutePlace {
    /// Only for this host, as [`parse_host`] returns it.
    pub(crate) host: Option<String>,
    /// Only for this path and those below it, as [`parse_path`] returns it.
    pub(crate) path: String,
}

impl RoutePlace {
    /// As people write it.
    pub(crate) fn describe(&self) -> String {
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        match &self.host {
            Some(host) => format!("host `{host}`, path `{path}`"),
            None => format!("path `{path}`"),
        }
    }
}

/// Any one segment of a path.
const WILDCARD: &str = "*";

/// The beginning of a pattern of hosts.
const BELOW: &str = "*.";

/// Reads a path as links give it: `/`, `/api`, `/api/`, or `/api/*` and `/api/{*rest}` as v1 has
/// them, which mean the same here because a path stands for all below it. A segment `{name}`, or `*` before the end, is
/// any one segment. Returned without a slash at its end, so that the root is empty, and with `*` for each such segment.
/// `Err` says what is expected.
pub(crate) fn parse_path(text: &str) -> Result<String, &'static str> {
    let (path, last) = text.rsplit_once('/').ok_or("a path that starts with `/`")?;
    let is_rest = last.starts_with('*') || (last.starts_with("{*") && last.ends_with('}'));
    let path = if is_rest || last.is_empty() {
        path
    } else {
        text
    };
    let path = path.trim_end_matches('/');
    let Some(segments) = path.strip_prefix('/') else {
        return match path {
            "" => Ok(String::new()),
            _ => Err("a path that starts with `/`"),
        };
    };
    let mut read = String::with_capacity(path.len());
    for segment in segments.split('/') {
        read.push('/');
        let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        read.push_str(match name {
            Some(name) if is_name(name) => WILDCARD,
            None if segment == WILDCARD => WILDCARD,
            _ if segment.starts_with(':') || segment.contains(['{', '}', '*', '?', '#', ' ']) => {
                return Err(
                    "a path such as `/api`, which stands for all below it; a whole segment may be a wildcard, `{id}` or `*`",
                );
            }
            _ => segment,
        });
    }
    Ok(read)
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !text.is_empty() && text.chars().all(is_part)
}

/// Reads a host as links give it: `example.com` for any port, `example.com:8000` for one, `*.example.com` for the names below it, and not
/// for itself. Returned in lower case. `Err` says what is expected.
pub(crate) fn parse_host(text: &str) -> Result<String, &'static str> {
    let host = text.to_ascii_lowercase();
    let name = host.strip_prefix(BELOW).unwrap_or(&host);
    let (name, _) = split_port(name);
    if name.is_empty() || host.contains(['/', ' ']) || name.contains('*') {
        return Err("a host, such as `example.com`, `example.com:8000` or `*.example.com`");
    }
    // The first number of an address says less than the last: names alone are below one another.
    if host.starts_with(BELOW) && !has_parents(name) {
        return Err("the name of a host after `*.`: an address has none below it");
    }
    Ok(host)
}

/// Whether a host is a name, and not an address (RFC 3986, 3.2.2): the last label of an IPv4 address is a number, and one of IPv6 stands
/// in brackets.
fn has_parents(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    !host.starts_with('[') && !last.bytes().all(|b| b.is_ascii_digit())
}

/// The routes of one listener.
#[derive(Clone, Debug)]
pub(crate) struct RouteTable<R> {
    /// By host, with its port if it has one. Patterns begin with `*.`.
    hosts: HashMap<String, Paths<R>>,
    /// Whether any of the hosts has a port.
    ports: bool,
    /// Whether any of the hosts is a pattern.
    patterns: bool,
    any: Paths<R>,
}

/// Paths, the more specific first.
type Paths<R> = Vec<(String, R)>;

impl<R: Clone> RouteTable<R> {
    /// A table of `routes`, each in a place of its own.
    pub(crate) fn new<'a>(routes: impl IntoIterator<Item = (&'a RoutePlace, R)>) -> Self {
        let mut table = Self {
            hosts: HashMap::new(),
            ports: false,
            patterns: false,
            any: Vec::new(),
        };
        for (place, route) in routes {
            let paths = match &place.host {
                Some(host) => {
                    let (name, port) = split_port(host);
                    table.ports |= !port.is_empty();
                    table.patterns |= name.starts_with(BELOW);
                    let host = match port {
                        "" => normal(name).into_owned(),
                        port => format!("{}:{port}", normal(name)),
                    };
                    table.hosts.entry(host).or_default()
                }
                None => &mut table.any,
            };
            paths.push((place.path.clone(), route));
        }
        for paths in table.hosts.values_mut().chain([&mut table.any]) {
            paths.sort_by(|(a, _), (b, _)| specific_first(a, b));
        }
        table
    }

    /// Whether nothing is served.
    pub(crate) fn is_empty(&self) -> bool {
        self.any.is_empty() && self.hosts.is_empty()
    }

    /// Whether hosts matter.
    pub(crate) fn needs_host(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// The route for `path` on `host`, which requests of `scheme` name.
    pub(crate) fn find(&self, host: Option<&str>, scheme: &Scheme, path: &str) -> Option<&R> {
        if let Some(host) = host.filter(|_| self.needs_host()) {
            let (name, port) = split_port(host);
            let name = normal(name);
            // No port is the scheme's (RFC 9110, 4.2.3).
            let port = match port {
                "" if *scheme == Scheme::HTTPS => "443",
                "" => "80",
                port => port,
            };
            if let Some(route) = self.of_host(&name, port, path) {
                return Some(route);
            }
            let mut rest = &*name;
            while self.patterns
                && has_parents(rest)
                && let Some((_, parent)) = rest.split_once('.')
            {
                if let Some(route) = self.of_host(&format!("{BELOW}{parent}"), port, path) {
                    return Some(route);
                }
                rest = parent;
            }
        }
        first(&self.any, path)
    }

    /// The route for `path` among those of a host or pattern: first those of the port.
    fn of_host(&self, host: &str, port: &str, path: &str) -> Option<&R> {
        let with_port = || self.hosts.get(&format!("{host}:{port}"));
        let of_port = self.ports.then(with_port).flatten();
        let any_port = || self.hosts.get(host);
        let mut in_order = of_port.into_iter().chain(any_port());
        in_order.find_map(|paths| first(paths, path))
    }
}

/// The order of two paths, the more specific first.
fn specific_first(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        let order = match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(WILDCARD), Some(WILDCARD)) => Ordering::Equal,
            (Some(WILDCARD), Some(_)) => Ordering::Greater,
            (Some(_), Some(WILDCARD)) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn first<'t, R>(paths: &'t Paths<R>, path: &str) -> Option<&'t R> {
    paths
        .iter()
        .find(|(pattern, _)| is_below(path, pattern))
        .map(|(_, route)| route)
}

/// Whether a path is that of a place, or one below it.
fn is_below(path: &str, pattern: &str) -> bool {
    if let Some(rest) = path.strip_prefix(pattern)
        && (pattern.is_empty() || rest.is_empty() || rest.starts_with('/'))
    {
        return true;
    }
    if !pattern.contains(WILDCARD) {
        return false;
    }
    let mut segments = path.split('/');
    pattern.split('/').all(|wanted| match segments.next() {
        Some(segment) => segment == wanted || (wanted == WILDCARD && !segment.is_empty()),
        None => false,
    })
}

/// Names are the same in any case, and with a dot at their end.
fn normal(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, path: &str) -> RoutePlace {
        let host = (!host.is_empty()).then(|| host.to_owned());
        RoutePlace {
            host: host.map(|host| parse_host(&host).unwrap()),
            path: parse_path(path).unwrap(),
        }
    }

    #[test]
    fn the_most_specific_route_wins() {
        let places = [
            place("", "/"),
            place("", "/api"),
            place("", "/api/v2/"),
            place("a.example", "/"),
            place("a.example:8443", "/api"),
            place("[::1]", "/six"),
        ];
        let table = RouteTable::new(places.iter().zip(0..));
        let cases = [
            (None, "/", Some(0)),
            (None, "/api", Some(1)),
            (None, "/api/", Some(1)),
            (None, "/apiary", Some(0)),
            (None, "/api/v1", Some(1)),
            (None, "/api/v2/x", Some(2)),
            (Some("b.example"), "/api", Some(1)),
            (Some("a.example"), "/api", Some(3)),
            (Some("A.Example:80"), "/api", Some(3)),
            (Some("a.example:8443"), "/api/x", Some(4)),
            (Some("a.example:8443"), "/x", Some(3)),
            (Some("[::1]:80"), "/six", Some(5)),
            (Some("[::1]"), "/seven", Some(0)),
            (Some("a.example."), "/api", Some(3)),
            (Some("A.EXAMPLE.:80"), "/api", Some(3)),
            (Some("a.example.:8443"), "/api/x", Some(4)),
            (Some("a.example:"), "/x", Some(3)),
        ];
        for (host, path, want) in cases {
            let route = table.find(host, &Scheme::HTTP, path);
            assert_eq!(route.copied(), want, "{host:?} {path}");
        }
    }

    #[test]
    fn a_pattern_is_for_what_is_not_named() {
        let places = [
            place("", "/users"),
            place("", "/users/{id}/orders"),
            place("", "/users/me/{what}"),
            place("", "/users/{id}/orders/*/lines"),
            place("", "/{any}/about"),
        ];
        // Whatever the order of the links is.
        let mut order: Vec<_> = (0..places.len()).collect();
        for _ in 0..places.len() {
            order.rotate_left(1);
            let table = RouteTable::new(order.iter().map(|n| (&places[*n], *n)));
            for (path, want) in [
                ("/users", Some(0)),
                ("/users/7", Some(0)),
                ("/users/7/orders", Some(1)),
                ("/users/7/orders/", Some(1)),
                ("/users/7/orders/9", Some(1)),
                ("/users/7/orders/9/lines", Some(3)),
                ("/users/7/orders//lines", Some(1)),
                ("/users//orders", Some(0)),
                ("/users/7/orderss", Some(0)),
                ("/users/me/orders", Some(2)),
                ("/users/me", Some(0)),
                ("/users/about", Some(0)),
                ("/shop/about", Some(4)),
                ("/shop/about/us", Some(4)),
                ("/shop", None),
                ("/", None),
            ] {
                let route = table.find(None, &Scheme::HTTP, path);
                assert_eq!(route.copied(), want, "{path} of {order:?}");
            }
        }
    }

    #[test]
    fn a_pattern_of_hosts_is_for_the_names_below() {
        let places = [
            place("*.example.com", "/"),
            place("*.eu.example.com", "/"),
            place("shop.example.com", "/cart"),
            place("*.example.com:8443", "/"),
            place("", "/"),
        ];
        let table = RouteTable::new(places.iter().zip(0..));
        for (host, path, want) in [
            ("a.example.com", "/", 0),
            ("A.Example.Com.", "/", 0),
            ("a.b.example.com", "/", 0),
            ("a.eu.example.com", "/", 1),
            ("eu.example.com", "/", 0),
            ("shop.example.com", "/cart/1", 2),
            ("shop.example.com", "/", 0),
            ("a.example.com:8443", "/", 3),
            ("example.com", "/", 4),
            ("badexample.com", "/", 4),
            ("10.0.0.1", "/", 4),
            ("[::1]", "/", 4),
        ] {
            let route = table.find(Some(host), &Scheme::HTTP, path);
            assert_eq!(route.copied(), Some(want), "{host} {path}");
        }
    }

    #[test]
    fn hosts_are_read() {
        for (text, want) in [
            ("Example.com", "example.com"),
            ("example.com:8000", "example.com:8000"),
            ("*.Example.com", "*.example.com"),
            ("*.example.com:8000", "*.example.com:8000"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(parse_host(text).as_deref(), Ok(want), "{text}");
        }
        for text in [
            "",
            "*",
            "*.",
            "*.*.com",
            "a.*.com",
            "*example.com",
            "a/b",
            "a b",
            "*.0.0.1",
            "*.[::1]",
            ":80",
        ] {
            assert!(parse_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_port_is_that_of_the_scheme() {
        let places = [
            place("a:80", "/"),
            place("a:443", "/"),
            place("A.:81", "/"),
            place("a", "/"),
        ];
        let table = RouteTable::new(places.iter().zip(0..));
        let cases = [
            ("a", Scheme::HTTP, 0),
            ("a:80", Scheme::HTTP, 0),
            ("a:443", Scheme::HTTP, 1),
            ("a", Scheme::HTTPS, 1),
            ("a:", Scheme::HTTPS, 1),
            ("a:81", Scheme::HTTP, 2),
            ("a:82", Scheme::HTTP, 3),
        ];
        for (host, scheme, want) in cases {
            let route = table.find(Some(host), &scheme, "/");
            assert_eq!(route.copied(), Some(want), "{scheme} {host}");
        }
    }

    #[test]
    fn without_a_catch_all_some_requests_belong_to_nobody() {
        let places = [place("", "/api"), place("a.example", "/")];
        let table = RouteTable::new(places.iter().zip(0..));
        assert_eq!(table.find(None, &Scheme::HTTP, "/"), None);
        assert_eq!(table.find(Some("b.example"), &Scheme::HTTP, "/x"), None);
        assert!(!table.is_empty());
        assert!(RouteTable::<()>::new([]).is_empty());
    }

    #[test]
    fn paths_are_read_as_v1_writes_them() {
        let paths = [
            ("/", ""),
            ("/api", "/api"),
            ("/api/", "/api"),
            ("/a/b//", "/a/b"),
        ];
        let wild = [
            ("/*", ""),
            ("/api/*", "/api"),
            ("/api/*rest", "/api"),
            ("/api/{*rest}", "/api"),
        ];
        for (text, want) in paths.into_iter().chain(wild) {
            assert_eq!(parse_path(text).as_deref(), Ok(want), "{text}");
        }
        let patterns = [
            ("/a/{id}", "/a/*"),
            ("/a/{id}/", "/a/*"),
            ("/a/*/b", "/a/*/b"),
            ("/a/{id}/b/*", "/a/*/b"),
            ("/*/b", "/*/b"),
        ];
        for (text, want) in patterns {
            assert_eq!(parse_path(text).as_deref(), Ok(want), "{text}");
        }
        for text in [
            "",
            "api",
            "api/x",
            "/a/:id",
            "/a/b*/c",
            "/a/{}/b",
            "/a/{id}x",
            "/a/{*rest}/b",
            "/a?b",
            "{*rest}",
        ] {
            assert!(parse_path(text).is_err(), "{text}");
        }
    }
}
