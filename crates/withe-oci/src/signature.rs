//! Signatures of images by keys, as cosign makes them: the keys, and what a signature has to say of an image.
//!
//! A signature is over a payload that names an image by the digest of its manifest; the manifest names all else by digest.
//! So a signature that fits is one of every byte that is pulled. Two forms are read: the payload of cosign 1 and 2 ("simple
//! signing"), which names the repository as well, and the bundle of cosign 3, an in-toto statement in a DSSE envelope.
//! Their formats are those of cosign's `specs/SIGNATURE_SPEC.md` and `specs/BUNDLE_SPEC.md`.
//!
//! The crate `sigstore` was the other choice. Certificates, the transparency log and its client come with it, about a hundred
//! crates, and none of that has a part in a signature by a key that the user names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use withe_manifest::reference::Reference;

use crate::digest_of;
use crate::identity::{ImagePattern, name_of};

/// The bytes before the point of an ECDSA P-256 key in its `SubjectPublicKeyInfo` (RFC 5480), which has one form.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The bytes of such a point, which is not compressed.
const POINT: usize = 65;
/// The `critical.type` of a payload of cosign 1 and 2.
const SIMPLE_SIGNING: &str = "cosign container image signature";
/// The `payloadType` of an envelope that has a statement.
const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The `predicateType` of a statement that is a signature. Others are attestations, which say something else of the image.
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
/// The most parts that are looked at of one image: manifests and pages of lists, layers, and signatures of a layer beyond its first.
const MOST_PARTS: usize = 64;
/// The most bytes of these. A signature with certificates and proofs of logs has some ten thousand.
const MOST_BYTES: u64 = 16 << 20;

/// The keys with which some images have to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageKey {
    /// The images that it is for, by `REGISTRY/REPOSITORY`.
    images: ImagePattern,
    /// The file of the keys, as the user named it.
    file: String,
    /// The keys, each of which will do.
    keys: Vec<PublicKey>,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text has no file, or no pattern before its `=`.
    #[error("expected `FILE` or `PATTERN=FILE`, such as `ghcr.io/example/*=cosign.pub`")]
    Form,
    /// The file cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The file has no public key.
    #[error(
        "`{0}` has no public key in PEM: name the file `cosign.pub` that `cosign generate-key-pair` makes"
    )]
    NoKey(String),
    /// The file has a private key.
    #[error("`{0}` has a private key: name the public one, `cosign.pub`")]
    Private(String),
    /// A key is of another kind.
    #[error(
        "`{0}` has a key of another kind than ECDSA P-256, which `cosign generate-key-pair` makes"
    )]
    Kind(String),
}

/// A public key for ECDSA on the curve P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PublicKey {
    point: Vec<u8>,
    /// The digest of its `SubjectPublicKeyInfo`.
    fingerprint: String,
}

impl ImageKey {
    /// Reads an option's `FILE` or `PATTERN=FILE`, and the keys in that file.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it has something else.
    pub fn read(option: &str) -> Result<Self, KeyError> {
        let (images, file) = option.split_once('=').unwrap_or(("*", option));
        if images.is_empty() || file.is_empty() {
            return Err(KeyError::Form);
        }
        let path = Path::new(file);
        let pem = fs::read(path).map_err(|source| KeyError::Read {
            path: path.into(),
            source,
        })?;
        Self::of(images, file, &pem)
    }

