//! The one name of an image's repository, for all the spellings that lead there, and patterns of such names.
//!
//! `GHCR.IO/a/b`, `ghcr.io:443/a/b` and `ghcr.io/a/b` are one repository, and Docker Hub answers to several hosts. A key that is
//! asked for by one spelling has to be asked for by all, or whoever writes a manifest chooses whether a signature is looked at. So the
//! pattern of a key, the reference of an image and the repository in a signature all become such a name.
//!
//! Rejected: giving references these names when they are read. A manifest, a lock and an error show what the user wrote.

use std::net::Ipv6Addr;

use withe_manifest::pattern::NamePattern;
use withe_manifest::reference::Reference;

/// The name of Docker Hub.
const DOCKER_HUB: &str = "docker.io";
/// The other hosts that Docker Hub answers at.
const ALIASES: [&str; 3] = [
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
];
/// The folder on Docker Hub of a repository of one word.
const LIBRARY: &str = "library";
/// The ports that are meant where none is said. The two are one here, or `:80` would evade a key where TLS is not used.
const DEFAULT_PORTS: [u16; 2] = [443, 80];

/// The name of a reference's repository: `REGISTRY/REPOSITORY`, the registry in lower case, without a default port, and Docker Hub as
/// `docker.io`.
pub(crate) fn name_of(reference: &Reference) -> String {
    let (registry, repository) = (registry(reference.registry()), reference.repository());
    match registry == DOCKER_HUB && !repository.contains('/') {
        true => format!("{registry}/{LIBRARY}/{repository}"),
        false => format!("{registry}/{repository}"),
    }
}

/// The one spelling of a registry's address.
fn registry(address: &str) -> String {
    let address = address.to_ascii_lowercase();
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (&*address, None),
    };
    let ip = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host = match ip.and_then(|ip| ip.parse::<Ipv6Addr>().ok()) {
        Some(ip) => format!("[{ip}]"),
        None => host.to_owned(),
    };
    // A number has several spellings, too.
    let port = port.map(|port| port.parse::<u16>().map_err(|_| port));
    match port {
        None if ALIASES.contains(&&*host) => DOCKER_HUB.into(),
        None => host,
        Some(Ok(port)) if DEFAULT_PORTS.contains(&port) => registry(&host),
        Some(Ok(port)) => format!("{host}:{port}"),
        // A pattern may have a `*` there.
        Some(Err(port)) => format!("{host}:{port}"),
    }
}

/// A pattern of the names of repositories, in which `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImagePattern {
    pattern: NamePattern,
    /// As the user wrote it.
    text: String,
}

impl ImagePattern {
    pub(crate) fn new(text: &str) -> Self {
        // No repository has capital letters.
        let lower = text.to_ascii_lowercase();
        let whole = match lower.contains('*') {
            true => None,
            false => Reference::parse(&lower).ok(),
        };
        let pattern = match (whole, lower.split_once('/')) {
            (Some(whole), Some(_)) => name_of(&whole),
            (None, Some((first, rest))) => format!("{}/{rest}", registry(first)),
            (_, None) => lower,
        };
        Self {
            pattern: NamePattern::new(pattern),
            text: text.into(),
        }
    }

    /// Whether a repository is meant by its name, which [`name_of`] gave it. Of Docker Hub each name counts: a pattern such as
    /// `*.docker.io/*` means it as well.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let on_hub = name
            .strip_prefix(DOCKER_HUB)
            .filter(|rest| rest.starts_with('/'));
        let mut others = ALIASES.iter();
        self.pattern.matches(name)
            || on_hub.is_some_and(|rest| {
                others.any(|alias| self.pattern.matches(&format!("{alias}{rest}")))
            })
    }

    /// The pattern as the user wrote it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(reference: &str) -> String {
        name_of(&Reference::parse(reference).unwrap())
    }

    #[test]
    fn every_spelling_of_a_repository_is_one_name() {
        for (spellings, one) in [
            (
                &[
                    "redis",
                    "docker.io/redis",
                    "Docker.IO:443/library/redis:7",
                    "index.docker.io/redis",
                    "registry-1.docker.io/library/redis",
                    "registry.hub.docker.com:443/library/redis",
                ][..],
                "docker.io/library/redis",
            ),
            (
                &[
                    "ghcr.io/a/b",
                    "GHCR.IO/a/b:1",
                    "ghcr.io:443/a/b",
                    "ghcr.io:00443/a/b",
                    "ghcr.io:+443/a/b",
                    "ghcr.io:80/a/b",
                ],
                "ghcr.io/a/b",
            ),
            (&["ghcr.io:8443/a", "GHCR.io:08443/a"], "ghcr.io:8443/a"),
            (&["[::1]:5000/a", "[0:0::1]:5000/a"], "[::1]:5000/a"),
            (&["[::1]/a", "[0::1]:443/a"], "[::1]/a"),
            (&["localhost/a"], "localhost/a"),
        ] {
            for spelling in spellings {
                assert_eq!(name(spelling), one, "{spelling}");
            }
        }
        for (one, other) in [
            ("ghcr.io/a/b", "ghcr.io/a/c"),
            ("ghcr.io/a", "ghcr.io.evil/a"),
            ("docker.io/a/b", "docker.io.evil/a/b"),
            ("ghcr.io/a", "ghcr.io:5000/a"),
        ] {
            assert_ne!(name(one), name(other));
        }
    }

    #[test]
    fn a_pattern_means_every_spelling() {
        let hub = [
            "acme/x",
            "docker.io/acme/x",
            "index.docker.io/acme/x:1",
            "registry-1.docker.io/acme/x:1",
            "DOCKER.io:443/acme/x",
        ];
        let ghcr = [
            "ghcr.io/example/x",
            "GHCR.IO/example/x",
            "ghcr.io:443/example/x",
        ];
        for (patterns, yes, no) in [
            (
                &[
                    "docker.io/*",
                    "index.docker.io/acme/*",
                    "Registry-1.Docker.IO:443/acme/x",
                    "*.docker.io/*",
                    "docker.io/acme/x",
                    "*",
                ][..],
                &hub[..],
                &[][..],
            ),
            (
                &[
                    "ghcr.io/example/*",
                    "GHCR.io:443/Example/*",
                    "ghcr.*/example/x",
                ],
                &ghcr,
                &hub,
            ),
            (
                &[
                    "ghcr.io",
                    "ghcr.io/example",
                    "/*",
                    "ghcr.io/example/x/*",
                    "ghcr.io:*/example/*",
                ],
                &[],
                &ghcr,
            ),
            (
                &["docker.io/redis", "docker.io/library/*"],
                &["redis"],
                &hub,
            ),
        ] {
            for pattern in patterns {
                let matches = |text: &&str| ImagePattern::new(pattern).matches(&name(text));
                for text in yes {
                    assert!(matches(text), "{pattern} {text}");
                }
                for text in no {
                    assert!(!matches(text), "{pattern} {text}");
                }
            }
        }
    }
}
