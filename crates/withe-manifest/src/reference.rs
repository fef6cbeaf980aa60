//! References to what a registry holds: `[registry/]repository[:tag][@digest]`, as container tools write them.

use std::fmt;

/// The registry that is meant where none is named, as container tools have it.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The folder there of a repository of one word.
const DEFAULT_FOLDER: &str = "library";
/// The tag that is meant where neither a tag nor a digest is given.
const DEFAULT_TAG: &str = "latest";

/// The name of something in a registry: by a tag, or by a digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text after the `@` is no digest.
    #[error("`{0}` is not a digest such as `sha256:…`")]
    Digest(String),
    /// The text before the first `/` is no address.
    #[error("`{0}` is not the address of a registry")]
    Registry(String),
    /// The text after the last `:` is no tag.
    #[error("`{0}` is not a tag")]
    Tag(String),
    /// The repository's name has capital letters.
    #[error("`{part}` has capital letters, which a registry does not take")]
    Capitals {
        /// The part of the name.
        part: String,
        /// The reference without them.
        instead: String,
    },
    /// The text is no reference for another reason.
    #[error("it is neither a path nor an OCI reference")]
    Other,
}

impl Reference {
    /// Reads a reference, without a scheme.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest
            && !is_digest(digest)
        {
            return Err(ReferenceError::Digest(digest.into()));
        }
        let (registry, rest) = match rest.split_once('/') {
            Some((first, rest)) if is_registry(first) => (Some(first), rest),
            _ => (None, rest),
        };
        if let Some(registry) = registry
            && !is_authority(registry)
        {
            return Err(ReferenceError::Registry(registry.into()));
        }
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(ReferenceError::Tag(tag.into()));
        }
        if let Some(part) = repository.split('/').find(|part| !is_repository_part(part)) {
            let lower = part.to_lowercase();
            return Err(match is_repository_part(&lower) {
                true => ReferenceError::Capitals {
                    part: part.into(),
                    instead: text.replacen(part, &lower, 1),
                },
                false => ReferenceError::Other,
            });
        }
        Ok(Self {
            registry: registry.map(Into::into),
            repository: repository.into(),
            tag: tag.map(Into::into),
            digest: digest.map(Into::into),
        })
    }

    /// The registry's address.
    pub fn registry(&self) -> &str {
        self.registry.as_deref().unwrap_or(DEFAULT_REGISTRY)
    }

    /// The repository, as the registry knows it.
    pub fn repository(&self) -> String {
        let is_short = self.registry() == DEFAULT_REGISTRY && !self.repository.contains('/');
        match is_short {
            true => format!("{DEFAULT_FOLDER}/{}", self.repository),
            false => self.repository.clone(),
        }
    }

    /// The last part of the repository's name: what it would be called in a folder.
    pub fn short_name(&self) -> &str {
        let repository = &self.repository;
        repository.rsplit('/').next().unwrap_or(repository)
    }

    /// The digest that it names.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The tag that it names, or is meant where it names no digest either.
    pub fn tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_TAG),
        }
    }

    /// The same with a digest.
    #[must_use]
    pub fn pinned(&self, digest: &str) -> Self {
        Self {
            digest: Some(digest.into()),
            ..self.clone()
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether the first part of a reference names a registry rather than a repository: the rule that
/// container tools share.
pub(crate) fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

/// Lower-case words joined by `.`, `_`, `__` or dashes.
fn is_repository_part(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(is_word)
        && part.ends_with(is_word)
        && part
            .chars()
            .all(|c| is_word(c) || matches!(c, '.' | '_' | '-'))
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty()
            && algorithm
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '_' | '-'))
            && hex.len() >= 32
            && hex.chars().all(|c| c.is_ascii_hexdigit())
    })
}

/// Whether a text is the address of a registry: a host name, an IPv4 address or an IPv6 address in brackets, with or
/// without a port.
pub fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        }),
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Reference {
        Reference::parse(text).unwrap()
    }

    #[test]
    fn what_is_left_out_is_what_container_tools_mean() {
        let short = read("hello");
        assert_eq!(
            (short.registry(), &*short.repository(), short.tag()),
            ("docker.io", "library/hello", Some("latest"))
        );
        let whole = read("localhost:5000/a/b:1");
        assert_eq!(
            (whole.registry(), &*whole.repository(), whole.tag()),
            ("localhost:5000", "a/b", Some("1"))
        );
        let digest = format!("sha256:{}", "0f".repeat(32));
        let pinned = read(&format!("ghcr.io/a/b@{digest}"));
        assert_eq!((pinned.tag(), pinned.digest()), (None, Some(&*digest)));
        assert_eq!(pinned.short_name(), "b");
    }

    #[test]
    fn a_reference_is_written_as_it_was_read() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        for text in [
            "hello",
            "a/b:1",
            "[::1]:5000/hello:1",
            &format!("ghcr.io/a/b:1@{digest}"),
        ] {
            assert_eq!(read(text).to_string(), text);
        }
        assert_eq!(
            read("a.b/c:1").pinned(&digest).to_string(),
            format!("a.b/c:1@{digest}")
        );
    }
}
