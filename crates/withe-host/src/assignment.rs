//! The assignment of a worker: its part of the plan, and the components in it.
//!
//! An application with many workers has many components in none of them. The bytes that all workers together send, read
//! and keep must not grow with workers times components, so each worker gets its own part only: its units, the
//! components fused into them, and the links that begin or end there.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use withe_linker::plan::{Binding, Plan, PlannedWorker};
use withe_wit::World;

use crate::options::{HostLimits, HostOptions, WorkerCommand};
use crate::parts::{ComponentPart, Openers, Parts};

/// The longest head of an assignment.
const MOST_HEAD: u64 = 64 << 20;
/// The largest component.
const MOST_BYTES: u64 = 1 << 30;

/// The task of a worker. The bytes of its components follow it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// The part of the plan that [`part_of`] keeps.
    pub(crate) plan: Plan,
    /// The component that it serves.
    pub(crate) component: String,
    /// The base of relative paths in the plan.
    pub(crate) folder: PathBuf,
    /// The folder of the application's sockets.
    pub(crate) sockets: PathBuf,
    /// Where compiled components are kept.
    pub(crate) cache_dir: Option<PathBuf>,
    /// Where the key of those is.
    pub(crate) key_dir: Option<PathBuf>,
    /// How components are compiled.
    pub(crate) compiler: Option<WorkerCommand>,
    /// How long calls may take to finish when the worker ends, in milliseconds.
    pub(crate) grace_ms: u64,
    /// The bounds of what runs in it.
    pub(crate) limits: HostLimits,
    /// The components in it, and how many bytes each has.
    pub(crate) components: Vec<(String, u64)>,
    /// The functions that open what they are handed ([`Parts::openers`]).
    pub(crate) openers: Openers,
}

impl Assignment {
    /// The assignment of a worker of `plan`.
    pub(crate) fn new(
        plan: &Plan,
        worker: &PlannedWorker,
        parts: &Parts,
        sockets: &Path,
        options: &HostOptions,
    ) -> Self {
        let names = components_of(plan, worker);
        let components = names.iter().filter_map(|name| {
            let part = parts.components.get(*name)?;
            Some(((*name).to_owned(), part.bytes.len() as u64))
        });
        let plan = part_of(plan, worker, &names);
        Self {
            openers: parts.openers(&plan.links),
            plan,
            component: worker.component.clone(),
            folder: parts.folder.clone(),
            sockets: sockets.to_owned(),
            cache_dir: options.cache_dir.clone(),
            key_dir: options.key_dir.clone(),
            compiler: options.compiler.clone(),
            grace_ms: options.grace.as_millis().try_into().unwrap_or(u64::MAX),
            limits: options.limits.of_one_component(),
            components: components.collect(),
        }
    }

    /// The head of the message: all but the bytes of the components.
    ///
    /// # Errors
    ///
    /// If a path in it is no text.
    pub(crate) fn head(&self) -> serde_json::Result<Vec<u8>> {
        let head = serde_json::to_vec(self)?;
        let mut framed = (head.len() as u64).to_le_bytes().to_vec();
        framed.extend(head);
        Ok(framed)
    }

    /// The bytes of its components, which follow.
    pub(crate) fn bodies<'a>(&'a self, parts: &'a Parts) -> impl Iterator<Item = &'a [u8]> {
        let names = self.components.iter().map(|(name, _)| name);
        names.filter_map(|name| parts.components.get(name).map(|part| &*part.bytes))
    }

    /// Reads one, with its components.
    ///
    /// # Errors
    ///
    /// If it ends too early, is too long, or is none.
    pub(crate) async fn read(
        input: &mut (impl AsyncRead + Unpin + Send),
    ) -> std::io::Result<(Self, Parts)> {
        let head = bytes(input, None, MOST_HEAD).await?;
        let assignment: Self = serde_json::from_slice(&head)?;
        let mut components = HashMap::new();
        for (name, len) in &assignment.components {
            let bytes: Arc<[u8]> = bytes(input, Some(*len), MOST_BYTES).await?.into();
            let world = World::read(&bytes).map_err(std::io::Error::other)?.into();
            components.insert(name.clone(), ComponentPart { bytes, world });
        }
        let parts = Parts {
            folder: assignment.folder.clone(),
            components,
            openers: assignment.openers.clone(),
            ..Parts::default()
        };
        Ok((assignment, parts))
    }
}

/// The components that a worker has in its units: those, and what is fused into them.
fn components_of<'a>(plan: &'a Plan, worker: &'a PlannedWorker) -> BTreeSet<&'a str> {
    let mut fused: HashMap<&str, Vec<&str>> = HashMap::new();
    for link in plan.links.iter().filter(|l| l.binding == Binding::Fused) {
        fused.entry(&link.source).or_default().push(&link.target);
    }
    let mut components = BTreeSet::new();
    let mut next: Vec<&str> = worker.units.iter().map(String::as_str).collect();
    while let Some(component) = next.pop() {
        if components.insert(component) {
            next.extend(fused.get(component).into_iter().flatten());
        }
    }
    components
}

/// The part of the plan that a worker with these components needs: the links that begin in them or end at its units,
/// and the parts at both ends. All workers stay, by whose order their sockets are named.
fn part_of(plan: &Plan, worker: &PlannedWorker, components: &BTreeSet<&str>) -> Plan {
    let units: BTreeSet<&String> = worker.units.iter().collect();
    let links = plan.links.iter().filter(|link| {
        let ends_here = link.binding != Binding::Fused && units.contains(&link.target);
        ends_here || components.contains(link.source.as_str())
    });
    let links: Vec<_> = links.cloned().collect();
    let ends = (links.iter()).flat_map(|link| [link.source.as_str(), &link.target]);
    let needed: BTreeSet<&str> = ends.chain(components.iter().copied()).collect();
    let parts = plan.components.iter();
    let parts = parts.filter(|part| needed.contains(part.name.as_str()));
    Plan {
        application: plan.application.clone(),
        version: plan.version.clone(),
        components: parts.cloned().collect(),
        host_units: Vec::new(),
        workers: plan.workers.clone(),
        links,
    }
}

