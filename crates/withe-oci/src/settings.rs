//! How registries are reached.

use std::path::PathBuf;
use std::str::FromStr;

use withe_manifest::reference::is_authority;

use crate::signature::ImageKey;

/// The address where the registry `docker.io` is asked.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// How registries are reached.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Registries that are asked without TLS. None is, unless it is named: also one on this machine's loopback interface
    /// is somebody's choice, and a password that is sent in the clear is sent because somebody said so.
    pub plain_http: Vec<String>,
    /// The mirrors that are asked in the place of registries when something is pulled.
    pub mirrors: Vec<Mirror>,
    /// The folder where blobs are kept; `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// The folder of Docker's configuration, if there may be one.
    pub docker: Option<PathBuf>,
    /// The keys that images have to be signed with when they are pulled; an image for which several are is signed with one of
    /// them. An image for which there is none need not be signed.
    pub keys: Vec<ImageKey>,
}

/// The mirror of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    registry: String,
    /// The address of the registry that is asked.
    address: String,
    /// The prefix of the names of repositories there, with a slash at its end; empty if there is none.
    prefix: String,
}

/// Why a setting makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The text has not the form `REGISTRY=OTHER`.
    #[error("expected `REGISTRY=OTHER`, such as `docker.io=mirror.example:5000/hub`")]
    Form,
    /// A registry's address is none.
    #[error("`{0}` is not the address of a registry")]
    Address(String),
}

impl FromStr for Mirror {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let (registry, other) = text.split_once('=').ok_or(SettingsError::Form)?;
        let (address, prefix) = other.split_once('/').unwrap_or((other, ""));
        for address in [registry, address] {
            if !is_authority(address) {
                return Err(SettingsError::Address(address.into()));
            }
        }
        let prefix = prefix.trim_matches('/');
        Ok(Self {
            registry: registry.into(),
            address: address.into(),
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
        })
    }
}

/// Where a repository is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The registry, as credentials and options name it.
    pub(crate) registry: String,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The address that is connected to.
    pub(crate) address: String,
    /// The repository there.
    pub(crate) repository: String,
}

impl Settings {
    /// Where a repository of a registry is pulled from.
    pub(crate) fn pulled_from(&self, registry: &str, repository: &str) -> Place {
        let mirror = self.mirrors.iter().find(|m| m.registry == registry);
        match mirror {
            Some(mirror) => self.place(&mirror.address, format!("{}{repository}", mirror.prefix)),
            None => self.place(registry, repository.into()),
        }
    }

    /// A repository at the registry itself, never at a mirror: where it is pushed to.
    pub(crate) fn itself(&self, registry: &str, repository: &str) -> Place {
        self.place(registry, repository.into())
    }

    fn place(&self, registry: &str, repository: String) -> Place {
        let is_plain = self.plain_http.iter().any(|plain| plain == registry);
        Place {
            registry: registry.into(),
            scheme: if is_plain { "http" } else { "https" },
            address: match registry {
                name if name == DOCKER_HUB.0 => DOCKER_HUB.1.into(),
                name => name.into(),
            },
            repository,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_asked_when_something_is_pulled_and_only_then() {
        let settings = Settings {
            plain_http: vec!["mirror:5000".into()],
            mirrors: vec!["docker.io=mirror:5000/hub".parse().unwrap()],
            ..Settings::default()
        };
        let pulled = settings.pulled_from("docker.io", "library/a");
        assert_eq!(
            (pulled.scheme, &*pulled.address, &*pulled.repository),
            ("http", "mirror:5000", "hub/library/a")
        );
        let pushed = settings.itself("docker.io", "library/a");
        assert_eq!(
            (pushed.scheme, &*pushed.address, &*pushed.repository),
            ("https", "registry-1.docker.io", "library/a")
        );
    }

    #[test]
    fn loopback_is_asked_without_tls_only_if_it_is_named() {
        let settings = Settings::default();
        assert_eq!(settings.pulled_from("127.0.0.1:5000", "a").scheme, "https");
    }

    #[test]
    fn mirrors_that_make_no_sense_say_so() {
        let read = |text: &str| text.parse::<Mirror>().unwrap_err();
        assert_eq!(read("docker.io"), SettingsError::Form);
        assert_eq!(
            read("docker.io=ht tp"),
            SettingsError::Address("ht tp".into())
        );
    }
}
