//! Secret values in an application's record.
//!
//! A record that has been put has a mask in the place of each secret value, and the values by themselves, sealed. All
//! members can read the rest, so that the controller places an application, and people look at it, without the key.
//!
//! Sealed values open only in the very record that they were sealed for. A member without the key that could change the rest
//! would have the values given to a component of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use withe_linker::input::{ConfigMap, SecretKeys};
use withe_linker::secrets::MASK;
use withe_manifest::mask::{self, MaskedManifest, Unmaskable};
use withe_trust::{RecordPlace, SealKey, SealKeyError, SealKeyId, UnsealError};

use crate::links::LinkChange;
use crate::records::{APPS, AppRecord, key};

/// The values that are sealed.
#[derive(Default, Serialize, Deserialize)]
struct HiddenValues {
    /// The manifest's, as [`mask::unmask`] takes them.
    manifest: Vec<(usize, String)>,
    /// The changes', by the number of the change.
    changes: BTreeMap<usize, HiddenConfig>,
}

/// The secret values of a link that was changed.
#[derive(Default, Serialize, Deserialize)]
struct HiddenConfig {
    source: ConfigMap,
    target: ConfigMap,
}

/// Why secret values cannot be put in a lattice.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// One of them cannot be told from the rest of the manifest.
    #[error("{file}:{why}")]
    Manifest {
        /// The manifest's file, as it was named.
        file: String,
        /// Where, and why not.
        #[source]
        why: Unmaskable,
    },
    /// They would be there for all who can read it.
    #[error(
        "{} secret, and everybody who can read the lattice would see the values: give the lattice's key for them by \
         `--seal-key`, which `withe lattice init` makes",
        are(.0)
    )]
    NoKey(Vec<String>),
    /// They cannot be sealed.
    #[error("secret values cannot be sealed: {0}")]
    Key(#[from] SealKeyError),
    /// They cannot be written down.
    #[error("secret values cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Why the secret values of a record cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// There is no key.
    #[error(
        "its secret values are sealed{}, and there is no key here that opens them; give it by `--seal-key`",
        with(.0.as_ref())
    )]
    NoKey(Option<SealKeyId>),
    /// The key does not open them.
    #[error("its secret values cannot be had: {0}")]
    Unseal(#[from] UnsealError),
    /// The sealed text does not hold the values of this record.
    #[error("its secret values cannot be had: what is sealed is not of this record")]
    Content,
    /// They cannot be looked at.
    #[error("its secret values cannot be had: {0}")]
    Json(#[from] serde_json::Error),
}

fn are(names: &[String]) -> String {
    let is = if names.len() == 1 { "is" } else { "are" };
    format!("{} {is}", names.join(", "))
}

fn with(key: Option<&SealKeyId>) -> String {
    key.map(|key| format!(" with the key `{key}`"))
        .unwrap_or_default()
}

/// A record as it is put in the lattice of this name: without secret values, which are sealed. Without a key they stay
/// where they are, unless the lattice `needs_key`.
///
/// # Errors
///
/// If there are some, and they cannot be sealed.
pub(crate) fn seal(
    record: AppRecord,
    lattice: &str,
    seal_key: Option<&SealKey>,
    needs_key: bool,
) -> Result<AppRecord, SealingError> {
    // Where nothing is sealed it does not matter how a value is written.
    if seal_key.is_none() && !needs_key {
        return Ok(record);
    }
    let masked = mask::mask(&record.manifest);
    let MaskedManifest { text, hidden } = masked.map_err(|why| SealingError::Manifest {
        file: record.file.clone(),
        why,
    })?;
    let mut sealed = record.clone();
    sealed.manifest = text;
    let mut values = HiddenValues {
        manifest: hidden,
        changes: BTreeMap::new(),
    };
    for (number, change) in sealed.changes.iter_mut().enumerate() {
        let LinkChange::Put(link) = change else {
            continue;
        };
        let hidden = HiddenConfig {
            source: hide(&mut link.source_config, &link.source_secret_keys),
            target: hide(&mut link.target_config, &link.target_secret_keys),
        };
        if !hidden.source.is_empty() || !hidden.target.is_empty() {
            values.changes.insert(number, hidden);
        }
    }
    if values.manifest.is_empty() && values.changes.is_empty() {
        return Ok(record);
    }
    let Some(seal_key) = seal_key else {
        return Err(SealingError::NoKey(secret_config(&record)));
    };
    let entry = key(APPS, &record.name);
    let place = RecordPlace {
        lattice,
        key: &entry,
    };
    let (beside, secret) = (serde_json::to_vec(&sealed)?, serde_json::to_vec(&values)?);
    sealed.sealed = Some(seal_key.seal(place, &beside, &secret)?);
    Ok(sealed)
}

/// A record with its secret values, as [`seal`] was given it.
///
/// # Errors
///
/// If it has some, and the key is not there, is another one, or the record was changed since.
pub fn open<'r>(
    record: &'r AppRecord,
    lattice: &str,
    seal_key: Option<&SealKey>,
) -> Result<Cow<'r, AppRecord>, SealedError> {
    let Some(sealed) = &record.sealed else {
        return Ok(Cow::Borrowed(record));
    };
    let Some(seal_key) = seal_key else {
        return Err(SealedError::NoKey(SealKeyId::of_sealed(sealed)));
    };
    let mut opened = AppRecord {
        sealed: None,
        ..record.clone()
    };
    let entry = key(APPS, &record.name);
    let place = RecordPlace {
        lattice,
        key: &entry,
    };
    let beside = serde_json::to_vec(&opened)?;
    let secret = seal_key.open(place, &beside, sealed)?;
    let values: HiddenValues = serde_json::from_slice(&secret).map_err(|_| SealedError::Content)?;
    let text = mask::unmask(&opened.manifest, &values.manifest);
    opened.manifest = text.ok_or(SealedError::Content)?;
    for (number, hidden) in values.changes {
        let Some(LinkChange::Put(link)) = opened.changes.get_mut(number) else {
            return Err(SealedError::Content);
        };
        link.source_config.extend(hidden.source);
        link.target_config.extend(hidden.target);
    }
    Ok(Cow::Owned(opened))
}

