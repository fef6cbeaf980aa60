//! The running parts of one plan.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use withe_runtime::Graph;

use super::left::Left;
use super::providers::{HeldLink, LinkKey, RunningProvider};
use crate::serve::Served;
use crate::workers::Workers;

/// All that runs of one plan on this host; of no plan, nothing.
#[derive(Default)]
pub(crate) struct Live {
    /// Providers, by name.
    pub(crate) providers: HashMap<String, Arc<RunningProvider>>,
    /// The links that end at them.
    pub(crate) targets: BTreeMap<LinkKey, HeldLink>,
    /// The links that start at them.
    pub(crate) sources: BTreeMap<LinkKey, HeldLink>,
    pub(crate) graph: Option<Arc<Graph>>,
    pub(crate) served: Option<Arc<Served>>,
    pub(crate) workers: Option<Workers>,
}

impl Live {
    /// All links of its providers.
    pub(crate) fn links(&self) -> impl Iterator<Item = &HeldLink> {
        self.targets.values().chain(self.sources.values())
    }

    /// The parts that do not go on in `next`.
    pub(crate) fn without(self, next: &Self) -> Left {
        let kept: HashSet<_> = next.links().map(|link| link.id).collect();
        let links = self.targets.into_values().chain(self.sources.into_values());
        let goes_on = |provider: &Arc<RunningProvider>| {
            let same = next.providers.get(&provider.name);
            same.is_some_and(|same| Arc::ptr_eq(same, provider))
        };
        Left {
            links: links.filter(|link| !kept.contains(&link.id)).collect(),
            providers: (self.providers.into_values())
                .filter(|provider| !goes_on(provider))
                .collect(),
            graph: self.graph,
            served: self.served,
            workers: self.workers,
        }
    }

    /// The link that starts at a provider and goes on as `key`: the same one, or one with another target that
    /// `wanted` no longer has. The link keeps its address, and loses no request.
    pub(crate) fn source_of(&self, key: &LinkKey, wanted: &HashSet<LinkKey>) -> Option<&HeldLink> {
        self.sources.get(key).or_else(|| {
            let mut sources = self.sources.iter();
            let goes_on = |(old, _): &(&LinkKey, &HeldLink)| {
                (&old.source, &old.name) == (&key.source, &key.name) && !wanted.contains(old)
            };
            sources.find(goes_on).map(|(_, link)| link)
        })
    }
}
