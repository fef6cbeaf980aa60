//! The records of hosts and applications in the lattice: entries as JSON, and their keys.
//!
//! | key | kind | what |
//! |---|---|---|
//! | `apps.{name}` | entry | [`AppRecord`]: what is desired; `null` where somebody who signs has removed it |
//! | `deployments.{name}` | entry | [`Deployment`]: on which hosts |
//! | `hosts.{id}` | lease | [`HostRecord`]: what a host is and does |
//! | `once.{application}.{digest}` | entry | up to which moment what is done once has been claimed, in milliseconds since 1970 |
//! | `secrets.{name}` | entry | the versions of a secret, sealed: see [`crate::secrets`] |
//! | `controller` | lease | the id of the host that writes deployments |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use withe_lattice::Entry;
use withe_linker::input::{BindingChoice, OnMissing, Scope};
use withe_linker::plan::Binding;
use withe_planner::Assignment;
use withe_provider::process::Description;

use crate::links::LinkChange;

/// The prefix of applications.
pub const APPS: &str = "apps";
/// The prefix of deployments.
pub const DEPLOYMENTS: &str = "deployments";
/// The prefix of hosts.
pub const HOSTS: &str = "hosts";
/// The prefix of what is claimed to be done once.
pub const ONCE: &str = "once";
/// The prefix of secrets.
pub const SECRETS: &str = "secrets";
/// The lease of the host that writes deployments.
pub const CONTROLLER: &str = "controller";
/// The prefix of the subjects of events.
pub const EVENTS: &str = "events";

/// The key of `name` under `prefix`. Bytes that a key may not have are written as `=` and two hexadecimal digits.
pub fn key(prefix: &str, name: &str) -> String {
    let mut key = format!("{prefix}.");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            key.push(byte.into());
        } else {
            key.push_str(&format!("={byte:02x}"));
        }
    }
    key
}

/// The name that [`key`] made a key of.
pub(crate) fn name_of(prefix: &str, key: &str) -> String {
    let text = key
        .strip_prefix(prefix)
        .unwrap_or(key)
        .trim_start_matches('.');
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).map(|digits| u8::from_str_radix(digits, 16)) {
            Some(Ok(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            // No host here made this key; its text is the name of nothing else.
            _ => return text.to_owned(),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// An application as it is desired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRecord {
    /// Its name.
    pub name: String,
    /// Its manifest's text.
    pub manifest: String,
    /// The manifest's file, as it was named: for messages.
    pub file: String,
    /// The base of relative paths in its configuration and grants: a folder that is the same on every host that needs
    /// it.
    pub folder: String,
    /// The digest of the bytes of each component that has any.
    pub images: BTreeMap<String, String>,
    /// The programs of providers that run as processes of their own, by the provider's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, ProgramRecord>,
    /// How links are bound that say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingChoice>,
    /// How long the callees of links live that say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The treatment of imports that nothing provides, for components that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<OnMissing>,
    /// Whether components stay apart that could be fused and need not be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
    /// Changes of its links since the manifest was put.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<LinkChange>,
    /// The secret values of the manifest and the changes, which have a mask in their places, sealed: see `sealing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

/// A provider's program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRecord {
    /// The digest of its bytes.
    pub digest: String,
    /// How many bytes it has.
    pub size: u64,
    /// The path that it was put from, for messages. Hosts look at no file for it.
    pub path: String,
    /// The program's own description; `None` for an archive of wasmCloud v1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
}

/// On which hosts the parts of an application run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Greater with every change. A host takes no lower one than it has.
    pub number: u64,
    /// The revision of the [`AppRecord`] that it is for.
    pub revision: u64,
    /// The hosts of each part.
    pub hosts: Assignment,
    /// The parts that no host may run, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unplaced: Vec<String>,
    /// The parts that seem to have killed hosts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quarantine: BTreeMap<String, Quarantine>,
}

/// Whether a part may be begun, as far as hosts have died with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The hosts that died as they made the part, or soon after.
    pub deaths: Vec<HostDeath>,
    /// Until when no further host begins it, in milliseconds since 1970.
    pub until: u64,
}

