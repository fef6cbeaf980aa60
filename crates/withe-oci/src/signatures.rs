//! The signatures that a registry keeps beside an image.
//!
//! There are two places. Cosign 1 and 2 give the image's digest a tag, `sha256-….sig`, under which each layer is a signature.
//! Cosign 3, and earlier ones on demand, push artefacts whose `subject` the image is: the registry lists those (`referrers`,
//! OCI 1.1), or whoever pushes keeps the list under the tag `sha256-…` where the registry knows no such lists. Both are asked.
//!
//! Everyone who may push to the repository may put anything there, so what is not understood hides nothing that is. Each signature is looked at
//! as it comes, and one count bounds all that is fetched for an image ([`Search`]), as one deadline does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;

use crate::error::OciError;
use crate::registry::{Repository, of_sha256};
use crate::signature::{Accepted, Search, Signature, SignatureFormError};

/// The layers that are signatures of cosign 1 and 2.
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of such a layer with the signature of its bytes.
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// How the media types begin of layers, and of artefacts, that are bundles of Sigstore; behind is a version.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// The artefacts of which such layers are, when cosign 2 lists them as referrers.
const SIMPLE_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The most bytes of a payload or bundle. With certificates and proofs of logs they are some ten thousand.
const MOST_BYTES: u64 = 1 << 20;
/// How long the signatures of an image are looked for, with all requests.
const MOST_TIME: Duration = Duration::from_secs(5 * 60);

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

