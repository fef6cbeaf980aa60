//! Registries of WIT packages: where the packages of a namespace are, as `wkg` has it.
//!
//! A namespace has a domain, whose `/.well-known/wasm-pkg/registry.json` names a registry of OCI artefacts and the beginning of the
//! names of repositories there; a domain without one is such a registry itself. A package is the repository `NAMESPACE/NAME`, with a
//! tag for each version. The domain of a namespace is the one that the command line names, else that of wkg's configuration, else
//! one that everybody has.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use withe_manifest::reference::is_authority;
use withe_oci::Reference;

use crate::usage::Expected;

/// The path of a domain's document.
pub(super) const METADATA: &str = "/.well-known/wasm-pkg/registry.json";

/// The registries that `wkg` knows without a configuration.
const USUAL: [(&str, &str); 2] = [("wasi", "wasi.dev"), ("ba", "bytecodealliance.org")];

/// Where packages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PackagePlace {
    /// A domain that says where its packages are.
    Domain(String),
    /// A registry of OCI artefacts.
    Oci(OciPlace),
}

/// A registry of OCI artefacts that has packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OciPlace {
    /// Its address.
    pub(super) registry: String,
    /// The beginning of the names of its repositories; empty, or with its slash.
    pub(super) prefix: String,
}

impl OciPlace {
    /// The repository of a package, or what is under a tag in it.
    ///
    /// # Errors
    ///
    /// If the names make no reference, or one that leads elsewhere: containers' tools read a first word without a dot and a port
    /// as a repository of Docker Hub, and so does [`Reference::parse`].
    pub(super) fn reference(
        &self,
        namespace: &str,
        name: &str,
        tag: Option<&str>,
    ) -> anyhow::Result<Reference> {
        let Self { registry, prefix } = self;
        let repository = format!("{prefix}{namespace}/{name}");
        let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        let text = format!("{registry}/{repository}{tag}");
        let reference = Reference::parse(&text)
            .with_context(|| format!("`{text}` is no name of an artefact"))?;
        if reference.registry() != registry {
            bail!(
                "`{registry}` has no dot and no port, so `{text}` is a repository of `{}`; name the registry with its port, \
                 such as `oci://{registry}:443/{prefix}`",
                reference.registry()
            );
        }
        if reference.repository() != repository {
            bail!("`{text}` is no name of a package's repository");
        }
        Ok(reference)
    }
}

impl FromStr for PackagePlace {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected =
            Expected("a domain, such as `wasi.dev`, or `oci://REGISTRY/PREFIX`");
        let Some(oci) = text.strip_prefix("oci://") else {
            return match is_authority(text) {
                true => Ok(Self::Domain(text.into())),
                false => Err(EXPECTED),
            };
        };
        let (registry, prefix) = oci.split_once('/').unwrap_or((oci, ""));
        if !is_authority(registry) {
            return Err(EXPECTED);
        }
        Ok(Self::Oci(OciPlace {
            registry: registry.into(),
            prefix: match prefix.trim_matches('/') {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
        }))
    }
}

impl fmt::Display for PackagePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => f.write_str(domain),
            Self::Oci(OciPlace { registry, prefix }) => write!(f, "oci://{registry}/{prefix}"),
        }
    }
}

/// The place of a namespace, or of one package, as the command line has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPlace {
    /// `acme`, or `acme:cart`.
    pub(crate) name: String,
    pub(crate) place: PackagePlace,
}

impl FromStr for NamedPlace {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let (name, place) = match text.split_once('=') {
            Some((name, place)) if !name.is_empty() => (name, place),
            _ => {
                return Err(Expected(
                    "`NAMESPACE=DOMAIN` or `NAMESPACE=oci://REGISTRY/PREFIX`, such as `acme=oci://ghcr.io/acme`",
                ));
            }
        };
        Ok(Self {
            name: name.into(),
            place: place.parse()?,
        })
    }
}

/// A domain's document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    preferred_protocol: Option<String>,
    oci: Option<OciMetadata>,
    // As the document was at first.
    oci_registry: Option<String>,
    oci_namespace_prefix: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OciMetadata {
    registry: Option<String>,
    namespace_prefix: Option<String>,
}

