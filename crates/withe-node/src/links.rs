//! Changes of an application's links while it runs (`withe link put`, `withe link delete`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use withe_linker::input::{
    Application, BindingChoice, ConfigMap, Link, NamePair, NamedConfig, Scope, SecretKeys, Spanned,
};

/// A change of an application's links. Later ones win.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkChange {
    /// The link is made, or put in the place of that of the same source, name and interfaces.
    Put(LinkDeclaration),
    /// The link is removed.
    Delete(LinkId),
}

/// Which link of an application: its source has one link of a name for each interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkId {
    /// The importer.
    pub source: String,
    /// The link's name.
    pub name: String,
    /// The exporter; `None` is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The namespace of its interfaces; `None` is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Their package; `None` is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// A link as it is declared, with the fields of a manifest's link trait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkDeclaration {
    /// The importer.
    pub source: String,
    /// The exporter.
    pub target: String,
    /// The link's name.
    pub name: String,
    /// The namespace of its interfaces; inferred if not given.
    pub namespace: Option<String>,
    /// Their package; inferred if not given.
    pub package: Option<String>,
    /// The interfaces; inferred if not given.
    pub interfaces: Option<Vec<String>>,
    /// The exports of other names that serve imports, by import.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pairs: BTreeMap<String, String>,
    /// Configuration of the source's side.
    pub source_config: BTreeMap<String, String>,
    /// Configuration of the target's side.
    pub target_config: BTreeMap<String, String>,
    /// The keys of `source_config` whose values are secret.
    #[serde(skip_serializing_if = "SecretKeys::is_empty")]
    pub source_secret_keys: SecretKeys,
    /// The keys of `target_config` whose values are secret.
    #[serde(skip_serializing_if = "SecretKeys::is_empty")]
    pub target_secret_keys: SecretKeys,
    /// How it is to be bound.
    pub binding: Option<BindingChoice>,
    /// How long a callee's instance lives.
    pub scope: Option<Scope>,
    /// A call's deadline, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Whether a call may be sent again.
    pub idempotent: Option<bool>,
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The application has no part of this name.
    #[error("`{application}` has no part `{part}`; it has {known}")]
    NoPart {
        /// The application.
        application: String,
        /// The part that was named.
        part: String,
        /// The parts that there are.
        known: String,
    },
    /// There is no such link.
    #[error("`{source_name}` has no link `{name}`{to}; `withe link list` shows those there are")]
    NoLink {
        /// The importer.
        source_name: String,
        /// The link's name.
        name: String,
        /// Which of those, for the message.
        to: String,
    },
}

impl LinkChange {
    /// Makes the change as one of those that were checked when they were made. A link that it removes may already be
    /// gone, if an earlier change is no longer kept.
    ///
    /// # Errors
    ///
    /// If the application has not the parts that it is about.
    pub fn apply_again(&self, application: &mut Application) -> Result<(), ChangeError> {
        match self.apply(application) {
            Err(ChangeError::NoLink { .. }) => Ok(()),
            applied => applied,
        }
    }

    /// Whether what `before` did is undone, or done anew, by this change in all circumstances: both remove the same
    /// links, and put one in the same place or none.
    fn covers(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Put(link), Self::Put(before)) => link.place() == before.place(),
            (Self::Delete(id), Self::Delete(before)) => id == before,
            _ => false,
        }
    }

    /// Makes the change.
    ///
    /// # Errors
    ///
    /// If the application has not what it is about.
    pub fn apply(&self, application: &mut Application) -> Result<(), ChangeError> {
        let find = |application: &Application, part: &str| {
            let mut parts = application.components.iter();
            parts
                .position(|p| p.name.value == part)
                .ok_or_else(|| ChangeError::NoPart {
                    application: application.name.value.clone(),
                    part: part.into(),
                    known: (application.components.iter())
                        .map(|p| format!("`{}`", p.name.value))
                        .collect::<Vec<_>>()
                        .join(", "),
                })
        };
        match self {
            Self::Put(link) => {
                let source = find(application, &link.source)?;
                find(application, &link.target)?;
                let links = &mut application.components[source].links;
                links.retain(|old| !link.replaces(old));
                links.push(link.declared());
            }
            Self::Delete(id) => {
                let source = find(application, &id.source)?;
                let links = &mut application.components[source].links;
                let before = links.len();
                links.retain(|link| !id.is_of(link));
                if links.len() == before {
                    return Err(ChangeError::NoLink {
                        source_name: id.source.clone(),
                        name: id.name.clone(),
                        to: match &id.target {
                            Some(target) => format!(" to `{target}`"),
                            None => String::new(),
                        },
                    });
                }
            }
        }
        Ok(())
    }
}

