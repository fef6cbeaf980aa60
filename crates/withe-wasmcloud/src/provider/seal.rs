//! Seals the secrets of links: the host does so for the provider, since links are told over NATS.
//!
//! Both key pairs are made for each provider when it is made, and go with it. The provider has its own on its standard
//! input. Sealing twice gives different bytes, so links are compared by their values and sealed when they are told.

use std::collections::BTreeMap;

use nkeys::XKey;
use serde::Serialize;

use super::definition::{LinkDefinition, Secrets};

/// Why something cannot be written for a provider.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("its secrets cannot be sealed: {0}")]
    Key(#[source] nkeys::error::Error),
}

/// The keys that seal the secrets of one provider's links.
pub(super) struct LinkSeal {
    host: XKey,
    provider: XKey,
}

/// A link as it is told, with its secrets sealed.
#[derive(Serialize)]
pub(super) struct SealedLink<'a> {
    source_id: &'a str,
    target: &'a str,
    name: &'a str,
    wit_namespace: &'a str,
    wit_package: &'a str,
    interfaces: &'a [String],
    source_config: &'a BTreeMap<String, String>,
    target_config: &'a BTreeMap<String, String>,
    source_secrets: Option<Vec<u8>>,
    target_secrets: Option<Vec<u8>>,
}

impl LinkSeal {
    pub(super) fn new() -> Self {
        Self {
            host: XKey::new(),
            provider: XKey::new(),
        }
    }

    /// The host's public key, by which the provider knows who sealed.
    pub(super) fn host_key(&self) -> String {
        self.host.public_key()
    }

    /// The provider's public key, by which it is told of links.
    pub(super) fn provider_key(&self) -> String {
        self.provider.public_key()
    }

    /// The seed of the provider's key: for the provider alone.
    ///
    /// # Errors
    ///
    /// If the pair has no secret key, which it has.
    pub(super) fn provider_seed(&self) -> Result<String, SealError> {
        self.provider.seed().map_err(SealError::Key)
    }

    /// A link as it is told.
    ///
    /// # Errors
    ///
    /// If its secrets cannot be sealed.
    pub(super) fn link<'a>(&self, link: &'a LinkDefinition) -> Result<SealedLink<'a>, SealError> {
        Ok(SealedLink {
            source_id: &link.source_id,
            target: &link.target,
            name: &link.name,
            wit_namespace: &link.wit_namespace,
            wit_package: &link.wit_package,
            interfaces: &link.interfaces,
            source_config: &link.source_config,
            target_config: &link.target_config,
            source_secrets: self.sealed(&link.source_secrets)?,
            target_secrets: self.sealed(&link.target_secrets)?,
        })
    }

    fn sealed(&self, secrets: &Secrets) -> Result<Option<Vec<u8>>, SealError> {
        if secrets.is_empty() {
            return Ok(None);
        }
        let text = serde_json::to_vec(secrets)?;
        let sealed = self.host.seal(&text, &self.provider);
        sealed.map(Some).map_err(SealError::Key)
    }
}

#[cfg(test)]
mod tests {
    use withe_provider::ConfigMap;

    use super::*;

    fn link(secret: &str) -> LinkDefinition {
        let config = ConfigMap::from([
            ("url".to_owned(), "redis://db".to_owned()),
            ("password".to_owned(), secret.to_owned()),
        ]);
        let (target_config, target_secrets) = Secrets::split(&config, &["password".to_owned()]);
        LinkDefinition {
            source_id: "cart".into(),
            target: "store".into(),
            name: "default".into(),
            wit_namespace: "wasi".into(),
            wit_package: "keyvalue".into(),
            interfaces: vec!["store".into()],
            source_config: BTreeMap::new(),
            target_config,
            source_secrets: Secrets::default(),
            target_secrets,
        }
    }

    #[test]
    fn the_provider_opens_what_nobody_else_can_read() {
        let seal = LinkSeal::new();
        let link = link("hunter2");
        assert!(link.has_secrets());
        let told = serde_json::to_string(&seal.link(&link).unwrap()).unwrap();
        assert!(
            !told.contains("hunter2") && told.contains("redis://db"),
            "{told}"
        );
        assert!(told.contains("\"source_secrets\":null"), "{told}");
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(
            told["target_config"],
            serde_json::json!({"url": "redis://db"})
        );
        let sealed: Vec<u8> = serde_json::from_value(told["target_secrets"].clone()).unwrap();

        // As v1's SDK does.
        let own = XKey::from_seed(&seal.provider_seed().unwrap()).unwrap();
        assert_eq!(own.public_key(), seal.provider_key());
        let host = XKey::from_public_key(&seal.host_key()).unwrap();
        let opened: serde_json::Value =
            serde_json::from_slice(&own.open(&sealed, &host).unwrap()).unwrap();
        let expected = serde_json::json!({"password": {"kind": "String", "value": "hunter2"}});
        assert_eq!(opened, expected);
        assert!(XKey::new().open(&sealed, &host).is_err());
    }

    #[test]
    fn values_are_compared_and_not_printed() {
        assert_eq!(link("a"), link("a"));
        assert_ne!(link("a"), link("b"));
        let shown = format!("{:?}", link("hunter2"));
        assert!(
            !shown.contains("hunter2") && shown.contains("password"),
            "{shown}"
        );
    }
}