/// Takes the values of these keys, and leaves a mask in the place of each.
fn hide(config: &mut ConfigMap, secret: &SecretKeys) -> ConfigMap {
    let mut hidden = ConfigMap::new();
    for (key, value) in config {
        if secret.contains(key) && !value.is_empty() {
            hidden.insert(key.clone(), std::mem::replace(value, MASK.to_owned()));
        }
    }
    hidden
}

/// The names of a record's secret configuration, for a message.
fn secret_config(record: &AppRecord) -> Vec<String> {
    let application = withe_manifest::parse(&record.manifest).application;
    let named = application.iter().flat_map(|app| app.named_config());
    let is_secret =
        |config: &&withe_linker::input::NamedConfig| config.secret && config.properties.is_some();
    let mut names: Vec<_> = named
        .filter(is_secret)
        .map(|config| format!("the configuration `{}`", config.name.value))
        .collect();
    for change in &record.changes {
        let LinkChange::Put(link) = change else {
            continue;
        };
        let keys = link
            .source_secret_keys
            .iter()
            .chain(&link.target_secret_keys);
        names.extend(keys.map(|key| {
            let (source, target) = (&link.source, &link.target);
            format!("`{key}` of the link from `{source}` to `{target}`")
        }));
    }
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::{LinkDeclaration, LinkId};

    const MANIFEST: &str = "\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: shop}
spec:
  components:
    - name: shop
      type: component
      properties:
        image: ./shop.wasm
        config:
          - {name: open, properties: {a: open-value}}
          - {name: closed, secret: true, properties: {b: 'hidden-value', c: 7}}
";

    fn record() -> AppRecord {
        let put = LinkDeclaration {
            source: "shop".into(),
            target: "store".into(),
            name: "default".into(),
            source_config: [("o".into(), "open-link".into())].into(),
            target_config: [
                ("o".into(), "open-link".into()),
                ("s".into(), "hidden-link".into()),
            ]
            .into(),
            target_secret_keys: ["s".into()].into(),
            ..LinkDeclaration::default()
        };
        let delete = LinkId {
            source: "shop".into(),
            name: "default".into(),
            target: None,
            namespace: None,
            package: None,
        };
        AppRecord {
            name: "shop".into(),
            manifest: MANIFEST.into(),
            file: "app.yaml".into(),
            folder: "/shop".into(),
            images: BTreeMap::new(),
            programs: BTreeMap::new(),
            binding: None,
            scope: None,
            missing: None,
            apart: false,
            changes: vec![LinkChange::Delete(delete), LinkChange::Put(put)],
            sealed: None,
        }
    }

    #[test]
    fn a_record_has_no_secret_value_and_opens_as_it_was() {
        let key = SealKey::generate().unwrap();
        let sealed = seal(record(), "l", Some(&key), true).unwrap();
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(!text.contains("hidden"), "{text}");
        assert!(text.contains("open-value") && text.contains("open-link"));
        let read: AppRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(*open(&read, "l", Some(&key)).unwrap(), record());
        // The record that all can see is an application all the same.
        let seen = withe_manifest::parse(&sealed.manifest);
        assert!(!seen.diagnostics.has_errors(), "{:?}", seen.diagnostics);
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_and_in_its_record_only() {
        let key = SealKey::generate().unwrap();
        let sealed = seal(record(), "l", Some(&key), true).unwrap();
        let why = |record: &AppRecord, lattice: &str, key: Option<&SealKey>| {
            open(record, lattice, key).unwrap_err().to_string()
        };
        let id = key.id().to_string();
        assert!(why(&sealed, "l", None).contains(&id));
        let other = SealKey::generate().unwrap();
        let text = why(&sealed, "l", Some(&other));
        assert!(
            text.contains(&id) && text.contains(&other.id().to_string()),
            "{text}"
        );
        let text = sealed.sealed.clone().unwrap();
        let renamed = AppRecord {
            name: "other".into(),
            ..sealed.clone()
        };
        let given_away = AppRecord {
            manifest: sealed.manifest.replace("./shop.wasm", "./evil.wasm"),
            ..sealed.clone()
        };
        let other_bytes = AppRecord {
            images: [("shop".into(), "sha256:0".into())].into(),
            ..sealed.clone()
        };
        let cut = AppRecord {
            sealed: Some(text[..text.len() - 2].into()),
            ..sealed.clone()
        };
        for changed in [renamed, given_away, other_bytes, cut] {
            assert!(why(&changed, "l", Some(&key)).contains("were changed"));
        }
        assert!(why(&sealed, "m", Some(&key)).contains("were changed"));
        for text in ["", "withe-sealed-1", "withe-sealed-1 a b c", "☃"] {
            let damaged = AppRecord {
                sealed: Some(text.into()),
                ..sealed.clone()
            };
            assert!(
                why(&damaged, "l", Some(&key)).contains("not written as"),
                "{text}"
            );
            assert!(why(&damaged, "l", None).contains("no key here"), "{text}");
        }
    }

    #[test]
    fn without_a_key_nothing_secret_is_put_where_others_can_read_it() {
        let error = seal(record(), "l", None, true).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "the configuration `closed`, `s` of the link from `shop` to `store` are secret"
            ),
            "{error}"
        );
        assert!(
            error.contains("`--seal-key`") && !error.contains("hidden"),
            "{error}"
        );
        assert_eq!(seal(record(), "l", None, false).unwrap(), record());
        let open = AppRecord {
            manifest: MANIFEST.replace("secret: true, ", ""),
            changes: Vec::new(),
            ..record()
        };
        assert_eq!(seal(open.clone(), "l", None, true).unwrap(), open);
        let key = SealKey::generate().unwrap();
        assert_eq!(seal(open.clone(), "l", Some(&key), true).unwrap(), open);
    }

    #[test]
    fn a_value_that_cannot_be_taken_out_is_named_by_its_place() {
        let key = SealKey::generate().unwrap();
        let alias = AppRecord {
            manifest: MANIFEST
                .replace("open-value", "&x word")
                .replace("'hidden-value'", "*x"),
            ..record()
        };
        let error = seal(alias, "l", Some(&key), true).unwrap_err().to_string();
        assert!(error.starts_with("app.yaml:12:"), "{error}");
        assert!(error.contains("alias"), "{error}");
    }
}