/// The signature of an image that a search accepts.
///
/// # Errors
///
/// If the registry cannot be asked, or has no such signature.
pub(crate) async fn fetch(
    repository: &Repository,
    mut search: Search<'_>,
) -> Result<Accepted, OciError> {
    match timeout(MOST_TIME, find(repository, &mut search)).await {
        Ok(Ok(Some(accepted))) => Ok(accepted),
        Ok(Ok(None)) => Err(search.refusal().into()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(OciError::TooLong {
            what: format!("looking for signatures of `{}`", search.digest()),
            seconds: MOST_TIME.as_secs(),
        }),
    }
}

async fn find(
    repository: &Repository,
    search: &mut Search<'_>,
) -> Result<Option<Accepted>, OciError> {
    let digest = search.digest();
    let tag = digest.replace(':', "-");
    search.count_part()?;
    if let Some(manifest) = repository.manifest_if_any(&format!("{tag}.sig")).await?
        && let Some(accepted) = in_manifest(repository, &manifest, search).await?
    {
        return Ok(Some(accepted));
    }
    search.count_part()?;
    let Some(mut page) = repository.referrers(digest).await? else {
        return match repository.manifest_if_any(&tag).await? {
            Some(list) => in_list(repository, &list, search).await,
            None => Ok(None),
        };
    };
    loop {
        if let Some(accepted) = in_list(repository, &page.list, search).await? {
            return Ok(Some(accepted));
        }
        let Some(next) = page.next else {
            return Ok(None);
        };
        search.count_part()?;
        page = repository.more_referrers(digest, next).await?;
    }
}

/// Looks at the signatures that the manifests of a list have.
async fn in_list(
    repository: &Repository,
    list: &[u8],
    search: &mut Search<'_>,
) -> Result<Option<Accepted>, OciError> {
    search.count_bytes(list.len() as u64)?;
    let list: SignatureManifest = match serde_json::from_slice(list) {
        Ok(list) => list,
        Err(error) => {
            search.fault(error.into());
            return Ok(None);
        }
    };
    let is_signature = |entry: &&Entry| match entry.artifact_type.as_deref() {
        Some(kind) => kind.starts_with(BUNDLE) || kind == SIMPLE_ARTIFACT,
        // Lists that were made before OCI 1.1 say nothing of it.
        None => true,
    };
    for entry in list.manifests.iter().filter(is_signature) {
        search.count_part()?;
        let Ok(digest) = of_sha256(&entry.digest) else {
            search.fault(SignatureFormError::Damaged);
            continue;
        };
        match repository.manifest_if_any(&digest).await {
            Ok(Some(manifest)) => {
                if let Some(accepted) = in_manifest(repository, &manifest, search).await? {
                    return Ok(Some(accepted));
                }
            }
            // One that was removed, and is in the list still.
            Ok(None) => {}
            Err(error) => search.fault(damaged(error)?),
        }
    }
    Ok(None)
}

/// Looks at the signatures that the layers of a manifest are.
async fn in_manifest(
    repository: &Repository,
    manifest: &[u8],
    search: &mut Search<'_>,
) -> Result<Option<Accepted>, OciError> {
    search.count_bytes(manifest.len() as u64)?;
    let manifest: SignatureManifest = match serde_json::from_slice(manifest) {
        Ok(manifest) => manifest,
        Err(error) => {
            search.fault(error.into());
            return Ok(None);
        }
    };
    let is_signature =
        |layer: &&Entry| layer.media_type == SIMPLE || layer.media_type.starts_with(BUNDLE);
    for layer in manifest.layers.iter().filter(is_signature) {
        search.count_part()?;
        if layer.size > MOST_BYTES {
            search.fault(SignatureFormError::TooLarge(layer.size));
            continue;
        }
        let Ok(digest) = of_sha256(&layer.digest) else {
            search.fault(SignatureFormError::Damaged);
            continue;
        };
        search.count_bytes(layer.size)?;
        let bytes = match repository.blob(&digest, layer.size, |_| {}).await {
            Ok(bytes) => bytes,
            Err(error) => {
                search.fault(damaged(error)?);
                continue;
            }
        };
        let found = match layer.annotations.get(ANNOTATION) {
            _ if layer.media_type != SIMPLE => Signature::of_bundle(&bytes),
            Some(signature) => Ok(Some(Signature::simple(&bytes, signature))),
            None => Err(SignatureFormError::Damaged),
        };
        match found {
            Ok(Some(found)) => {
                if let Some(accepted) = search.look_at(found)? {
                    return Ok(Some(accepted));
                }
            }
            Ok(None) => {}
            Err(error) => search.fault(error),
        }
    }
    Ok(None)
}

/// The fault of a signature that an error tells, if it is not one of the registry as a whole.
fn damaged(error: OciError) -> Result<SignatureFormError, OciError> {
    match error {
        OciError::NotFound { .. } | OciError::Damaged { .. } | OciError::TooLarge { .. } => {
            Ok(SignatureFormError::Damaged)
        }
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::digest_of;
    use crate::http::{Http, tls};
    use crate::registry::Access;
    use crate::shelf::{Shelf, block_on};
    use crate::signature::tests::{self as signature, Signed};
    use crate::signature::{ImageKey, SignatureError, SignedImage};

    impl Shelf {
        fn put_in_shop(&mut self, path: &str, bytes: Vec<u8>) -> Value {
            let entry =
                json!({"mediaType": BUNDLE, "digest": digest_of(&bytes), "size": bytes.len()});
            self.put(&format!("/v2/shop/{path}"), bytes, None);
            entry
        }

        /// Puts a manifest with these layers by its digest.
        fn put_manifest(&mut self, layers: &[Value]) -> Value {
            let bytes = json!({"layers": layers}).to_string().into_bytes();
            self.put_in_shop(&format!("manifests/{}", digest_of(&bytes)), bytes)
        }

        fn put_blob(&mut self, bytes: Vec<u8>) -> Value {
            self.put_in_shop(&format!("blobs/{}", digest_of(&bytes)), bytes)
        }

        /// Puts a page of the referrers of a digest, with the number of the next one.
        fn put_page(&mut self, digest: &str, page: usize, manifests: &[Value], next: Option<&str>) {
            let bytes = json!({"manifests": manifests}).to_string().into_bytes();
            let query = if page == 0 {
                String::new()
            } else {
                format!("?n={page}")
            };
            self.put(&format!("/v2/shop/referrers/{digest}{query}"), bytes, next);
        }
    }

    /// Looks for the signature of an image in a registry; returns the answer and how often the registry was asked.
    fn fetched(shelf: Shelf, key: &ImageKey, digest: &str) -> (Result<Accepted, OciError>, usize) {
        let (place, asked) = shelf.serve("shop");
        let keys = [key];
        let name = "registry.example/shop";
        let search = Search::new(&keys, SignedImage { name, digest });
        let result = block_on(async {
            let repository = Repository::new(Http::new(tls().unwrap()), place, Access::Pull, None);
            fetch(&repository, search).await
        });
        let asked = asked.lock().unwrap().len();
        (result, asked)
    }

    fn is_too_many(result: &Result<Accepted, OciError>) -> bool {
        let error = result.as_ref().unwrap_err();
        matches!(error, OciError::Signature(SignatureError::TooMany { .. }))
    }

    #[test]
    fn sixty_four_lists_of_sixty_four_are_not_fetched() {
        let Signed {
            key,
            bundle,
            digest,
            ..
        } = signature::signed();
        let mut shelf = Shelf::default();
        let manifests: Vec<_> = (0..64)
            .map(|m: u32| {
                let layers: Vec<_> = (0..64)
                    .map(|l: u32| shelf.put_blob(format!("{m} {l}").into_bytes()))
                    .collect();
                shelf.put_manifest(&layers)
            })
            .collect();
        // The right one is behind all of them.
        let layer = shelf.put_blob(bundle);
        let last = shelf.put_manifest(&[layer]);
        shelf.put_page(&digest, 0, &[manifests, vec![last]].concat(), None);
        let (result, asked) = fetched(shelf, &key, &digest);
        assert!(is_too_many(&result), "{result:?}");
        assert_eq!(asked, 64);
    }

    #[test]
    fn large_parts_are_few() {
        let Signed { key, digest, .. } = signature::signed();
        let mut shelf = Shelf::default();
        // Their sizes are believed before they are fetched, and they are not there.
        let layer = |n: u32| {
            let digest = digest_of(n.to_string().as_bytes());
            json!({"mediaType": BUNDLE, "digest": digest, "size": MOST_BYTES})
        };
        let manifest = shelf.put_manifest(&(0..60).map(layer).collect::<Vec<_>>());
        shelf.put_page(&digest, 0, &[manifest], None);
        let (result, asked) = fetched(shelf, &key, &digest);
        assert!(is_too_many(&result), "{result:?}");
        // The tag, the list, the manifest, and less than 16 MiB.
        assert_eq!(asked, 3 + 15);
    }

    #[test]
    fn every_page_of_the_list_is_read_and_no_more_than_are_looked_at() {
        let Signed {
            key,
            bundle,
            digest,
            ..
        } = signature::signed();
        let with_pages = |last: Option<&str>| {
            let mut shelf = Shelf::default();
            let layer = shelf.put_blob(bundle.clone());
            let good = shelf.put_manifest(&[layer]);
            shelf.put_page(&digest, 0, &[], Some("?n=1"));
            let next = format!("/v2/shop/referrers/{digest}?n=2");
            shelf.put_page(&digest, 1, &[], Some(&next));
            let good = if last.is_none() { vec![good] } else { vec![] };
            shelf.put_page(&digest, 2, &good, last);
            fetched(shelf, &key, &digest)
        };
        with_pages(None).0.unwrap();
        // Pages that go round and round.
        let (result, asked) = with_pages(Some("?n=1"));
        assert!(is_too_many(&result), "{result:?}");
        assert_eq!(asked, 64);
        let (result, _) = with_pages(Some("ftp://elsewhere/"));
        let error = result.unwrap_err().to_string();
        assert!(error.contains("goes on at `ftp://elsewhere/`"), "{error}");
        // A page that is named and not there hides nothing.
        let (result, _) = with_pages(Some("?n=7"));
        let error = result.unwrap_err();
        assert!(matches!(error, OciError::NotFound { .. }), "{error}");
    }
}
