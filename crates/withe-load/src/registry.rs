//! The first-party providers, and the names under which manifests ask for them.

use std::sync::Arc;

use withe_linker::input::{ConfigCheck, ProviderWorld};
use withe_oci::Images;
use withe_process::Confined;
use withe_provider::{Alias, Descriptor};
use withe_wit::{FromWitError, World};

use crate::artifact::digest;

/// The world that a provider's WIT declares.
pub(super) const PROVIDER_WORLD: &str = "provider";

/// The providers that manifests may name, each with its world read.
#[derive(Clone, Debug)]
pub struct Registry {
    entries: Vec<RegistryEntry>,
    remote: Option<RemoteImages>,
    /// The confinement of a program that was pulled while it is asked what it is.
    confined: Option<Confined>,
}

/// The way to images that are in registries.
#[derive(Clone, Debug)]
pub(super) struct RemoteImages {
    /// The client of registries.
    pub(super) images: Arc<Images>,
    /// The use of the lock beside a manifest.
    pub(super) locks: Locks,
}

/// The use of the lock beside a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locks {
    /// Nothing: it is about to be written.
    Ignored,
    /// A tag that has moved is told, and an image that cannot be asked for is used as it was locked.
    #[default]
    Told,
    /// Only what it has is used, as it has it.
    Only,
}

#[derive(Clone, Debug)]
struct RegistryEntry {
    descriptor: Descriptor,
    world: ProviderWorld,
}

/// A provider whose own WIT cannot be read: a fault of the provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the WIT of provider `{provider}` cannot be read: {why}")]
pub struct RegistryError {
    /// The provider.
    pub provider: &'static str,
    /// The problem with its WIT.
    #[source]
    pub why: FromWitError,
}

/// A provider that an image stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// The descriptor that makes it.
    pub(super) descriptor: Descriptor,
    /// The provider's exports and imports.
    pub(super) world: &'a ProviderWorld,
    /// Configuration that the image's name implies.
    pub(super) config: &'static [(&'static str, &'static str)],
}

impl Registry {
    /// Reads the worlds of `descriptors`.
    ///
    /// # Errors
    ///
    /// If the WIT of one of them is faulty.
    pub fn new(descriptors: &[Descriptor]) -> Result<Self, RegistryError> {
        let entries = descriptors
            .iter()
            .map(RegistryEntry::new)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            entries,
            remote: None,
            confined: None,
        })
    }

    /// The same, with images of other names pulled from registries.
    #[must_use]
    pub fn pulling(mut self, images: Arc<Images>, locks: Locks) -> Self {
        self.remote = Some(RemoteImages { images, locks });
        self
    }

    /// The same, with programs that were pulled confined when they are asked what they are.
    #[must_use]
    pub fn confining(mut self, confined: Option<Confined>) -> Self {
        self.confined = confined;
        self
    }

    pub(super) fn confined(&self) -> Option<&Confined> {
        self.confined.as_ref()
    }

    /// The way to images that are in registries, if there is one.
    pub(super) fn remote(&self) -> Option<&RemoteImages> {
        self.remote.as_ref()
    }

    /// The provider of the short name `name` (`keyvalue`).
    pub fn get(&self, name: &str) -> Option<&Descriptor> {
        self.entries
            .iter()
            .map(|e| &e.descriptor)
            .find(|d| d.name == name)
    }

    /// All providers, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Descriptor> {
        self.entries.iter().map(|e| &e.descriptor)
    }

    /// Every provider's short name and world, in the order they were given.
    pub fn worlds(&self) -> impl Iterator<Item = (&'static str, &World)> {
        self.entries
            .iter()
            .map(|e| (e.descriptor.name, &*e.world.world))
    }

    /// The provider of the short name `name`.
    pub(super) fn by_name(&self, name: &str) -> Option<Known<'_>> {
        let entry = self.entries.iter().find(|e| e.descriptor.name == name)?;
        Some(Known {
            descriptor: entry.descriptor,
            world: &entry.world,
            config: &[],
        })
    }

    /// The provider that the image reference `image` stands for, whatever its tag or digest: its
    /// interface to components, not its build, is what a manifest counts on.
    pub(super) fn by_image(&self, image: &str) -> Option<Known<'_>> {
        let image = without_tag(image);
        self.entries.iter().find_map(|entry| {
            let alias: &Alias = entry.descriptor.aliases.iter().find(|a| a.image == image)?;
            Some(Known {
                descriptor: entry.descriptor,
                world: &entry.world,
                config: alias.config,
            })
        })
    }

    /// `` `withe:a`, `withe:b` ``: the providers there are, for messages.
    pub(super) fn list(&self) -> String {
        let names: Vec<_> = self.iter().map(|d| format!("`withe:{}`", d.name)).collect();
        names.join(", ")
    }

    /// The short name most like `name`, if one is like it.
    pub(super) fn similar(&self, name: &str) -> Option<&'static str> {
        self.iter()
            .map(|d| (strsim::damerau_levenshtein(d.name, name), d.name))
            .min()
            .filter(|(distance, _)| *distance <= 1 + name.len() / 3)
            .map(|(_, name)| name)
    }
}

impl RegistryEntry {
    fn new(descriptor: &Descriptor) -> Result<Self, RegistryError> {
        let world =
            World::from_wit(descriptor.wit, PROVIDER_WORLD).map_err(|why| RegistryError {
                provider: descriptor.name,
                why,
            })?;
        let identity = [descriptor.name, descriptor.version]
            .into_iter()
            .chain(descriptor.wit.iter().copied());
        Ok(Self {
            descriptor: *descriptor,
            world: ProviderWorld {
                name: descriptor.name.into(),
                world: Arc::new(world),
                digest: digest(identity.collect::<Vec<_>>().join("\0").as_bytes()),
                check_config: ConfigCheck::new(descriptor.check_config),
                may_be_component: false,
            },
        })
    }
}

/// `ghcr.io/a/b` of `ghcr.io/a/b:0.26.0` or `ghcr.io/a/b@sha256:…`. A colon before the last slash is
/// that of a port.
fn without_tag(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rfind(':') {
        Some(colon) if !image[colon..].contains('/') => &image[..colon],
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_digests_are_left_aside_but_not_ports() {
        let table = [
            (
                "ghcr.io/wasmcloud/http-server:0.26.0",
                "ghcr.io/wasmcloud/http-server",
            ),
            (
                "ghcr.io/wasmcloud/http-server@sha256:00ff",
                "ghcr.io/wasmcloud/http-server",
            ),
            (
                "ghcr.io/wasmcloud/http-server:1@sha256:00ff",
                "ghcr.io/wasmcloud/http-server",
            ),
            ("localhost:5000/kv", "localhost:5000/kv"),
            ("localhost:5000/kv:v1", "localhost:5000/kv"),
            ("kv", "kv"),
        ];
        for (image, want) in table {
            assert_eq!(without_tag(image), want);
        }
    }
}