/// Reads `len` bytes, or as many as a number in front of them says; at most `most`.
async fn bytes(
    input: &mut (impl AsyncRead + Unpin + Send),
    len: Option<u64>,
    most: u64,
) -> std::io::Result<Vec<u8>> {
    let len = match len {
        Some(len) => len,
        None => input.read_u64_le().await?,
    };
    if len > most {
        return Err(std::io::Error::other(format!("{len} bytes are too many")));
    }
    let mut bytes = Vec::new();
    input.take(len).read_to_end(&mut bytes).await?;
    if (bytes.len() as u64) < len {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn part(name: &str, kind: &str) -> Value {
        json!({
            "name": name, "id": name, "kind": kind, "digest": "", "entry": true, "concurrency": false,
            "config": {}, "host_imports": [],
        })
    }

    fn link((source, target, binding): &(&str, &str, &str)) -> Value {
        json!({
            "source": source, "target": target, "name": "default", "interfaces": [],
            "binding": binding, "why": "", "scope": "call", "timeout_ms": 1000,
            "timeout_given": false, "idempotent": false, "source_config": {}, "target_config": {},
        })
    }

    /// Components `a` to `h` and a provider. The workers have `a` and `c`.
    fn plan(links: &[(&str, &str, &str)]) -> Plan {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let mut components: Vec<_> = names.map(|name| part(name, "component")).into();
        components.push(part("provider", "provider"));
        serde_json::from_value(json!({
            "application": "app",
            "components": components,
            "links": links.iter().map(link).collect::<Vec<_>>(),
            "host_units": ["h"],
            "workers": [
                {"component": "a", "units": ["a", "b"]},
                {"component": "c", "units": ["c"]},
            ],
        }))
        .unwrap()
    }

    const LINKS: [(&str, &str, &str); 10] = [
        ("h", "a", "unix"),
        ("h", "g", "fused"),
        ("a", "b", "local"),
        ("a", "d", "fused"),
        ("d", "e", "fused"),
        ("b", "e", "fused"),
        ("e", "provider", "unix"),
        ("e", "c", "unix"),
        ("c", "f", "fused"),
        ("f", "provider", "unix"),
    ];

    /// Components, each with bytes and a world of its own.
    fn parts() -> Parts {
        let component = |name: &str| {
            let text = format!("(component (import \"of-{name}\" (func)))");
            let bytes: Arc<[u8]> = wat::parse_str(text).unwrap().into();
            let world = World::read(&bytes).unwrap().into();
            (name.to_owned(), ComponentPart { bytes, world })
        };
        Parts {
            folder: "/folder".into(),
            components: ["a", "b", "c", "d", "e", "f", "g", "h"]
                .map(component)
                .into(),
            ..Parts::default()
        }
    }

    /// The assignment that the worker at a place receives, and the number of bytes sent.
    async fn received(plan: &Plan, index: usize) -> (Assignment, Parts, usize) {
        let parts = parts();
        let worker = &plan.workers[index];
        let sockets = Path::new("/sockets");
        let sent = Assignment::new(plan, worker, &parts, sockets, &HostOptions::default());
        let mut bytes = sent.head().unwrap();
        sent.bodies(&parts).for_each(|body| bytes.extend(body));
        let mut input = bytes.as_slice();
        let (assignment, parts) = Assignment::read(&mut input).await.unwrap();
        assert!(input.is_empty(), "more was sent than is read");
        (assignment, parts, bytes.len())
    }

    #[tokio::test]
    async fn a_worker_is_sent_what_is_in_it_and_nothing_else() {
        let plan = plan(&LINKS);
        for (index, components, ends, links) in [
            (
                0,
                vec!["a", "b", "d", "e"],
                vec!["a", "b", "c", "d", "e", "h", "provider"],
                vec![0, 2, 3, 4, 5, 6, 7],
            ),
            (
                1,
                vec!["c", "f"],
                vec!["c", "e", "f", "provider"],
                vec![7, 8, 9],
            ),
        ] {
            let (assignment, parts, _) = received(&plan, index).await;
            let mut names: Vec<_> = parts.components.keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, components);
            let world = &parts.components[components[0]].world;
            assert_eq!(world.imports[0].name, format!("of-{}", components[0]));

            let own = &assignment.plan;
            let kept: Vec<_> = own.components.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(kept, ends);
            let expected: Vec<_> = links.iter().map(|i| plan.links[*i].clone()).collect();
            assert_eq!(own.links, expected);
            // The place of a worker in the plan names its socket.
            assert_eq!(own.workers, plan.workers);
        }
    }

    #[tokio::test]
    async fn what_is_in_no_worker_makes_no_assignment_longer() {
        let small = plan(&LINKS);
        let mut large = small.clone();
        for i in 0..100 {
            let mut other = small.components[7].clone();
            other.name = format!("other-{i}");
            let mut link = small.links[1].clone();
            link.target.clone_from(&other.name);
            large.components.push(other);
            large.links.push(link);
        }
        for index in 0..2 {
            let (_, _, few) = received(&small, index).await;
            let (_, _, many) = received(&large, index).await;
            assert_eq!(few, many);
        }
    }
}