impl Metadata {
    /// The registry of OCI artefacts of a domain.
    fn place(self, domain: &str) -> anyhow::Result<OciPlace> {
        let oci = self.oci.unwrap_or_default();
        let registry = self.oci_registry.or(oci.registry);
        if let Some(other) = self.preferred_protocol.filter(|name| name != "oci")
            && registry.is_none()
        {
            bail!(
                "`{domain}` has its packages by the protocol `{other}`, and only `oci` is spoken here"
            );
        }
        let registry = registry.unwrap_or_else(|| domain.into());
        if !is_authority(&registry) {
            bail!("`{domain}` names the registry `{registry}`, which is no address");
        }
        let prefix = self.oci_namespace_prefix.or(oci.namespace_prefix);
        Ok(OciPlace {
            registry,
            prefix: prefix.unwrap_or_default(),
        })
    }
}

/// The registry of OCI artefacts of a domain, by its document; without one, the domain is the registry.
///
/// # Errors
///
/// If the document is not understood, or speaks of no such registry.
pub(super) fn of_domain(domain: &str, document: Option<&[u8]>) -> anyhow::Result<OciPlace> {
    let metadata = match document {
        None => Metadata::default(),
        Some(bytes) => serde_json::from_slice(bytes).with_context(|| {
            format!(
                "`{METADATA}` of `{domain}` is not understood; `oci://REGISTRY/PREFIX` in the domain's place does without it"
            )
        })?,
    };
    metadata.place(domain)
}

/// The configuration of `wkg`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Wkg {
    default_registry: Option<String>,
    #[serde(default)]
    namespace_registries: BTreeMap<String, Mapping>,
    #[serde(default)]
    package_registry_overrides: BTreeMap<String, Mapping>,
}

/// The entry for a namespace or a package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Mapping {
    Domain(String),
    Custom {
        registry: String,
        metadata: Metadata,
    },
}

impl Wkg {
    /// The file that has it, if there may be one.
    pub(super) fn path() -> Option<PathBuf> {
        let variable = |name| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            value.map(PathBuf::from)
        };
        variable("WKG_CONFIG_FILE").or_else(|| {
            let folder = variable("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
            let folder = folder.or_else(|| Some(variable("HOME")?.join(".config")))?;
            Some(folder.join("wasm-pkg/config.toml"))
        })
    }

