//! A provider's links: which it is to have, and which its process knows of.
//!
//! v1's links have no numbers. One is the same as another if it has the same ends, name and package, and a
//! provider passes over one that it has already. So what is told is the difference between what its process
//! was told before and what it is to have now. A link that changes is deleted and put, and put once more: which of the
//! first two a provider looks at first is not known.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedRwLockReadGuard};
use tokio::time::timeout;
use withe_provider::LinkId;

use super::control::{Control, TellError};
use super::definition::LinkDefinition;
use super::gates::Gates;

/// How long a provider that is told something of a link may take to look at it.
const NOTICE: Duration = Duration::from_secs(2);

/// How many answers to something else show that it has.
const ANSWERS: usize = 3;

/// How long calls under way may hold up the change of a link. Calls that take longer see the change.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// The links of one provider.
pub(super) struct Links {
    control: Control,
    gates: Gates,
    /// Held while the process is told something, so that it is told things in order. Telling takes a few times
    /// [`NOTICE`] at most.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    wanted: Wanted,
    /// The links that the running process knows; `None` if none listens.
    told: Option<Vec<LinkDefinition>>,
}

impl Links {
    pub(super) fn new(control: Control) -> Self {
        Self {
            control,
            gates: Gates::default(),
            known: Mutex::default(),
        }
    }

    /// Makes a link between the provider and `component`, or replaces the one of that number.
    ///
    /// # Errors
    ///
    /// If the process cannot be told.
    pub(super) async fn put(
        &self,
        link: LinkId,
        component: &str,
        definitions: Vec<LinkDefinition>,
    ) -> Result<(), TellError> {
        self.gates.add(link, component);
        let mut known = self.known.lock().await;
        known.wanted.put(link, definitions);
        self.tell(&mut known).await
    }

    /// Removes a link. A link that another number also has stays.
    ///
    /// # Errors
    ///
    /// If the process cannot be told.
    pub(super) async fn delete(&self, link: LinkId) -> Result<(), TellError> {
        let mut known = self.known.lock().await;
        known.wanted.delete(link);
        let told = self.tell(&mut known).await;
        self.gates.remove(link);
        told
    }

    /// Waits until the link is not being changed. While the returned guard is held, a change waits, though not for
    /// long.
    pub(super) async fn pass(&self, link: LinkId) -> Option<OwnedRwLockReadGuard<()>> {
        self.gates.pass(link).await
    }

    /// The links that a process starts with.
    pub(super) async fn all(&self) -> Vec<LinkDefinition> {
        self.known.lock().await.wanted.all()
    }

    /// The process that was started with `links` listens from now on; it is told of what changed since.
    ///
    /// # Errors
    ///
    /// If it cannot be told.
    pub(super) async fn listening(&self, links: Vec<LinkDefinition>) -> Result<(), TellError> {
        let mut known = self.known.lock().await;
        known.told = Some(links);
        self.tell(&mut known).await
    }

    /// The process has ended.
    pub(super) async fn ended(&self) {
        self.known.lock().await.told = None;
    }

    /// Tells the process of the links that it does not know to be as they are.
    async fn tell(&self, known: &mut Known) -> Result<(), TellError> {
        let Some(told) = &mut known.told else {
            return Ok(());
        };
        let now = known.wanted.all();
        let change = Change::between(told, &now);
        if change == Change::default() {
            return Ok(());
        }
        // Without its link a provider fails a component's calls, so they wait for the new one.
        let _closed = self.gates.close(&change.replaced(), UNDER_WAY).await;
        for link in &change.gone {
            self.control.delete_link(link).await?;
        }
        let replaces = !change.gone.is_empty() && !change.new.is_empty();
        if replaces {
            // The provider would ignore a link that it believes it still has.
            self.noticed().await;
        }
        for link in &change.new {
            self.control.put_link(link).await?;
        }
        self.noticed().await;
        if replaces {
            // v1's SDK takes puts and deletions from queues of their own, in no order: a link whose deletion came late has gone
            // with it. One that is there is passed over; or taken in anew where its component has links of several packages,
            // for the SDK remembers one of them.
            for link in &change.new {
                self.control.put_link(link).await?;
            }
            self.noticed().await;
        }
        *told = now;
        Ok(())
    }

    /// Gives the provider time to look at what it was told: it answers to nothing but this, and takes this from
    /// another queue, so that the first answer says little.
    async fn noticed(&self) {
        let answers = async {
            for _ in 0..ANSWERS {
                // The supervisor judges the provider's health, not this function.
                _ = self.control.health(NOTICE).await;
            }
        };
        // The provider is told in any case; the supervisor notices one that does not answer.
        _ = timeout(NOTICE, answers).await;
    }
}

/// The links that a provider is to have, in the order in which they were put.
#[derive(Default)]
struct Wanted(Vec<(LinkId, Arc<[LinkDefinition]>)>);

impl Wanted {
    fn put(&mut self, link: LinkId, definitions: Vec<LinkDefinition>) {
        self.delete(link);
        self.0.push((link, definitions.into()));
    }

    fn delete(&mut self, link: LinkId) {
        self.0.retain(|(known, _)| *known != link);
    }

