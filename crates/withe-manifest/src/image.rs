//! The meaning of an image string: a file, a first-party provider, or an OCI reference.
//!
//! This says only what was written. Which OCI references stand for first-party providers, and
//! whether a file is there, is the loader's business.

use withe_linker::input::Image;
use withe_wit::name::is_kebab;

use crate::reference::{Reference, ReferenceError, is_registry};
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

/// `[registry/]repository[:tag][@digest]`
fn oci(text: &str) -> Result<Image, Unreadable> {
    match Reference::parse(text) {
        Ok(_) => Ok(Image::Oci(text.into())),
        Err(ReferenceError::Capitals { part, instead }) => Err(Unreadable::new(
            format!("`{part}` has capital letters, which a registry does not take"),
            format!("write `{instead}`"),
        )),
        Err(error) => Err(Unreadable::new(
            error.to_string(),
            "write a path that begins with `./`, `withe:NAME` for a first-party provider, or an \
             OCI reference such as `ghcr.io/owner/part:1.0.0`",
        )),
    }
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
