//! A provider's description without starting it, as data that can be sent.

use serde::{Deserialize, Serialize};

use super::protocol::PROTOCOL;
use crate::{Alias, ConfigMap, ConfigRole, Descriptor};

/// A [`Descriptor`] without its functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The [`PROTOCOL`] that its process speaks.
    pub protocol: u32,
    /// Its short name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// Its world as WIT packages, one text each, the one with the world named `provider` last.
    pub wit: Vec<String>,
    /// Image references without a tag that mean it.
    #[serde(default)]
    pub aliases: Vec<DescribedAlias>,
    /// Configuration keys, in lower case, whose values are paths of files.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Whether it can be asked, with `--check`, what is wrong with a configuration.
    #[serde(default)]
    pub checks: bool,
}

/// What a program is asked with `--check`: what is wrong with this?
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Question {
    /// Which of its configurations it is.
    pub role: ConfigRole,
    /// The configuration.
    pub config: ConfigMap,
}

/// An [`Alias`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedAlias {
    /// The image reference.
    pub image: String,
    /// Configuration that it implies.
    pub config: Vec<(String, String)>,
}

impl From<&Descriptor> for Description {
    fn from(descriptor: &Descriptor) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            protocol: PROTOCOL,
            name: descriptor.name.into(),
            version: descriptor.version.into(),
            summary: descriptor.summary.into(),
            wit: owned(descriptor.wit),
            aliases: descriptor
                .aliases
                .iter()
                .map(DescribedAlias::from)
                .collect(),
            paths: owned(descriptor.paths),
            checks: true,
        }
    }
}

impl From<&Alias> for DescribedAlias {
    fn from(alias: &Alias) -> Self {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Self {
            image: alias.image.into(),
            config: alias.config.iter().map(owned).collect(),
        }
    }
}
