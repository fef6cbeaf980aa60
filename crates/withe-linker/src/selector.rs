//! The entries of a link's `interfaces`, as far as the link alone tells. `resolve` finds their imports, and
//! `problems` reports what is wrong with them.

use semver::Version;
use withe_wit::{Extern, InterfaceName};

use crate::input::{Link, Spanned};
use crate::work;

/// One entry of `interfaces`, with the link's `namespace` and `package`.
#[derive(Clone, Debug)]
pub(crate) struct Selector<'a> {
    pub(crate) namespace: Option<&'a str>,
    pub(crate) package: Option<&'a str>,
    pub(crate) interface: &'a str,
    pub(crate) version: Option<Version>,
    /// The entry as it was written.
    pub(crate) written: &'a Spanned<String>,
}

impl Selector<'_> {
    /// Whether `item` is an interface that this selects.
    pub(crate) fn matches(&self, item: &Extern) -> bool {
        work::note(1);
        item.interface_name()
            .is_some_and(|name| self.matches_name(name))
    }

    /// Whether this names `item` by its very version.
    pub(crate) fn is_exactly(&self, item: &Extern) -> bool {
        let version = item.interface_name().and_then(|name| name.version.as_ref());
        self.version.is_some() && self.version.as_ref() == version && self.matches(item)
    }

    fn matches_name(&self, name: &InterfaceName) -> bool {
        self.namespace.is_none_or(|n| n == name.namespace)
            && self.package.is_none_or(|p| p == name.package)
            && self.interface == name.interface
            && self.version.as_ref().is_none_or(|v| {
                let wanted = InterfaceName {
                    version: Some(v.clone()),
                    ..name.clone()
                };
                wanted.is_satisfied_by(name)
            })
    }

    /// The selected interface, as far as the entry says: `wasi:keyvalue/store`.
    pub(crate) fn describe(&self) -> String {
        let path = match (self.namespace, self.package) {
            (Some(namespace), Some(package)) => format!("{namespace}:{package}/"),
            _ => String::new(),
        };
        format!("{path}{}", self.written.value)
    }
}

/// An entry of `interfaces` that cannot be understood, and why.
pub(crate) struct BadSelector<'a> {
    pub(crate) written: &'a Spanned<String>,
    pub(crate) why: &'static str,
}

/// The entries that `link` names; `None` leaves them to inference.
///
/// # Errors
///
/// All entries that are not an interface's name.
pub(crate) fn selectors(link: &Link) -> Result<Option<Vec<Selector<'_>>>, Vec<BadSelector<'_>>> {
    let interfaces = match &link.interfaces {
        Some(interfaces) => interfaces.as_slice(),
        None if link.pairs.is_empty() => return Ok(None),
        None => &[],
    };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for written in interfaces {
        let (interface, version) = match written.split_once('@') {
            Some((interface, version)) => (interface, Some(version)),
            None => (written.as_str(), None),
        };
        let version = version.map(Version::parse).transpose();
        match version {
            Ok(version) if withe_wit::name::is_kebab(interface) => good.push(Selector {
                namespace: link.namespace.as_ref().map(|n| n.value.as_str()),
                package: link.package.as_ref().map(|p| p.value.as_str()),
                interface,
                version,
                written,
            }),
            Ok(_) if interface.contains([':', '/']) => {
                bad.push(BadSelector {
                    written,
                    why: "namespace and package stand in fields of their own",
                });
            }
            Ok(_) => bad.push(BadSelector {
                written,
                why: "it is not in kebab-case",
            }),
            Err(_) => bad.push(BadSelector {
                written,
                why: "its version is not one",
            }),
        }
    }
    if bad.is_empty() {
        Ok(Some(good))
    } else {
        Err(bad)
    }
}
