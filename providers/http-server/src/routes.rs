//! Which link a request belongs to. Pure: a table is built when links change, and only read after.

use std::borrow::Cow;
use std::collections::HashMap;

use http::uri::Scheme;

use crate::target::split_port;

/// Where requests for a link go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoutePlace {
    /// Only for this host, in lower case: `example.com` for any port, `example.com:8000` for one.
    pub(crate) host: Option<String>,
    /// Only for this path and those below it. Without a slash at its end: the root is empty.
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

/// Reads a path as links give it: `/`, `/api`, `/api/`, or `/api/*` and `/api/{*rest}` as v1 has
/// them, which mean the same here because a path stands for all below it. `Err` says what is
/// expected.
pub(crate) fn parse_path(text: &str) -> Result<String, &'static str> {
    let (path, last) = text.rsplit_once('/').ok_or("a path that starts with `/`")?;
    let wildcard = last.starts_with('*') || (last.starts_with("{*") && last.ends_with('}'));
    let path = if wildcard || last.is_empty() {
        path
    } else {
        text
    };
    if !path.is_empty() && !path.starts_with('/') {
        return Err("a path that starts with `/`");
    }
    if path.contains(['{', '}', '*', '?', '#', ' ']) || path.contains("/:") {
        return Err(
            "a plain path, such as `/api`: it stands for all below it, patterns cannot be used",
        );
    }
    Ok(path.trim_end_matches('/').to_owned())
}

/// The routes of one listener. A route for a host goes before those for all hosts; among them, a
/// longer path before a shorter one.
#[derive(Clone, Debug)]
pub(crate) struct RouteTable<R> {
    hosts: HashMap<String, Paths<R>>,
    /// Whether any of the hosts has a port.
    ports: bool,
    any: Paths<R>,
}

/// Paths, longest first.
type Paths<R> = Vec<(String, R)>;

impl<R: Clone> RouteTable<R> {
    /// A table of `routes`, each in a place of its own.
    pub(crate) fn new<'a>(routes: impl IntoIterator<Item = (&'a RoutePlace, R)>) -> Self {
        let mut table = Self {
            hosts: HashMap::new(),
            ports: false,
            any: Vec::new(),
        };
        for (place, route) in routes {
            let paths = match &place.host {
                Some(host) => {
                    let (name, port) = split_port(host);
                    table.ports |= !port.is_empty();
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
            paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
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
            let with_port = || self.hosts.get(&format!("{name}:{port}"));
            let of_port = self.ports.then(with_port).flatten();
            let any_port = || self.hosts.get(&*name);
            let in_order = of_port.into_iter().chain(any_port());
            if let Some(route) = in_order.into_iter().find_map(|paths| longest(paths, path)) {
                return Some(route);
            }
        }
        longest(&self.any, path)
    }
}

fn longest<'t, R>(paths: &'t Paths<R>, path: &str) -> Option<&'t R> {
    let below = |prefix: &str| match path.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    };
    paths
        .iter()
        .find(|(prefix, _)| below(prefix))
        .map(|(_, route)| route)
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
            host,
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
        for text in [
            "", "api", "api/x", "/a/{id}", "/a/:id", "/a/*/b", "/a?b", "{*rest}",
        ] {
            assert!(parse_path(text).is_err(), "{text}");
        }
    }
}
