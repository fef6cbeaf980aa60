//! An application, as far as its hosts are concerned.

use std::collections::{BTreeMap, HashMap, HashSet};

use withe_linker::input::{
    Application, Component, ComponentKind, Link, ScalerKind, Scaling, Scope,
};

/// The demands of an application on its hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Its parts, in the manifest's order.
    pub parts: Vec<PartWish>,
    /// Its links, as the places of source and target in `parts`.
    pub links: Vec<(usize, usize)>,
}

/// The demands of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartWish {
    /// Its name.
    pub name: String,
    /// Where it is to run.
    pub place: Where,
    /// How many instances may run at a time, on all hosts (for a [`Where::Every`]: on each).
    pub instances: Option<u32>,
}

/// Where a part is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// Where those run that call it.
    WithCallers,
    /// On one host, any.
    OneHost,
    /// On hosts that have the labels of one of these.
    Spread(Vec<Spread>),
    /// On every host that has the labels of one of these, or on every host if there are none.
    Every(Vec<BTreeMap<String, String>>),
}

/// Labels that hosts must have, and their share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// Its share of the instances, beside those of the others.
    pub weight: u32,
}

impl Wish {
    /// The wish of an application, by its declarations.
    pub fn of(application: &Application) -> Self {
        let mut by_name = HashMap::new();
        for (place, part) in application.components.iter().enumerate() {
            by_name.entry(part.name.value.as_str()).or_insert(place);
        }
        let is_shared = |link: &&Link| {
            let scope = link.scope.as_ref();
            scope.is_some_and(|scope| scope.value == Scope::Shared)
        };
        let links = application.components.iter().flat_map(|part| &part.links);
        let shared: HashSet<&str> = (links.filter(is_shared))
            .map(|link| link.target.value.as_str())
            .collect();
        let part = |part: &Component| {
            let name = &part.name.value;
            let is_held = part.kind == ComponentKind::Provider || shared.contains(name.as_str());
            PartWish {
                name: name.clone(),
                place: wanted(part.scaling.as_ref(), is_held),
                instances: (part.scaling.as_ref())
                    .and_then(|scaling| Some(scaling.instances.as_ref()?.value)),
            }
        };
        let parts = application.components.iter();
        let links = parts.clone().enumerate().flat_map(|(source, part)| {
            let targets = part
                .links
                .iter()
                .filter_map(|link| by_name.get(link.target.value.as_str()));
            targets.map(move |target| (source, *target))
        });
        Self {
            links: links.collect(),
            parts: parts.map(part).collect(),
        }
    }
}

fn wanted(scaling: Option<&Scaling>, is_held: bool) -> Where {
    let anywhere = if is_held {
        Where::OneHost
    } else {
        Where::WithCallers
    };
    let Some(scaling) = scaling else {
        return anywhere;
    };
    let spread = scaling.spread.iter();
    match scaling.kind {
        ScalerKind::Daemon => Where::Every(spread.map(|s| s.requirements.clone()).collect()),
        ScalerKind::Spread if scaling.spread.iter().all(|s| s.requirements.is_empty()) => anywhere,
        ScalerKind::Spread => Where::Spread(
            spread
                .map(|s| Spread {
                    labels: s.requirements.clone(),
                    weight: s.weight.unwrap_or(100),
                })
                .collect(),
        ),
    }
}
