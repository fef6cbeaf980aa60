//! What an image string means: a file, a first-party provider, or an OCI reference.
//!
//! This says only what was written. Which OCI references stand for first-party providers, and
//! whether a file is there, is the loader's business.

use withe_linker::input::Image;
use withe_wit::name::is_kebab;

use crate::values::Unreadable;

/// Reads an image string.
pub(crate) fn read(text: &str) -> Result<Image, Unreadable> {
    if let Some(path) = text.strip_prefix("file://") {
        return match path {
            "" => Err(Unreadable::new(
                "there is no path after `file://`",
                "write `file://./build/part.wasm`, relative to the manifest",
            )),
            path => Ok(Image::File(path.into())),
        };
    }
    for scheme in ["withe:", "wasmcloud+builtin://"] {
        if let Some(name) = text.strip_prefix(scheme) {
            return builtin(scheme, name);
        }
    }
    if let Some(id) = text.strip_prefix("lattice:") {
        return lattice(id);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme {
            "oci" => oci(rest),
            // wasmCloud takes these for references too; a file's address is more likely meant as
            // one, and is not fetched.
            "http" | "https" if !rest.ends_with(".wasm") => oci(rest),
            _ => Err(Unreadable::new(
                format!("nothing is fetched by `{scheme}://`"),
                "write a path, or an OCI reference such as `ghcr.io/owner/part:1.0.0`",
            )),
        };
    }
    if is_path(text) {
        return Ok(Image::File(text.into()));
    }
    oci(text)
}

fn builtin(scheme: &str, name: &str) -> Result<Image, Unreadable> {
    if is_kebab(name) {
        return Ok(Image::Builtin(name.into()));
    }
    Err(Unreadable::new(
        format!("`{name}` is not the name of a provider"),
        format!("write a name alone, such as `{scheme}http-server`"),
    ))
}

/// An id is one word of a NATS subject.
fn lattice(id: &str) -> Result<Image, Unreadable> {
    let is_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !id.is_empty() && id.chars().all(is_id) {
        return Ok(Image::Lattice(id.into()));
    }
    Err(Unreadable::new(
        format!("`{id}` is not an id on a lattice"),
        "write an id of letters, digits, `-` and `_`, such as `lattice:http_hello_world-component`",
    ))
}

fn is_path(text: &str) -> bool {
    let is_relative = || {
        let first = text.split('/').next().unwrap_or_default();
        text.ends_with(".wasm") && (first == text || !is_registry(first))
    };
    text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || is_relative()
}

/// Whether the first part of a reference names a registry rather than a repository: the rule that
/// container tools share.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

/// `[registry/]repository[:tag][@digest]`
fn oci(text: &str) -> Result<Image, Unreadable> {
    let malformed = |why: String| {
        Unreadable::new(
            why,
            "write a path that begins with `./`, `withe:NAME` for a first-party provider, or an \
             OCI reference such as `ghcr.io/owner/part:1.0.0`",
        )
    };
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if let Some(digest) = digest
        && !is_digest(digest)
    {
        return Err(malformed(format!(
            "`{digest}` is not a digest such as `sha256:…`"
        )));
    }
    let (registry, rest) = match rest.split_once('/') {
        Some((first, rest)) if is_registry(first) => (Some(first), rest),
        _ => (None, rest),
    };
    if let Some(registry) = registry
        && !is_authority(registry)
    {
        return Err(malformed(format!(
            "`{registry}` is not the address of a registry"
        )));
    }
    let (repository, tag) = match rest.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (rest, None),
    };
    if let Some(tag) = tag
        && !is_tag(tag)
    {
        return Err(malformed(format!("`{tag}` is not a tag")));
    }
    if let Some(part) = repository.split('/').find(|part| !is_repository_part(part)) {
        return Err(if is_repository_part(&part.to_lowercase()) {
            Unreadable::new(
                format!("`{part}` has capital letters, which a registry does not take"),
                format!("write `{}`", text.replacen(part, &part.to_lowercase(), 1)),
            )
        } else {
            malformed("it is neither a path nor an OCI reference".into())
        });
    }
    Ok(Image::Oci(text.into()))
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

/// A host name, an IPv4 address or an IPv6 address in brackets, with or without a port.
fn is_authority(text: &str) -> bool {
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

    #[test]
    fn files() {
        let cases = [
            ("file://./build/a_s.wasm", "./build/a_s.wasm"),
            ("file:///abs/a.wasm", "/abs/a.wasm"),
            ("file://build/p.par.gz", "build/p.par.gz"),
            ("/abs/a", "/abs/a"),
            ("./a.wasm", "./a.wasm"),
            ("../A B/a", "../A B/a"),
            ("a.wasm", "a.wasm"),
            ("Build/a_s.wasm", "Build/a_s.wasm"),
        ];
        for (text, path) in cases {
            assert_eq!(read(text), Ok(Image::File(path.into())), "{text}");
        }
    }

    #[test]
    fn first_party_providers() {
        for text in ["withe:http-server", "wasmcloud+builtin://http-server"] {
            assert_eq!(read(text), Ok(Image::Builtin("http-server".into())));
        }
    }

    #[test]
    fn parts_that_others_run() {
        let id = "Shop-http_component";
        assert_eq!(
            read(&format!("lattice:{id}")),
            Ok(Image::Lattice(id.into()))
        );
    }

    #[test]
    fn oci_references() {
        let cases = [
            "ghcr.io/wasmcloud/http-server:0.27.0",
            "wasmcloud.azurecr.io/echo:0.3.8",
            "localhost:5000/v2/hello:0.1.0",
            "127.0.0.1:5001/hello",
            "[::1]:5000/hello:1",
            "ghcr.io/a/b.wasm",
            "ghcr.io/a__b/c-d:V1_x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "library/hello",
            "hello:latest",
        ];
        for text in cases {
            assert_eq!(read(text), Ok(Image::Oci(text.into())), "{text}");
        }
    }

    #[test]
    fn oci_references_with_a_scheme_as_wasmcloud_takes_them() {
        for scheme in ["oci", "http", "https"] {
            let text = format!("{scheme}://ghcr.io/wasmcloud/http-server:0.27.0");
            let reference = "ghcr.io/wasmcloud/http-server:0.27.0";
            assert_eq!(read(&text), Ok(Image::Oci(reference.into())), "{text}");
        }
    }

    #[test]
    fn what_is_none_of_these_says_why() {
        let cases = [
            ("file://", "no path"),
            ("withe:", "not the name"),
            ("withe:http_server", "not the name"),
            ("https://example.com/a.wasm", "`https://`"),
            ("ftp://example.com/a", "`ftp://`"),
            ("oci://", "neither a path"),
            ("lattice:", "not an id"),
            ("lattice:a.b", "not an id"),
            ("ghcr.io/wasmCloud/a:1", "capital letters"),
            ("ghcr.io/a/b:1:2", "not a tag"),
            ("ghcr.io/a/b@sha256:123", "not a digest"),
            ("ghcr.io:port/a", "not the address"),
            ("not an image", "neither a path"),
            ("", "neither a path"),
            ("${IMAGE}", "neither a path"),
        ];
        for (text, why) in cases {
            let problem = read(text).unwrap_err();
            assert!(problem.why.contains(why), "{text}: {}", problem.why);
        }
    }
}