    /// Reads the file; one that is not there says nothing.
    ///
    /// # Errors
    ///
    /// If it is there and is not understood.
    pub(super) fn read() -> anyhow::Result<Self> {
        let Some(path) = Self::path() else {
            return Ok(Self::default());
        };
        let shown = path.display();
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("`{shown}` cannot be read")),
            Ok(text) => Self::parse(&text)
                .with_context(|| format!("`{shown}`, the configuration of wkg, is not understood")),
        }
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The place of a package.
    ///
    /// # Errors
    ///
    /// If its entry makes no sense.
    pub(super) fn place(
        &self,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<Option<PackagePlace>> {
        let package = format!("{namespace}:{name}");
        let overridden = self.package_registry_overrides.get(&package);
        let mapping = overridden.or_else(|| self.namespace_registries.get(namespace));
        let usual = || {
            let usual = USUAL.iter().find(|(known, _)| *known == namespace);
            usual.map(|(_, domain)| *domain)
        };
        let domain = match mapping {
            Some(Mapping::Custom { registry, metadata }) => {
                return Ok(Some(PackagePlace::Oci(metadata.clone().place(registry)?)));
            }
            Some(Mapping::Domain(domain)) => Some(domain.as_str()),
            None => self.default_registry.as_deref().or_else(usual),
        };
        let place = |domain: &str| match domain.parse() {
            Ok(PackagePlace::Domain(domain)) => Ok(PackagePlace::Domain(domain)),
            _ => bail!("`{domain}`, which wkg's configuration has for `{package}`, is no domain"),
        };
        domain.map(place).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oci(registry: &str, prefix: &str) -> OciPlace {
        OciPlace {
            registry: registry.into(),
            prefix: prefix.into(),
        }
    }

    #[test]
    fn places_are_domains_or_registries_with_a_prefix() {
        let place = |text: &str| text.parse::<PackagePlace>();
        assert_eq!(
            place("wasi.dev").unwrap(),
            PackagePlace::Domain("wasi.dev".into())
        );
        for text in ["oci://ghcr.io/webassembly", "oci://ghcr.io/webassembly/"] {
            let place = place(text).unwrap();
            assert_eq!(place, PackagePlace::Oci(oci("ghcr.io", "webassembly/")));
            assert_eq!(place.to_string(), "oci://ghcr.io/webassembly/");
        }
        assert_eq!(
            place("oci://127.0.0.1:5000").unwrap(),
            PackagePlace::Oci(oci("127.0.0.1:5000", ""))
        );
        assert!(place("https://wasi.dev").is_err());
        assert!(place("oci://").is_err());
        let named: NamedPlace = "acme:cart=acme.example".parse().unwrap();
        assert_eq!(named.name, "acme:cart");
        assert!("acme.example".parse::<NamedPlace>().is_err());
        let reference = oci("ghcr.io", "webassembly/").reference("wasi", "io", Some("0.2.9"));
        assert_eq!(
            reference.unwrap().to_string(),
            "ghcr.io/webassembly/wasi/io:0.2.9"
        );
    }

    #[test]
    fn a_domain_says_where_its_packages_are_in_the_new_form_and_the_old() {
        let read = |text: &str| of_domain("wasi.dev", Some(text.as_bytes()));
        let wasi = oci("ghcr.io", "webassembly/");
        let new = r#"{"preferredProtocol": "oci", "oci": {"registry": "ghcr.io", "namespacePrefix": "webassembly/"}}"#;
        assert_eq!(read(new).unwrap(), wasi);
        let old = r#"{"ociRegistry": "ghcr.io", "ociNamespacePrefix": "webassembly/"}"#;
        assert_eq!(read(old).unwrap(), wasi);
        assert_eq!(of_domain("a.example", None).unwrap(), oci("a.example", ""));
        let refused = |text: &str| format!("{:#}", read(text).unwrap_err());
        assert!(refused(r#"{"preferredProtocol": "warg"}"#).contains("`warg`"));
        assert!(refused(r#"{"ociRegistry": "a b"}"#).contains("no address"));
        assert!(refused("<html>").contains("oci://"));
    }

    #[test]
    fn a_registry_without_a_dot_is_not_taken_for_docker_hub() {
        let refused = |place: &OciPlace| {
            let refused = place.reference("acme", "cart", Some("1.0.0")).unwrap_err();
            assert!(refused.to_string().contains("`docker.io`"), "{refused}");
            refused.to_string()
        };
        let PackagePlace::Oci(named) = "oci://nexus/all".parse().unwrap() else {
            panic!("`oci://` names a registry");
        };
        assert!(refused(&named).contains("`oci://nexus:443/all/`"));
        let itself = of_domain("nexus", None).unwrap();
        assert!(refused(&itself).contains("`oci://nexus:443/`"));
        let document = of_domain("acme.example", Some(br#"{"ociRegistry": "registry"}"#)).unwrap();
        assert!(refused(&document).contains("`oci://registry:443/`"));

        let with_port = oci("nexus:443", "all/").reference("acme", "cart", None);
        assert_eq!(with_port.unwrap().registry(), "nexus:443");
        let local = oci("localhost", "").reference("acme", "cart", None);
        assert_eq!(local.unwrap().registry(), "localhost");
        let odd = oci("ghcr.io", "all:1/").reference("acme", "cart", None);
        assert!(odd.is_err());
    }

    #[test]
    fn wkgs_configuration_goes_from_the_package_to_the_namespace_to_the_default() {
        let wkg = Wkg::parse(
            r#"
            default_registry = "default.example"
            [namespace_registries]
            acme = "acme.example"
            [namespace_registries.custom]
            registry = "custom.example"
            metadata = { preferredProtocol = "oci", oci = { registry = "ghcr.io", namespacePrefix = "c/" } }
            [package_registry_overrides]
            "acme:cart" = "cart.example"
            [registry."acme.example"]
            type = "oci"
            "#,
        )
        .unwrap();
        let domain = |domain: &str| Some(PackagePlace::Domain(domain.into()));
        let place = |namespace, name| wkg.place(namespace, name).unwrap();
        assert_eq!(place("acme", "cart"), domain("cart.example"));
        assert_eq!(place("acme", "other"), domain("acme.example"));
        assert_eq!(
            place("custom", "x"),
            Some(PackagePlace::Oci(oci("ghcr.io", "c/")))
        );
        assert_eq!(place("wasi", "http"), domain("default.example"));
        let none = Wkg::default();
        assert_eq!(none.place("wasi", "http").unwrap(), domain("wasi.dev"));
        assert_eq!(none.place("acme", "cart").unwrap(), None);
        let bad = Wkg::parse("default_registry = \"https://x\"").unwrap();
        assert!(
            bad.place("a", "b")
                .unwrap_err()
                .to_string()
                .contains("no domain")
        );
    }
}
