//! The signatures that a registry keeps beside an image.
//!
//! There are two places. Cosign 1 and 2 give the image's digest a tag, `sha256-….sig`, under which each layer is a signature.
//! Cosign 3, and earlier ones on demand, push artefacts whose `subject` the image is: the registry lists those (`referrers`,
//! OCI 1.1), or whoever pushes keeps the list under the tag `sha256-…` where the registry knows no such lists. Both are asked.
//!
//! Whoever may push to the repository may put anything there, so what is not understood hides nothing that is.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::OciError;
use crate::registry::{Repository, of_sha256};
use crate::signature::{Signature, SignatureFormError};

/// The layers that are signatures of cosign 1 and 2.
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of such a layer with the signature of its bytes.
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// How the media types begin of layers, and of artefacts, that are bundles of Sigstore; behind is a version.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// The artefacts of which such layers are, when cosign 2 lists them as referrers.
const SIMPLE_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The most signatures that are looked at in either place.
const MOST: usize = 64;
/// The most bytes of a payload or bundle. With certificates and proofs of logs they are some ten thousand.
const MOST_BYTES: u64 = 1 << 20;

/// A manifest, or a list of several, as far as signatures need it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SignatureManifest {
    layers: Vec<Entry>,
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    #[serde(default)]
    artifact_type: Option<String>,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A signature, or why what is in its place is none.
type Found = Result<Signature, SignatureFormError>;

/// All signatures of the image of a digest.
///
/// # Errors
///
/// If the registry cannot be asked. Signatures that are not there are no error.
pub(crate) async fn fetch(repository: &Repository, digest: &str) -> Result<Vec<Found>, OciError> {
    let mut found = Vec::new();
    let tag = digest.replace(':', "-");
    if let Some(manifest) = repository.manifest_if_any(&format!("{tag}.sig")).await? {
        of_manifest(repository, &manifest, &mut found).await?;
    }
    let list = match repository.referrers(digest).await? {
        Some(list) => Some(list),
        None => repository.manifest_if_any(&tag).await?,
    };
    let Some(list) = list else {
        return Ok(found);
    };
    let list: SignatureManifest = match serde_json::from_slice(&list) {
        Ok(list) => list,
        Err(error) => {
            found.push(Err(error.into()));
            return Ok(found);
        }
    };
    let is_signature = |entry: &&Entry| match entry.artifact_type.as_deref() {
        Some(kind) => kind.starts_with(BUNDLE) || kind == SIMPLE_ARTIFACT,
        // Lists that were made before OCI 1.1 say nothing of it.
        None => true,
    };
    for entry in list.manifests.iter().filter(is_signature).take(MOST) {
        let Ok(digest) = of_sha256(&entry.digest) else {
            found.push(Err(SignatureFormError::Damaged));
            continue;
        };
        match repository.manifest_if_any(&digest).await {
            Ok(Some(manifest)) => of_manifest(repository, &manifest, &mut found).await?,
            // One that was removed, and is in the list still.
            Ok(None) => {}
            Err(error) => found.push(Err(damaged(error)?)),
        }
    }
    Ok(found)
}

/// Adds the signatures that the layers of a manifest are.
async fn of_manifest(
    repository: &Repository,
    manifest: &[u8],
    found: &mut Vec<Found>,
) -> Result<(), OciError> {
    let manifest: SignatureManifest = match serde_json::from_slice(manifest) {
        Ok(manifest) => manifest,
        Err(error) => {
            found.push(Err(error.into()));
            return Ok(());
        }
    };
    let is_signature =
        |layer: &&Entry| layer.media_type == SIMPLE || layer.media_type.starts_with(BUNDLE);
    for layer in manifest.layers.iter().filter(is_signature).take(MOST) {
        if layer.size > MOST_BYTES {
            found.push(Err(SignatureFormError::TooLarge(layer.size)));
            continue;
        }
        let Ok(digest) = of_sha256(&layer.digest) else {
            found.push(Err(SignatureFormError::Damaged));
            continue;
        };
        let bytes = match repository.blob(&digest, layer.size, |_| {}).await {
            Ok(bytes) => bytes,
            Err(error) => {
                found.push(Err(damaged(error)?));
                continue;
            }
        };
        if layer.media_type != SIMPLE {
            match Signature::of_bundle(&bytes) {
                Ok(signatures) => found.extend(signatures.into_iter().map(Ok)),
                Err(error) => found.push(Err(error)),
            }
            continue;
        }
        found.push(match layer.annotations.get(ANNOTATION) {
            Some(signature) => Ok(Signature::simple(&bytes, signature)),
            None => Err(SignatureFormError::Damaged),
        });
    }
    Ok(())
}

/// What an error says of a signature, if it is not one of the registry as a whole.
fn damaged(error: OciError) -> Result<SignatureFormError, OciError> {
    match error {
        OciError::NotFound { .. } | OciError::Damaged { .. } | OciError::TooLarge { .. } => {
            Ok(SignatureFormError::Damaged)
        }
        error => Err(error),
    }
}