    fn of(images: &str, file: &str, pem: &[u8]) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for key in SubjectPublicKeyInfoDer::pem_slice_iter(pem) {
            let key = key.map_err(|_| KeyError::NoKey(file.into()))?;
            let point = key.strip_prefix(&P256).filter(|p| p.len() == POINT);
            keys.push(PublicKey {
                point: point.ok_or_else(|| KeyError::Kind(file.into()))?.to_vec(),
                fingerprint: digest_of(&key),
            });
        }
        if keys.is_empty() {
            let is_private = pem.windows(12).any(|text| text == b"PRIVATE KEY-");
            return Err(match is_private {
                true => KeyError::Private(file.into()),
                false => KeyError::NoKey(file.into()),
            });
        }
        Ok(Self {
            images: ImagePattern::new(images),
            file: file.into(),
            keys,
        })
    }

    /// Whether images of the repository of this name have to be signed with one of these.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        self.images.matches(name)
    }

    /// The pattern and the file, as the option had them.
    pub(crate) fn option(&self) -> (&str, &str) {
        (self.images.text(), &self.file)
    }
}

/// A signature that is kept beside an image, or several with one payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signature {
    form: Form,
    /// The statement that is signed, in base64.
    payload: String,
    /// The signatures in ASN.1, in base64. Each alone may be one by the right key.
    signatures: Vec<String>,
}

/// The bytes that a signature is made over, and the kind of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Form {
    /// Over the payload: cosign 1 and 2.
    Simple,
    /// Over the envelope's type and the payload: cosign 3.
    Envelope,
}

/// Why a signature cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum SignatureFormError {
    /// A text is no base64.
    #[error("a text of it is no base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// A text is not the JSON that belongs there.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The payload is not of the type of signatures.
    #[error("its type is `{0}`")]
    Type(String),
    /// A blob or manifest of it is larger than those of signatures are.
    #[error("its size is {0} bytes")]
    TooLarge(u64),
    /// The blob that the manifest names is not there, or another one.
    #[error("a part of it is not as its manifest says")]
    Damaged,
}

/// Why an image is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("it is not signed: `{name}` has no signature of `{digest}`")]
    Unsigned {
        /// The repository with its registry.
        name: String,
        /// The digest of the image.
        digest: String,
    },
    /// There are signatures, but none by the right key.
    #[error("it is signed, but not with {keys}")]
    OtherKey {
        /// The files of the keys that are asked for.
        keys: String,
    },
    /// The signature is one of another image.
    #[error("its signature is that of another image, `{signed}`; this one is `{digest}`")]
    OtherDigest {
        /// The digest in the signature.
        signed: String,
        /// The digest of the image.
        digest: String,
    },
    /// The signature is one of the image in another repository.
    #[error("its signature is for the repository `{signed}`; this one is `{name}`")]
    OtherRepository {
        /// The repository in the signature.
        signed: String,
        /// The repository of the image, with its registry.
        name: String,
    },
    /// There are more signatures than are looked at, and the first are none by the right key.
    #[error(
        "there is more beside it than is looked at ({MOST_PARTS} parts of signatures, {} MiB), and none of the first is a signature \
         of it with {keys}",
        MOST_BYTES >> 20
    )]
    TooMany {
        /// The files of the keys that are asked for.
        keys: String,
    },
    /// The signature is not understood.
    #[error("its signature is not understood: {0}")]
    Form(#[source] SignatureFormError),
}

impl SignatureError {
    /// The remedy, if there is one to suggest.
    pub(crate) fn help(&self) -> Option<String> {
        Some(match self {
            Self::Unsigned { name, digest } => format!(
                "whoever pushed it signs it: `cosign sign --key cosign.key {name}@{digest}`; `--verify-key` and \
                 `WITHE_VERIFY_KEY` say which images have to be signed"
            ),
            Self::OtherKey { .. } => {
                "if its signer is to be trusted, name the signer's key as well: `--verify-key PATTERN=FILE`".into()
            }
            Self::OtherRepository { name, .. } => format!(
                "an image that was copied has to be signed where it is now: `cosign sign --key cosign.key {name}@…`"
            ),
            Self::TooMany { .. } => {
                "have signatures and attestations that nobody needs removed from the registry: `cosign clean`".into()
            }
            Self::OtherDigest { .. } | Self::Form(_) => {
                "somebody changed what the registry has beside the image: have it signed again with `cosign sign`".into()
            }
        })
    }

