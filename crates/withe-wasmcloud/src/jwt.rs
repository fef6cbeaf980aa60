//! JWTs as wasmCloud v1 signs them: into components, and into the archives of providers.
//!
//! A JWT counts if its issuer has signed it and its time is now. Whether the issuer is one to be trusted is not known here. A crate
//! for JWTs was rejected: there is one algorithm, which `nkeys` has.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde::Deserialize;
use serde::de::DeserializeOwned;

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
    #[error("they have expired; ask for newer ones")]
    Expired,
    /// They are not valid before some time to come.
    #[error("they are not valid yet; check this machine's clock")]
    NotYetValid,
    /// They are valid, but of something else.
    #[error("they say nothing of a part of wasmCloud (`wascap`)")]
    NotOfPart,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// The claims of a JWT, with those about the part that it is for.
#[derive(Deserialize)]
pub(crate) struct Body<M> {
    /// The public key of the account that signed.
    pub(crate) iss: String,
    /// The part's public key.
    pub(crate) sub: String,
    exp: Option<u64>,
    nbf: Option<u64>,
    /// The revision of v1's tool. Some read what follows, others do not.
    pub(crate) wascap_revision: Option<u32>,
    wascap: Option<M>,
}

/// Reads a JWT whose signature is that of its issuer, and that is valid now.
///
/// # Errors
///
/// If it is malformed, wrongly signed, not valid now, or for no part.
pub(crate) fn read<M: DeserializeOwned>(jwt: &str) -> Result<(Body<M>, M), ClaimsError> {
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
    let mut body: Body<M> = json(&decode(body)?)?;
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
    let part = body.wascap.take().ok_or(ClaimsError::NotOfPart)?;
    Ok((body, part))
}

/// The signature's bytes; none, which verify nothing, if it has none.
fn decode_signature(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap_or_default()
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ClaimsError> {
    serde_json::from_slice(bytes).map_err(ClaimsError::Json)
}

#[cfg(test)]
pub(crate) mod tests {
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

    fn part() -> serde_json::Value {
        serde_json::json!({ "wascap": { "name": "kv" } })
    }

    #[test]
    fn claims_that_were_changed_or_are_not_valid_now_are_refused() {
        let good = signed(part());
        let (head, _) = good.rsplit_once('.').unwrap();
        let mut exp = part();
        exp["exp"] = 1.into();
        let mut nbf = part();
        nbf["nbf"] = u64::from(u32::MAX).into();
        let (_, other) = signed(exp.clone())
            .rsplit_once('.')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        read::<serde_json::Value>(&good).unwrap();
        for (jwt, says) in [
            (format!("{head}.{other}"), "signed"),
            (format!("{head}."), "signed"),
            (head.to_owned(), "JWT"),
            (String::new(), "JWT"),
            ("a.b.c".into(), "JWT"),
            (signed(exp), "expired"),
            (signed(nbf), "clock"),
            (signed(serde_json::json!({})), "wascap"),
        ] {
            let why = read::<serde_json::Value>(&jwt).err().unwrap().to_string();
            assert!(why.contains(says), "{why}");
        }
    }
}