/// A host that died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDeath {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether the part ran there.
    pub ran: bool,
}

/// A host, as it tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Its id, new with every start.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// The machine that it runs on.
    pub machine: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The fingerprint of its certificate, by which others know it whichever way they reach it. Nobody calls a host that
    /// has none.
    #[serde(default)]
    pub fingerprint: String,
    /// Where it can be reached directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpRecord>,
    /// The path of the socket at which the other hosts of its machine reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix: Option<String>,
    /// Whether it can be reached by way of NATS.
    pub nats: bool,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// Whether it acts only on records that somebody who may has signed: for those who forget to sign.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed_only: bool,
    /// Whether it is about to leave: it runs what it has until others do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
    /// The applications of which it runs parts.
    pub apps: BTreeMap<String, RunningApp>,
}

/// Where a host can be reached directly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpRecord {
    /// Its addresses, each `host:port`.
    pub addresses: Vec<String>,
}

/// The state of an application on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningApp {
    /// The number of the deployment that it follows.
    pub number: u64,
    /// The revision of the application that runs.
    pub revision: u64,
    /// The parts that run, and answer calls.
    pub parts: Vec<RunningPart>,
    /// The links of those parts, as they are bound.
    pub links: Vec<RunningLink>,
    /// Where they can be reached from outside.
    pub endpoints: Vec<String>,
    /// Why what the deployment says does not run, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether the lattice has lost the application, so that what ran goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

/// A part that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningPart {
    /// Its name in the manifest.
    pub name: String,
    /// Its id on the lattice.
    pub id: String,
    /// `component` or `provider`.
    pub kind: String,
    /// The digest of what runs.
    pub digest: String,
    /// How many instances may run at a time; as many as fit without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
}

/// A link of a part that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningLink {
    /// The importer.
    pub source: String,
    /// The exporter.
    pub target: String,
    /// The link's name.
    pub name: String,
    /// The interfaces that the link connects.
    pub interfaces: Vec<String>,
    /// How it is bound there.
    pub binding: Binding,
    /// Why by no cheaper binding.
    pub why: String,
}

impl HostRecord {
    /// Whether a part of an application runs there and answers calls.
    pub fn runs(&self, application: &str, part: &str) -> bool {
        let app = self.apps.get(application);
        app.is_some_and(|app| app.parts.iter().any(|p| p.name == part))
    }
}

/// An entry's value as a record, signed or not; `None`, and a line in the log, for a value that is no record.
pub(crate) fn read<T: serde::de::DeserializeOwned>(entry: &Entry) -> Option<T> {
    match serde_json::from_slice(withe_trust::payload(&entry.value)) {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::warn!(
                key = entry.key,
                "what is in the lattice cannot be read: {error}"
            );
            None
        }
    }
}

/// A record that JSON cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("a record cannot be written as JSON: {0}")]
pub struct UnwritableRecord(#[from] serde_json::Error);

/// A record as an entry's value.
///
/// # Errors
///
/// If JSON cannot hold it. Nothing may be put in its place: an empty value would be taken for another record.
pub(crate) fn write(record: &impl Serialize) -> Result<bytes::Bytes, UnwritableRecord> {
    Ok(serde_json::to_vec(record)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_any_name() {
        assert_eq!(key(APPS, "my-app_2"), "apps.my-app_2");
        assert_eq!(key(APPS, "a.b c"), "apps.a=2eb=20c");
        for name in ["my-app_2", "a.b c", "Œuvre=", "=", ""] {
            assert_eq!(name_of(APPS, &key(APPS, name)), name);
        }
        assert_eq!(name_of(APPS, "apps.a=zz"), "a=zz");
        assert_eq!(name_of(APPS, "apps.a=é"), "a=é");
    }
}