    /// The links that v1 has for all of them. Of several that are the same link there, it is the last.
    fn all(&self) -> Vec<LinkDefinition> {
        let mut seen = BTreeSet::new();
        let newest_first = self.0.iter().rev().flat_map(|(_, links)| links.iter());
        newest_first
            .filter(|link| seen.insert((link.ends(), &link.wit_namespace, &link.wit_package)))
            .cloned()
            .collect()
    }
}

/// The change to tell a process of.
#[derive(Debug, Default, PartialEq)]
struct Change {
    gone: Vec<LinkDefinition>,
    new: Vec<LinkDefinition>,
}

impl Change {
    fn between(before: &[LinkDefinition], after: &[LinkDefinition]) -> Self {
        let gone: Vec<_> = (before.iter())
            .filter(|link| !after.contains(link))
            .cloned()
            .collect();
        // A provider that is told of a link's end is not told of which package, and forgets all that the two
        // have under that name.
        let forgotten: BTreeSet<_> = gone.iter().map(LinkDefinition::ends).collect();
        let new = (after.iter())
            .filter(|link| !before.contains(link) || forgotten.contains(&link.ends()))
            .cloned()
            .collect();
        Self { gone, new }
    }

    /// The components whose links to the provider end and begin anew.
    fn replaced(&self) -> BTreeSet<&str> {
        let new: BTreeSet<_> = self.new.iter().map(LinkDefinition::ends).collect();
        (self.gone.iter())
            .filter(|link| new.contains(&link.ends()))
            .map(|link| link.source_id.as_str())
            .collect()
    }
}

impl LinkDefinition {
    /// The key by which a provider ends a link: its source, target and name.
    fn ends(&self) -> (&str, &str, &str) {
        (&self.source_id, &self.target, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: LinkId = LinkId(1);
    const NEW: LinkId = LinkId(2);

    /// A link of the component `cart` to the provider `store`.
    fn link(package: &str, config: &str) -> LinkDefinition {
        LinkDefinition {
            source_id: "cart".into(),
            target: "store".into(),
            name: "default".into(),
            wit_namespace: "wasi".into(),
            wit_package: package.into(),
            interfaces: vec!["store".into()],
            source_config: Default::default(),
            target_config: [("url".to_owned(), config.to_owned())].into(),
            source_secrets: Default::default(),
            target_secrets: Default::default(),
        }
    }

    /// The change that is told when `change` is made to `links`.
    fn told(links: &mut Wanted, change: impl FnOnce(&mut Wanted)) -> Change {
        let before = links.all();
        change(links);
        Change::between(&before, &links.all())
    }

    #[test]
    fn a_link_under_a_new_number_takes_the_place_of_the_old() {
        let mut links = Wanted::default();
        let (old, new) = (link("keyvalue", "a"), link("keyvalue", "b"));
        let first = told(&mut links, |links| links.put(OLD, vec![old.clone()]));
        assert_eq!((first.gone.len(), &first.new), (0, &vec![old.clone()]));

        let second = told(&mut links, |links| links.put(NEW, vec![new.clone()]));
        assert_eq!(second.gone, [old]);
        assert_eq!(second.new, [new]);
        assert_eq!(second.replaced(), ["cart"].into());

        let third = told(&mut links, |links| links.delete(OLD));
        assert_eq!(third, Change::default());
    }

    #[test]
    fn the_same_link_under_a_new_number_is_not_told() {
        let mut links = Wanted::default();
        let same = || vec![link("keyvalue", "a")];
        links.put(OLD, same());
        assert_eq!(
            told(&mut links, |links| links.put(NEW, same())),
            Change::default()
        );
        assert_eq!(
            told(&mut links, |links| links.delete(OLD)),
            Change::default()
        );
        let last = told(&mut links, |links| links.delete(NEW));
        assert_eq!((last.gone, last.new), (same(), vec![]));
    }

    #[test]
    fn the_old_link_is_back_when_the_new_one_goes_first() {
        let mut links = Wanted::default();
        let (old, new) = (link("keyvalue", "a"), link("keyvalue", "b"));
        links.put(OLD, vec![old.clone()]);
        links.put(NEW, vec![new.clone()]);
        let back = told(&mut links, |links| links.delete(NEW));
        assert_eq!((back.gone, back.new), (vec![new], vec![old]));
    }

    #[test]
    fn what_a_provider_forgets_with_another_package_is_put_again() {
        let mut links = Wanted::default();
        let kept = link("keyvalue", "a");
        let config = link("config", "a");
        let elsewhere = LinkDefinition {
            name: "cache".into(),
            ..link("keyvalue", "a")
        };
        links.put(OLD, vec![kept.clone(), config.clone()]);
        links.put(LinkId(3), vec![elsewhere]);
        let change = told(&mut links, |links| {
            links.put(NEW, vec![kept.clone()]);
            links.delete(OLD);
        });
        assert_eq!((change.gone, change.new), (vec![config], vec![kept]));
    }

    #[test]
    fn a_link_that_only_ends_keeps_nobody_waiting() {
        let mut links = Wanted::default();
        links.put(OLD, vec![link("keyvalue", "a")]);
        let change = told(&mut links, |links| links.delete(OLD));
        assert_eq!(change.replaced(), BTreeSet::new());
    }
}
