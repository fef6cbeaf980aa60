//! Signatures of images as cosign makes them with a key, put in a registry as cosign puts them there.
//!
//! Cosign itself is in no registry of packages that tests could install it from. The forms are those of its
//! `specs/SIGNATURE_SPEC.md` and `specs/BUNDLE_SPEC.md`.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, SigningKey as _};
use serde_json::{Value, json};

use crate::registry::RegistryServer;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Somebody who signs images with a key.
#[derive(Debug)]
pub struct Signer(KeyPair);

impl Signer {
    /// A signer with a new key, ECDSA P-256 as cosign's are.
    ///
    /// # Errors
    ///
    /// If no key can be made.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(KeyPair::generate()?))
    }

    /// Writes the public key, `cosign.pub`.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write_public(&self, path: &Path) -> anyhow::Result<()> {
        Ok(fs::write(path, self.0.public_key_pem())?)
    }

    /// Signs as cosign 1 and 2 do: a signature with what `says` has, under the tag of the image `digest`.
    ///
    /// # Errors
    ///
    /// If the registry does not take it.
    pub fn sign(
        &self,
        registry: &RegistryServer,
        repository: &str,
        digest: &str,
        says: Says<'_>,
    ) -> anyhow::Result<()> {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": says.name},
                "image": {"docker-manifest-digest": says.digest},
                "type": "cosign container image signature",
            },
            "optional": null,
        });
        let payload = payload.to_string().into_bytes();
        let signature = STANDARD.encode(self.0.sign(&payload)?);
        let mut layer = registry.put_blob(
            repository,
            "application/vnd.dev.cosign.simplesigning.v1+json",
            &payload,
        )?;
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        let config = "application/vnd.oci.image.config.v1+json";
        let config = registry.put_blob(repository, config, b"{}")?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
        });
        let tag = format!("{}.sig", digest.replace(':', "-"));
        registry.put_manifest(repository, &tag, MANIFEST, &manifest)?;
        Ok(())
    }

    /// Signs as cosign 3 does, in a registry that lists no referrers: a bundle whose subject the image `digest` is.
    ///
    /// # Errors
    ///
    /// If the registry does not take it.
    pub fn sign_by_bundle(
        &self,
        registry: &RegistryServer,
        repository: &str,
        digest: &str,
    ) -> anyhow::Result<()> {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": digest.trim_start_matches("sha256:")}}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
        });
        let statement = statement.to_string();
        let kind = "application/vnd.in-toto+json";
        let (kind_len, len) = (kind.len(), statement.len());
        let message = format!("DSSEv1 {kind_len} {kind} {len} {statement}");
        let bundle = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": STANDARD.encode(&statement),
                "payloadType": kind,
                "signatures": [{"sig": STANDARD.encode(self.0.sign(message.as_bytes())?), "keyid": ""}],
            },
        });
        let bundle = registry.put_blob(repository, BUNDLE, bundle.to_string().as_bytes())?;
        let empty = "application/vnd.oci.empty.v1+json";
        let empty = registry.put_blob(repository, empty, b"{}")?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": empty,
            "layers": [bundle],
            "subject": {"mediaType": MANIFEST, "digest": digest, "size": 2},
        });
        let tag = format!("{}-bundle", digest.replace(':', "-"));
        let mut entry = registry.put_manifest(repository, &tag, MANIFEST, &manifest)?;
        entry["artifactType"] = Value::from(BUNDLE);
        let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
        registry.put_manifest(repository, &digest.replace(':', "-"), INDEX, &list)?;
        Ok(())
    }
}

/// The image that a signature says that it is of.
#[derive(Clone, Copy, Debug)]
pub struct Says<'a> {
    /// Its repository, with the registry.
    pub name: &'a str,
    /// Its digest.
    pub digest: &'a str,
}