    /// How much a signature was like one that is accepted. The error of the most alike says best what is wrong.
    fn nearness(&self) -> u8 {
        match self {
            Self::Unsigned { .. } => 0,
            Self::Form(_) => 1,
            Self::OtherKey { .. } => 2,
            Self::OtherDigest { .. } => 3,
            Self::OtherRepository { .. } => 4,
            Self::TooMany { .. } => 5,
        }
    }
}

/// The image of which there should be a signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedImage<'a> {
    /// The name of its repository, `REGISTRY/REPOSITORY`.
    pub(crate) name: &'a str,
    /// The digest of its manifest.
    pub(crate) digest: &'a str,
}

/// A signature that is accepted, with the fingerprint of its key.
pub(crate) type Accepted = (Signature, String);

/// A search for a signature of an image by one of some keys. Signatures are looked at as they come, and none is kept: whoever may push
/// to the repository decides how many there are.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    keys: &'a [&'a ImageKey],
    image: SignedImage<'a>,
    /// Of the signatures that were refused, the error of the one that came nearest.
    nearest: SignatureError,
    parts_left: usize,
    bytes_left: u64,
}

impl<'a> Search<'a> {
    pub(crate) fn new(keys: &'a [&'a ImageKey], image: SignedImage<'a>) -> Self {
        Self {
            keys,
            image,
            nearest: SignatureError::Unsigned {
                name: image.name.into(),
                digest: image.digest.into(),
            },
            parts_left: MOST_PARTS,
            bytes_left: MOST_BYTES,
        }
    }

    /// The digest of the image.
    pub(crate) fn digest(&self) -> &'a str {
        self.image.digest
    }

    /// Counts one more part, before it is fetched.
    ///
    /// # Errors
    ///
    /// If enough were looked at.
    pub(crate) fn count_part(&mut self) -> Result<(), SignatureError> {
        let left = self.parts_left.checked_sub(1);
        self.parts_left = left.ok_or_else(|| self.too_many())?;
        Ok(())
    }

    /// Counts the bytes of a part.
    ///
    /// # Errors
    ///
    /// If enough were looked at.
    pub(crate) fn count_bytes(&mut self, bytes: u64) -> Result<(), SignatureError> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or_else(|| self.too_many())?;
        Ok(())
    }

    /// Looks at a signature, or at several with one payload. Each beyond the first is a part.
    ///
    /// # Errors
    ///
    /// If enough were looked at. A signature that is not accepted is none.
    pub(crate) fn look_at(&mut self, found: Signature) -> Result<Option<Accepted>, SignatureError> {
        let payload = match STANDARD.decode(&found.payload) {
            Ok(payload) => payload,
            Err(error) => {
                self.fault(error.into());
                return Ok(None);
            }
        };
        let message = match found.form {
            Form::Simple => None,
            Form::Envelope => Some(pre_authentication(IN_TOTO, &payload)),
        };
        let message = message.as_deref().unwrap_or(&payload);
        for (number, signature) in found.signatures.iter().enumerate() {
            if number > 0 {
                self.count_part()?;
            }
            match self.signer(found.form, &payload, message, signature) {
                Ok(fingerprint) => {
                    let accepted = Signature {
                        form: found.form,
                        signatures: vec![signature.clone()],
                        payload: found.payload,
                    };
                    return Ok(Some((accepted, fingerprint)));
                }
                Err(error) => self.refuse(error),
            }
        }
        Ok(None)
    }

    /// Notes that something in the place of a signature is none.
    pub(crate) fn fault(&mut self, error: SignatureFormError) {
        self.refuse(SignatureError::Form(error));
    }

    fn refuse(&mut self, error: SignatureError) {
        if error.nearness() > self.nearest.nearness() {
            self.nearest = error;
        }
    }

    /// Why no signature is accepted of those that were looked at.
    pub(crate) fn refusal(self) -> SignatureError {
        self.nearest
    }

    fn too_many(&self) -> SignatureError {
        SignatureError::TooMany { keys: self.files() }
    }

    /// The fingerprint of the key that made a signature, if its payload is about the image.
    fn signer(
        &self,
        form: Form,
        payload: &[u8],
        message: &[u8],
        signature: &str,
    ) -> Result<String, SignatureError> {
        let signature = STANDARD.decode(signature.trim());
        let signature = signature.map_err(|e| SignatureError::Form(e.into()))?;
        let mut keys = self.keys.iter().flat_map(|key| &key.keys);
        // Nothing in the payload counts before this.
        let key = keys
            .find(|key| key.has_signed(message, &signature))
            .ok_or_else(|| SignatureError::OtherKey { keys: self.files() })?;
        match form {
            Form::Simple => simple_signing(payload, self.image)?,
            Form::Envelope => statement(payload, self.image)?,
        }
        Ok(key.fingerprint.clone())
    }

    /// The files of the keys, for messages.
    fn files(&self) -> String {
        let files: Vec<_> = (self.keys.iter())
            .map(|key| format!("`{}`", key.file))
            .collect();
        match &*files {
            [one] => format!("the key that is asked for, {one}"),
            several => format!("one of the keys that are asked for, {}", several.join(", ")),
        }
    }
}