/// Adds a change to those made before, which are kept no longer than they say something: one that is made
/// again counts where it is made last.
pub(crate) fn add(changes: &mut Vec<LinkChange>, change: LinkChange) {
    changes.retain(|before| !change.covers(before));
    changes.push(change);
}

fn name_of(link: &Link) -> &str {
    link.name.as_ref().map_or("default", |name| &name.value)
}

/// Whether two that may be left out can mean the same.
fn overlap(one: Option<&String>, other: Option<&String>) -> bool {
    one.is_none() || other.is_none() || one == other
}

impl LinkId {
    fn is_of(&self, link: &Link) -> bool {
        let value = |field: &Option<Spanned<String>>| field.as_ref().map(|f| f.value.clone());
        name_of(link) == self.name
            && overlap(self.target.as_ref(), Some(&link.target.value))
            && overlap(self.namespace.as_ref(), value(&link.namespace).as_ref())
            && overlap(self.package.as_ref(), value(&link.package).as_ref())
    }
}

impl LinkDeclaration {
    /// The fields that decide which links this one replaces.
    fn place(&self) -> impl PartialEq + '_ {
        (
            (&self.source, &self.target, &self.name),
            (
                (&self.namespace, &self.package),
                (&self.interfaces, &self.pairs),
            ),
        )
    }

    /// Whether it takes the place of `old`: the same source cannot have both.
    fn replaces(&self, old: &Link) -> bool {
        let id = LinkId {
            source: self.source.clone(),
            name: self.name.clone(),
            target: None,
            namespace: self.namespace.clone(),
            package: self.package.clone(),
        };
        let takes = |pair: &NamePair| self.pairs.contains_key(&pair.import.value);
        if id.name == name_of(old) && old.pairs.iter().any(takes) {
            return true;
        }
        // Links that say nothing of their interfaces are told apart by their targets.
        let is_known = self.package.is_some() && old.package.is_some();
        let interfaces = match (&self.interfaces, &old.interfaces) {
            (Some(new), Some(old)) => old.iter().any(|i| new.contains(&i.value)),
            // A link that has nothing but pairs is for no other import, and leaves those to the links that have them.
            (new, earlier) => {
                let only_pairs = |named: bool, paired: bool| !named && paired;
                !only_pairs(new.is_some(), !self.pairs.is_empty())
                    && !only_pairs(earlier.is_some(), !old.pairs.is_empty())
            }
        };
        let same_target = old.target.value == self.target;
        id.is_of(old) && interfaces && (is_known || same_target)
    }

    fn declared(&self) -> Link {
        let text = |text: &Option<String>| text.clone().map(Spanned::unplaced);
        Link {
            span: None,
            target: Spanned::unplaced(self.target.clone()),
            name: Some(Spanned::unplaced(self.name.clone())),
            namespace: text(&self.namespace),
            package: text(&self.package),
            interfaces: (self.interfaces.as_ref())
                .map(|all| all.iter().cloned().map(Spanned::unplaced).collect()),
            pairs: (self.pairs.iter())
                .map(|(import, export)| NamePair {
                    import: Spanned::unplaced(import.clone()),
                    export: Spanned::unplaced(export.clone()),
                })
                .collect(),
            source_config: self.config("source", &self.source_config, &self.source_secret_keys),
            source_secrets: Vec::new(),
            target_config: self.config("target", &self.target_config, &self.target_secret_keys),
            target_secrets: Vec::new(),
            binding: self.binding.map(Spanned::unplaced),
            scope: self.scope.map(Spanned::unplaced),
            timeout: (self.timeout_ms.map(Duration::from_millis)).map(Spanned::unplaced),
            locality: None,
            idempotent: self.idempotent.map(Spanned::unplaced),
        }
    }

    /// The configuration of a side, in entries for what is secret and what is not.
    fn config(&self, side: &str, values: &ConfigMap, secret_keys: &SecretKeys) -> Vec<NamedConfig> {
        let entry = |secret: bool| {
            let values = values.iter();
            let values = values.filter(|(key, _)| secret_keys.contains(*key) == secret);
            let properties: BTreeMap<_, _> = values
                .map(|(key, value)| (key.clone(), Spanned::unplaced(value.clone())))
                .collect();
            let Self {
                source,
                target,
                name,
                ..
            } = self;
            let what = if secret { " secret" } else { "" };
            // An application defines a name once.
            let name = format!("link {source} {target} {name} {side}{what}");
            (!properties.is_empty()).then_some(NamedConfig {
                name: Spanned::unplaced(name),
                properties: Some(properties),
                secret,
            })
        };
        [false, true].into_iter().filter_map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: shop}
