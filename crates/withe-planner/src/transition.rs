//! From where parts run to where they are to run.

use std::collections::BTreeSet;

use crate::Assignment;

/// The next assignment on the way from `current` to `wanted`: a part keeps those of its hosts that it is to
/// leave until it is `ready` (part, host) on all that it is to have. Hosts that are not `alive` are left at
/// once.
pub fn transition(
    current: &Assignment,
    wanted: &Assignment,
    alive: &BTreeSet<String>,
    ready: impl Fn(&str, &str) -> bool,
) -> Assignment {
    let mut next = wanted.clone();
    for (part, hosts) in &mut next {
        let is_ready = !hosts.is_empty() && hosts.keys().all(|host| ready(part, host));
        if is_ready {
            continue;
        }
        let before = current.get(part).into_iter().flatten();
        for (host, share) in before.filter(|(host, _)| alive.contains(*host)) {
            hosts.entry(host.clone()).or_insert(*share);
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Share;

    fn on(hosts: &[&str]) -> Assignment {
        let shares = hosts.iter().map(|h| ((*h).to_owned(), Share::default()));
        BTreeMap::from([("shop".to_owned(), shares.collect())])
    }

    fn hosts(assignment: &Assignment) -> Vec<&str> {
        assignment["shop"].keys().map(String::as_str).collect()
    }

    #[test]
    fn hosts_are_left_when_the_new_ones_are_ready() {
        let alive = ["a", "b", "c"].map(str::to_owned).into();
        let (old, new) = (on(&["a", "b"]), on(&["b", "c"]));
        let next = transition(&old, &new, &alive, |_, host| host == "b");
        assert_eq!(hosts(&next), ["a", "b", "c"]);
        let next = transition(&next, &new, &alive, |_, _| true);
        assert_eq!(hosts(&next), ["b", "c"]);
    }

    #[test]
    fn hosts_that_are_gone_are_left_at_once() {
        let alive = BTreeSet::from(["c".to_owned()]);
        let next = transition(&on(&["a"]), &on(&["c"]), &alive, |_, _| false);
        assert_eq!(hosts(&next), ["c"]);
    }

    #[test]
    fn a_part_that_no_host_may_run_any_more_stays_where_it_is() {
        let alive = BTreeSet::from(["a".to_owned()]);
        let next = transition(&on(&["a"]), &on(&[]), &alive, |_, _| true);
        assert_eq!(hosts(&next), ["a"]);
        // One that is no longer asked for does not.
        let next = transition(&on(&["a"]), &Assignment::new(), &alive, |_, _| true);
        assert!(next.is_empty());
    }
}