/// The payload of cosign 1 and 2.
#[derive(Deserialize)]
struct SimpleSigning {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: Identity,
    image: CriticalImage,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CriticalImage {
    docker_manifest_digest: String,
}

/// The payload of cosign 3.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: SubjectDigest,
}

#[derive(Deserialize)]
struct SubjectDigest {
    sha256: String,
}

/// A bundle of Sigstore.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

impl Signature {
    /// One of cosign 1 or 2: a payload, and the annotation of its layer.
    pub(crate) fn simple(payload: &[u8], signature: &str) -> Self {
        Self {
            form: Form::Simple,
            payload: STANDARD.encode(payload),
            signatures: vec![signature.into()],
        }
    }

    /// The signatures in a bundle; `None` if the bundle is an attestation.
    ///
    /// # Errors
    ///
    /// If it is no bundle.
    pub(crate) fn of_bundle(bundle: &[u8]) -> Result<Option<Self>, SignatureFormError> {
        let Envelope {
            payload,
            payload_type,
            signatures,
        } = serde_json::from_slice::<Bundle>(bundle)?.dsse_envelope;
        if payload_type != IN_TOTO {
            return Err(SignatureFormError::Type(payload_type));
        }
        // An attestation beside a signature is no fault. Nobody has looked at who made it, and it is only left out.
        let statement: Statement = serde_json::from_slice(&STANDARD.decode(&payload)?)?;
        if statement.predicate_type != SIGN {
            return Ok(None);
        }
        Ok(Some(Self {
            form: Form::Envelope,
            payload,
            signatures: signatures.into_iter().map(|entry| entry.sig).collect(),
        }))
    }
}

impl PublicKey {
    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point);
        key.verify(message, signature).is_ok()
    }
}

/// Whether a payload of cosign 1 or 2 is about this image.
fn simple_signing(payload: &[u8], image: SignedImage<'_>) -> Result<(), SignatureError> {
    let read = serde_json::from_slice::<SimpleSigning>(payload);
    let critical = read.map_err(|e| SignatureError::Form(e.into()))?.critical;
    if critical.r#type != SIMPLE_SIGNING {
        return Err(SignatureError::Form(SignatureFormError::Type(
            critical.r#type,
        )));
    }
    is_digest(&critical.image.docker_manifest_digest, image)?;
    let signed = critical.identity.docker_reference;
    // Some versions of cosign write its tag, too.
    let name = Reference::parse(&signed).map(|reference| name_of(&reference));
    match name.is_ok_and(|name| name == image.name) {
        true => Ok(()),
        false => Err(SignatureError::OtherRepository {
            signed,
            name: image.name.into(),
        }),
    }
}