spec:
  components:
    - name: shop
      type: component
      properties: {image: ./shop.wasm}
      traits: [{type: link, properties: {target: one}}]
    - {name: one, type: component, properties: {image: ./one.wasm}}
    - {name: two, type: component, properties: {image: ./two.wasm}}
";

    fn put(target: &str) -> LinkChange {
        LinkChange::Put(LinkDeclaration {
            source: "shop".into(),
            target: target.into(),
            name: "default".into(),
            ..LinkDeclaration::default()
        })
    }

    fn delete(target: &str) -> LinkChange {
        LinkChange::Delete(LinkId {
            source: "shop".into(),
            name: "default".into(),
            target: Some(target.into()),
            namespace: None,
            package: None,
        })
    }

    fn targets(changes: &[LinkChange]) -> Vec<String> {
        let mut application = withe_manifest::parse(MANIFEST).application.unwrap();
        for change in changes {
            change.apply_again(&mut application).unwrap();
        }
        let links = &application.components[0].links;
        links.iter().map(|link| link.target.value.clone()).collect()
    }

    #[test]
    fn what_changes_to_and_fro_is_kept_once() {
        let (mut all, mut kept) = (Vec::new(), Vec::new());
        for (from, to) in [("one", "two"), ("two", "one")]
            .into_iter()
            .cycle()
            .take(101)
        {
            for change in [delete(from), put(to)] {
                all.push(change.clone());
                add(&mut kept, change);
            }
            assert_eq!(targets(&kept), [to]);
            assert_eq!(targets(&kept), targets(&all));
        }
        assert_eq!(kept.len(), 4);
    }

    #[test]
    fn pairs_take_the_place_of_links_for_their_imports_only() {
        let pair = |import: &str, target: &str| {
            let LinkChange::Put(link) = put(target) else {
                unreachable!("it is put")
            };
            LinkChange::Put(LinkDeclaration {
                pairs: [(import.to_owned(), "a:b/c".to_owned())].into(),
                ..link
            })
        };
        // The manifest's link, which is for all that is inferred, stays.
        assert_eq!(targets(&[pair("cache", "one")]), ["one", "one"]);
        assert_eq!(
            targets(&[pair("cache", "one"), pair("add", "one")]),
            ["one", "one", "one"]
        );
        let moved = [pair("cache", "one"), pair("cache", "two")];
        assert_eq!(targets(&moved), ["one", "two"]);
        // Nor is a pair replaced by a link that says nothing of it.
        assert_eq!(targets(&[pair("cache", "one"), put("one")]), ["one", "one"]);
    }

    #[test]
    fn what_is_not_there_cannot_be_removed() {
        let mut application = withe_manifest::parse(MANIFEST).application.unwrap();
        let error = delete("two").apply(&mut application).unwrap_err();
        assert!(matches!(error, ChangeError::NoLink { .. }), "{error}");
        let error = put("three").apply(&mut application).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`shop` has no part `three`; it has `shop`, `one`, `two`"
        );
    }
}
