//! The signed claims of a provider archive: a JWT that says what the archive is, and the digests of what is
//! in it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde::Deserialize;

/// The claims of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The provider's public key, which is its id unless it is given another.
    pub subject: String,
    /// The public key of the account that signed.
    pub issuer: String,
    /// Its name, for people.
    pub name: Option<String>,
    /// The provider's maker.
    pub vendor: String,
    /// Its revision.
    pub revision: Option<i32>,
    /// Its version.
    pub version: Option<String>,
    /// The JWT, by which wasmCloud v1's secret backends know the provider.
    pub jwt: String,
    /// SHA-256 of each executable by its platform, and of the world by its file's name, in upper-case
    /// hexadecimal.
    pub(super) digests: BTreeMap<String, String>,
}

/// A fault of claims. Displayed, it is a sentence of which they are the subject.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// They are not UTF-8.
    #[error("they are no text")]
    NotText,
    /// They have not three parts.
    #[error("they are no JWT")]
    NotJwt,
    /// A part is not in base64.
    #[error("they are not encoded as a JWT is")]
    Encoding,
    /// A part is not the JSON that it should be.
    #[error("they cannot be read: {0}")]
    Json(#[source] serde_json::Error),
    /// They are signed by another algorithm.
    #[error("they are signed by `{0}`, not `Ed25519`")]
    Algorithm(String),
    /// The signature is not that of their issuer.
    #[error("they are not signed by their issuer `{issuer}`")]
    Signature {
        /// The issuer that they name.
        issuer: String,
    },
    /// They are not valid any more.
    #[error("they have expired; ask for a newer archive")]
    Expired,
    /// They are not valid before some time to come.
    #[error("they are not valid yet; check this machine's clock")]
    NotYetValid,
    /// They are valid, but of something else.
    #[error("they are not those of a provider")]
    NotOfProvider,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Body {
    iss: String,
    sub: String,
    exp: Option<u64>,
    nbf: Option<u64>,
    wascap: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    name: Option<String>,
    #[serde(default)]
    vendor: String,
    rev: Option<i32>,
    ver: Option<String>,
    #[serde(default)]
    target_hashes: BTreeMap<String, String>,
}

impl Claims {
    /// Reads claims whose signature is that of their issuer, and that are valid now. Whether the issuer is
    /// one to be trusted is not known here.
    ///
    /// # Errors
    ///
    /// Returns [`ClaimsError`] when the claims are malformed, wrongly signed or not valid now.
    pub(super) fn read(jwt: &str) -> Result<Self, ClaimsError> {
        let jwt = jwt.trim();
        let (signed, signature) = jwt.rsplit_once('.').ok_or(ClaimsError::NotJwt)?;
        let (header, body) = signed.split_once('.').ok_or(ClaimsError::NotJwt)?;
        let decode = |part: &str| {
            let decoded = URL_SAFE_NO_PAD.decode(part);
            decoded.map_err(|_| ClaimsError::Encoding)
        };
        let header: Header = json(&decode(header)?)?;
        if !header.alg.eq_ignore_ascii_case("ed25519") {
            return Err(ClaimsError::Algorithm(header.alg));
        }
        let body: Body = json(&decode(body)?)?;
        KeyPair::from_public_key(&body.iss)
            .and_then(|issuer| issuer.verify(signed.as_bytes(), &decode_signature(signature)))
            .map_err(|_| ClaimsError::Signature {
                issuer: body.iss.clone(),
            })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        if body.exp.is_some_and(|exp| exp < now) {
            return Err(ClaimsError::Expired);
        }
        if body.nbf.is_some_and(|nbf| nbf > now) {
            return Err(ClaimsError::NotYetValid);
        }
        let metadata = body.wascap.ok_or(ClaimsError::NotOfProvider)?;
        Ok(Self {
            subject: body.sub,
            issuer: body.iss,
            name: metadata.name,
            vendor: metadata.vendor,
            revision: metadata.rev,
            version: metadata.ver,
            jwt: jwt.to_owned(),
            digests: metadata.target_hashes,
        })
    }
}

/// The signature's bytes; none, which verify nothing, if it has none.
fn decode_signature(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap_or_default()
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ClaimsError> {
    serde_json::from_slice(bytes).map_err(ClaimsError::Json)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Signed claims with `body` besides issuer and subject.
    pub(crate) fn signed(body: serde_json::Value) -> String {
        let issuer = KeyPair::new_account();
        let mut all = serde_json::json!({
            "iss": issuer.public_key(),
            "sub": KeyPair::new_service().public_key(),
        });
        let fields = body.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(fields);
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = serde_json::json!({ "typ": "jwt", "alg": "Ed25519" });
        let text = format!("{}.{}", encode(header), encode(all));
        let signature = issuer.sign(text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn provider() -> serde_json::Value {
        serde_json::json!({ "wascap": {
            "name": "kv", "vendor": "v", "rev": 3, "ver": "0.1.0",
            "target_hashes": { "x86_64-linux": "AB" },
        }})
    }

    #[test]
    fn signed_claims_are_read() {
        let claims = Claims::read(&signed(provider())).unwrap();
        assert_eq!(claims.name.as_deref(), Some("kv"));
        assert_eq!(
            (claims.revision, claims.version.as_deref()),
            (Some(3), Some("0.1.0"))
        );
        assert!(claims.issuer.starts_with('A') && claims.subject.starts_with('V'));
    }

    #[test]
    fn claims_that_were_changed_or_are_not_valid_now_are_refused() {
        let good = signed(provider());
        let (head, _) = good.rsplit_once('.').unwrap();
        let mut exp = provider();
        exp["exp"] = 1.into();
        let mut nbf = provider();
        nbf["nbf"] = u64::from(u32::MAX).into();
        let (_, other) = signed(exp.clone())
            .rsplit_once('.')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        for (jwt, says) in [
            (format!("{head}.{other}"), "signed"),
            (format!("{head}."), "signed"),
            (head.to_owned(), "JWT"),
            (String::new(), "JWT"),
            ("a.b.c".into(), "JWT"),
            (signed(exp), "expired"),
            (signed(nbf), "clock"),
            (signed(serde_json::json!({})), "provider"),
        ] {
            let why = Claims::read(&jwt).unwrap_err().to_string();
            assert!(why.contains(says), "{why}");
        }
    }
}