/// Whether a payload of cosign 3 is about this image. No repository is in there.
fn statement(payload: &[u8], image: SignedImage<'_>) -> Result<(), SignatureError> {
    let read = serde_json::from_slice::<Statement>(payload);
    let statement = read.map_err(|e| SignatureError::Form(e.into()))?;
    if statement.predicate_type != SIGN {
        let kind = statement.predicate_type;
        return Err(SignatureError::Form(SignatureFormError::Type(kind)));
    }
    let signed: Vec<_> = (statement.subject.iter())
        .map(|subject| format!("sha256:{}", subject.digest.sha256))
        .collect();
    match signed.iter().any(|signed| signed == image.digest) {
        true => Ok(()),
        false => is_digest(&signed.join("`, `"), image),
    }
}

fn is_digest(signed: &str, image: SignedImage<'_>) -> Result<(), SignatureError> {
    match signed == image.digest {
        true => Ok(()),
        false => Err(SignatureError::OtherDigest {
            signed: signed.into(),
            digest: image.digest.into(),
        }),
    }
}

/// The bytes that a DSSE signature is over, its "pre-authentication encoding".
fn pre_authentication(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::LazyLock;

    use ring::rand::SystemRandom;
    use ring::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, KeyPair as _,
    };

    use super::*;

    const NAME: &str = "registry.example/shop/cart";
    static DIGEST: LazyLock<String> = LazyLock::new(|| digest_of(b"a manifest"));

    fn pair(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()
    }

    fn signer() -> EcdsaKeyPair {
        pair(&ECDSA_P256_SHA256_ASN1_SIGNING)
    }

    fn pem(pair: &EcdsaKeyPair) -> String {
        let der = [&P256[..], pair.public_key().as_ref()].concat();
        let text = STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    fn key(pair: &EcdsaKeyPair) -> ImageKey {
        ImageKey::of("*", "cosign.pub", pem(pair).as_bytes()).unwrap()
    }

    fn sign(pair: &EcdsaKeyPair, message: &[u8]) -> String {
        STANDARD.encode(pair.sign(&SystemRandom::new(), message).unwrap())
    }

    fn payload(name: &str, digest: &str, kind: &str) -> Vec<u8> {
        let critical = serde_json::json!({
            "identity": {"docker-reference": name},
            "image": {"docker-manifest-digest": digest},
            "type": kind,
        });
        let payload = serde_json::json!({"critical": critical, "optional": null});
        payload.to_string().into_bytes()
    }

    fn simple(pair: &EcdsaKeyPair, name: &str, digest: &str) -> Signature {
        let payload = payload(name, digest, SIMPLE_SIGNING);
        Signature::simple(&payload, &sign(pair, &payload))
    }

    fn bundle(pair: &EcdsaKeyPair, digest: &str, predicate: &str) -> Vec<u8> {
        let digest = digest.strip_prefix("sha256:").unwrap();
        let statement = serde_json::json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": digest}}],
            "predicateType": predicate,
            "predicate": {},
        });
        let statement = statement.to_string();
        let message = pre_authentication(IN_TOTO, statement.as_bytes());
        let bundle = serde_json::json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "dsseEnvelope": {
                "payload": STANDARD.encode(statement),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": sign(pair, &message)}],
            },
        });
        bundle.to_string().into_bytes()
    }

    /// A key, and a bundle with a signature by it of an image that is not there.
    pub(crate) struct Signed {
        pub(crate) key: ImageKey,
        pub(crate) bundle: Vec<u8>,
        pub(crate) digest: String,
    }

    pub(crate) fn signed() -> Signed {
        let pair = signer();
        Signed {
            key: key(&pair),
            bundle: bundle(&pair, &DIGEST, SIGN),
            digest: DIGEST.clone(),
        }
    }

    fn accept_of(
        found: impl IntoIterator<Item = Signature>,
        keys: &[&ImageKey],
    ) -> Result<String, SignatureError> {
        let image = SignedImage {
            name: NAME,
            digest: &DIGEST,
        };
        let mut search = Search::new(keys, image);
        for found in found {
            if let Some((_, fingerprint)) = search.look_at(found)? {
                return Ok(fingerprint);
            }
        }
        Err(search.refusal())
    }

    #[test]
    fn a_signature_by_a_key_is_accepted() {
        let (pair, other) = (signer(), signer());
        let (key, other_key) = (key(&pair), key(&other));
        let good = simple(&pair, NAME, &DIGEST);
        let foreign = simple(&other, NAME, &DIGEST);
        let fingerprint = accept_of([foreign.clone(), good.clone()], &[&key]).unwrap();
        assert_eq!(
            fingerprint,
            digest_of(&[&P256, pair.public_key().as_ref()].concat())
        );
        accept_of([good.clone()], &[&other_key, &key]).unwrap();
        let named_with_tag = simple(&pair, &format!("{NAME}:1.0"), &DIGEST);
        accept_of([named_with_tag], &[&key]).unwrap();
        // One that was kept is as good.
        let kept = serde_json::to_vec(&good).unwrap();
        accept_of([serde_json::from_slice(&kept).unwrap()], &[&key]).unwrap();

        let bundle = bundle(&pair, &DIGEST, SIGN);
        accept_of(Signature::of_bundle(&bundle).unwrap(), &[&key]).unwrap();
    }

    #[test]
    fn what_is_wrong_is_said_by_the_signature_that_came_nearest() {
        let (pair, other) = (signer(), signer());
        let key = key(&pair);
        let refused = |found: Vec<Signature>| accept_of(found, &[&key]).unwrap_err();
        assert!(matches!(refused(vec![]), SignatureError::Unsigned { .. }));
        let foreign = simple(&other, NAME, &DIGEST);
        let error = refused(vec![foreign.clone()]);
        assert!(matches!(error, SignatureError::OtherKey { .. }), "{error}");
        let of_other = simple(&pair, NAME, &digest_of(b"another"));
        let error = refused(vec![of_other, foreign.clone()]);
        assert!(
            matches!(error, SignatureError::OtherDigest { .. }),
            "{error}"
        );
        for name in [
            "registry.example/shop/cart2",
            "evil.example/shop/cart",
            "not a name",
        ] {
            let elsewhere = simple(&pair, name, &DIGEST);
            let error = refused(vec![foreign.clone(), elsewhere]);
            assert!(
                matches!(error, SignatureError::OtherRepository { .. }),
                "{error}"
            );
        }
        let text = payload(NAME, &DIGEST, "something else");
        let error = refused(vec![Signature::simple(&text, &sign(&pair, &text))]);
        assert!(matches!(error, SignatureError::Form(_)), "{error}");
        let error = refused(vec![Signature::simple(b"{}", &sign(&pair, b"{}"))]);
        assert!(matches!(error, SignatureError::Form(_)), "{error}");
        let error = refused(vec![Signature::simple(b"{}", "?")]);
        assert!(matches!(error, SignatureError::Form(_)), "{error}");
    }

    #[test]
    fn a_bundle_counts_only_as_a_signature_of_the_same_image() {
        let (pair, other) = (signer(), signer());
        let key = key(&pair);
        let refused = |bundle: &[u8]| {
            let found = Signature::of_bundle(bundle).unwrap();
            accept_of(found, &[&key]).unwrap_err()
        };
        let error = refused(&bundle(&other, &DIGEST, SIGN));
        assert!(matches!(error, SignatureError::OtherKey { .. }), "{error}");
        let error = refused(&bundle(&pair, &digest_of(b"another"), SIGN));
        assert!(
            matches!(error, SignatureError::OtherDigest { .. }),
            "{error}"
        );
        let error = refused(&bundle(&pair, &DIGEST, "https://slsa.dev/provenance/v1"));
        assert!(matches!(error, SignatureError::Unsigned { .. }), "{error}");
        assert!(Signature::of_bundle(b"[]").is_err());
        // A signature over the statement alone is none over its envelope.
        let bundle = bundle(&pair, &DIGEST, SIGN);
        let mut found = Signature::of_bundle(&bundle).unwrap().unwrap();
        found.signatures = vec![sign(&pair, &STANDARD.decode(&found.payload).unwrap())];
        let error = accept_of([found], &[&key]).unwrap_err();
        assert!(matches!(error, SignatureError::OtherKey { .. }), "{error}");
    }

    #[test]
    fn a_bundle_with_10_000_signatures_is_one_payload_and_few_are_looked_at() {
        let pair = signer();
        let key = key(&pair);
        let bundle = bundle(&pair, &DIGEST, SIGN);
        let good = Signature::of_bundle(&bundle).unwrap().unwrap();
        let [sig] = &*good.signatures else {
            panic!("{good:?}")
        };
        let with = |place: usize| {
            let mut bundle: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
            let entry = |n| serde_json::json!({"sig": if n == place { sig } else { "AAAA" }});
            bundle["dsseEnvelope"]["signatures"] = (0..10_000).map(entry).collect();
            let bytes = bundle.to_string().into_bytes();
            Signature::of_bundle(&bytes).unwrap().unwrap()
        };
        let found = with(MOST_PARTS);
        // The payload is there once, however many there are.
        let long: usize = found.signatures.iter().map(String::len).sum();
        assert!(long < 10_000 * 4 + sig.len(), "{long}");
        assert_eq!(found.payload, good.payload);
        accept_of([found], &[&key]).unwrap();
        let error = accept_of([with(MOST_PARTS + 1)], &[&key]).unwrap_err();
        assert!(matches!(error, SignatureError::TooMany { .. }), "{error}");
        // Only the one that is accepted is kept.
        let image = SignedImage {
            name: NAME,
            digest: &DIGEST,
        };
        let keys = [&key];
        let accepted = Search::new(&keys, image).look_at(with(3)).unwrap();
        assert_eq!(accepted.unwrap().0, good);
    }

    #[test]
    fn a_signature_names_its_repository_by_any_spelling() {
        let pair = signer();
        let key = key(&pair);
        for name in [
            "Registry.Example/shop/cart",
            "registry.example:443/shop/cart:1",
        ] {
            accept_of([simple(&pair, name, &DIGEST)], &[&key]).unwrap();
        }
    }

    #[test]
    fn files_that_are_no_keys_say_so() {
        let of = |text: &str| ImageKey::of("*", "f", text.as_bytes()).unwrap_err();
        assert!(matches!(of(""), KeyError::NoKey(_)));
        assert!(matches!(
            of("-----BEGIN PUBLIC KEY-----\n"),
            KeyError::NoKey(_)
        ));
        let private = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
        assert!(matches!(of(private), KeyError::Private(_)));
        let long = pem(&pair(&ECDSA_P384_SHA384_ASN1_SIGNING));
        assert!(matches!(of(&long), KeyError::Kind(_)));
        assert!(matches!(ImageKey::read("=a"), Err(KeyError::Form)));
        assert!(matches!(ImageKey::read("a="), Err(KeyError::Form)));
        assert!(matches!(
            ImageKey::read("/none/there"),
            Err(KeyError::Read { .. })
        ));
    }

    #[test]
    fn a_file_may_have_several_keys_and_a_pattern_its_own() {
        let (old, new) = (signer(), signer());
        let both = pem(&old) + &pem(&new);
        let key = ImageKey::of("registry.example/*", "f", both.as_bytes()).unwrap();
        assert!(key.is_for(NAME) && !key.is_for("other.example/a"));
        for pair in [old, new] {
            accept_of([simple(&pair, NAME, &DIGEST)], &[&key]).unwrap();
        }
    }
}
