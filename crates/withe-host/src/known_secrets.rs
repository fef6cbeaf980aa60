//! The secret values of all that a host runs, for the writer of its log.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use withe_linker::plan::Plan;
use withe_linker::secrets::SecretValues;

/// The secret values of all that a host runs. Clones are of one.
///
/// Libraries and components log texts that nobody here has written, so a log is masked as a whole, line by line.
#[derive(Clone, Default)]
pub struct KnownSecrets(Arc<RwLock<BTreeMap<String, Known>>>);

#[derive(Default)]
struct Known {
    now: SecretValues,
    /// The values that were replaced: what has them may still be ending.
    before: SecretValues,
}

impl KnownSecrets {
    /// Takes note of the values in a plan of an application.
    pub fn know(&self, plan: &Plan) {
        let now = plan.secrets();
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&plan.application) {
            Some(known) if known.now == now => {}
            Some(known) => known.before = std::mem::replace(&mut known.now, now),
            None if now.is_empty() => {}
            None => {
                let before = SecretValues::default();
                all.insert(plan.application.clone(), Known { now, before });
            }
        }
    }

    /// `text` without any of them.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Cow::Borrowed(text);
        // A log is written also when something has panicked.
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for values in all.values().flat_map(|known| [&known.now, &known.before]) {
            let without = match values.mask(&masked) {
                Cow::Owned(text) => Some(text),
                Cow::Borrowed(_) => None,
            };
            masked = without.map_or(masked, Cow::Owned);
        }
        masked
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownSecrets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan of one component with this secret value.
    fn plan(application: &str, value: &str) -> Plan {
        let plan = serde_json::json!({
            "application": application,
            "components": [{
                "name": "c", "id": "c", "kind": "component", "digest": "", "entry": true, "concurrency": false,
                "config": {"key": value}, "secret_keys": ["key"], "host_imports": [],
            }],
            "links": [],
        });
        serde_json::from_value(plan).unwrap()
    }

    #[test]
    fn values_are_known_until_they_were_replaced_twice() {
        let known = KnownSecrets::default();
        assert!(known.is_empty());
        known.know(&plan("a", "first-a"));
        known.know(&plan("b", "first-b"));
        assert_eq!(known.mask("first-a first-b"), "••• •••");
        known.know(&plan("a", "second-a"));
        known.know(&plan("a", "second-a"));
        assert_eq!(known.mask("first-a second-a"), "••• •••");
        known.know(&plan("a", "third-a"));
        assert_eq!(known.mask("first-a second-a third-a"), "first-a ••• •••");
        assert!(matches!(known.mask("nothing"), Cow::Borrowed("nothing")));
    }
}
