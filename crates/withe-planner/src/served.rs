//! The parts that a host serves to others.

use std::collections::BTreeSet;

use crate::{Assignment, Wish};

/// Parts that other hosts call on `host`: where a part's caller runs somewhere that the part does not.
pub fn served(assignment: &Assignment, wish: &Wish, host: &str) -> BTreeSet<String> {
    let hosts: Vec<_> = (wish.parts.iter())
        .map(|part| assignment.get(&part.name))
        .collect();
    let is_called = |(source, target): &(usize, usize)| {
        let (Some(callers), Some(own)) = (hosts[*source], hosts[*target]) else {
            return false;
        };
        own.contains_key(host) && callers.keys().any(|caller| !own.contains_key(caller))
    };
    let called: BTreeSet<usize> = (wish.links.iter().copied())
        .filter(is_called)
        .map(|(_, target)| target)
        .collect();
    let names = called.into_iter().map(|part| wish.parts[part].name.clone());
    names.collect()
}
