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
use withe_manifest::pattern::NamePattern;
use withe_manifest::reference::Reference;

use crate::digest_of;

/// What stands before the point of an ECDSA P-256 key in its `SubjectPublicKeyInfo` (RFC 5480), which has one form.
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
/// The name that other tools give Docker Hub.
const INDEX_OF_DOCKER: &str = "index.docker.io";

/// The keys with which some images have to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageKey {
    /// Which images, by `REGISTRY/REPOSITORY`.
    images: NamePattern,
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
            images: NamePattern::new(images),
            file: file.into(),
            keys,
        })
    }

    /// Whether images of this `REGISTRY/REPOSITORY` have to be signed with one of these.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        self.images.matches(name)
    }
}

/// A signature that is kept beside an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signature {
    form: Form,
    /// What it says, in base64.
    payload: String,
    /// The signature in ASN.1, in base64.
    signature: String,
}

/// What a signature is made over, and what its payload is.
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
    #[error("it is no base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// A text is not the JSON that belongs there.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The payload is not of the type of signatures.
    #[error("it is a `{0}`")]
    Type(String),
    /// A blob or manifest of it is larger than those of signatures are.
    #[error("it has {0} bytes")]
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
        }
    }
}

/// The image of which there should be a signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedImage<'a> {
    /// Its `REGISTRY/REPOSITORY`.
    pub(crate) name: &'a str,
    /// The digest of its manifest.
    pub(crate) digest: &'a str,
}

/// Looks for a signature of an image by one of some keys, and returns it with the key's fingerprint.
///
/// # Errors
///
/// If there is none. Of several the error is that of the signature that came nearest.
pub(crate) fn accept(
    found: Vec<Result<Signature, SignatureFormError>>,
    keys: &[&ImageKey],
    image: SignedImage<'_>,
) -> Result<(Signature, String), SignatureError> {
    let mut nearest = SignatureError::Unsigned {
        name: image.name.into(),
        digest: image.digest.into(),
    };
    for found in found {
        let error = match found {
            Ok(signature) => match signature.signer(keys, image) {
                Ok(fingerprint) => return Ok((signature, fingerprint)),
                Err(error) => error,
            },
            Err(error) => SignatureError::Form(error),
        };
        if error.nearness() > nearest.nearness() {
            nearest = error;
        }
    }
    Err(nearest)
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
            signature: signature.into(),
        }
    }

    /// Those in a bundle. A bundle that is an attestation has none.
    ///
    /// # Errors
    ///
    /// If it is no bundle.
    pub(crate) fn of_bundle(bundle: &[u8]) -> Result<Vec<Self>, SignatureFormError> {
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
            return Ok(Vec::new());
        }
        let signatures = signatures.into_iter().map(|signature| Self {
            form: Form::Envelope,
            payload: payload.clone(),
            signature: signature.sig,
        });
        Ok(signatures.collect())
    }

    /// The fingerprint of the key that made it, if it is a signature of this image by one of these.
    fn signer(&self, keys: &[&ImageKey], image: SignedImage<'_>) -> Result<String, SignatureError> {
        let form = SignatureError::Form;
        let payload = STANDARD.decode(&self.payload).map_err(|e| form(e.into()))?;
        let signature = STANDARD.decode(self.signature.trim());
        let signature = signature.map_err(|e| form(e.into()))?;
        let message = match self.form {
            Form::Simple => payload.clone(),
            Form::Envelope => pre_authentication(IN_TOTO, &payload),
        };
        let mut keys_of_all = keys.iter().flat_map(|key| &key.keys);
        let key = keys_of_all.find(|key| key.has_signed(&message, &signature));
        // Nothing in the payload counts before this.
        let Some(key) = key else {
            let files: Vec<_> = keys.iter().map(|key| format!("`{}`", key.file)).collect();
            let keys = match &*files {
                [one] => format!("the key that is asked for, {one}"),
                several => format!("one of the keys that are asked for, {}", several.join(", ")),
            };
            return Err(SignatureError::OtherKey { keys });
        };
        match self.form {
            Form::Simple => simple_signing(&payload, image)?,
            Form::Envelope => statement(&payload, image)?,
        }
        Ok(key.fingerprint.clone())
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
    match name_of(&signed).as_deref() == Some(image.name) {
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

/// The repository of a signed reference, with its registry. Some versions of cosign write its tag, too.
fn name_of(reference: &str) -> Option<String> {
    let reference = Reference::parse(reference).ok()?;
    let registry = match reference.registry() {
        INDEX_OF_DOCKER => "docker.io",
        registry => registry,
    };
    Some(format!("{registry}/{}", reference.repository()))
}

/// The bytes that a DSSE signature is over, its "pre-authentication encoding".
fn pre_authentication(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
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

    fn accept_of(
        found: impl IntoIterator<Item = Signature>,
        keys: &[&ImageKey],
    ) -> Result<String, SignatureError> {
        let found = found.into_iter().map(Ok).collect();
        let image = SignedImage {
            name: NAME,
            digest: &DIGEST,
        };
        accept(found, keys, image).map(|(_, fingerprint)| fingerprint)
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
        let Signature { payload, .. } =
            (Signature::of_bundle(&bundle(&pair, &DIGEST, SIGN)).unwrap()).remove(0);
        let signature = sign(&pair, &STANDARD.decode(&payload).unwrap());
        let form = Form::Envelope;
        let found = Signature {
            form,
            payload,
            signature,
        };
        let error = accept_of([found], &[&key]).unwrap_err();
        assert!(matches!(error, SignatureError::OtherKey { .. }), "{error}");
    }

    #[test]
    fn docker_hub_has_two_names() {
        let name = name_of("index.docker.io/library/redis").unwrap();
        assert_eq!(name, "docker.io/library/redis");
        assert_eq!(name_of("redis").unwrap(), name);
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
