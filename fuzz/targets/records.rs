//! Any bytes in the lattice are a record, or are passed over; a record that was read is written as it can be read
//! again, and what is kept of changes of links comes to the same as all of them. The first byte says which record it is.
//!
//! The files are those of `withe-node`, taken by their paths: the crate itself would bring Wasmtime with it.

#![no_main]

#[path = "../../crates/withe-node/src/links.rs"]
#[allow(dead_code, reason = "only a part of it reads records")]
mod links;
#[path = "../../crates/withe-node/src/records.rs"]
#[allow(dead_code, reason = "only a part of it reads records")]
mod records;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use withe_lattice::Entry;
use withe_linker::input::Application;

use links::LinkChange;
use records::{APPS, AppRecord, Deployment, HostRecord};

static SHOP: LazyLock<Application> = LazyLock::new(|| {
    let parsed = withe_manifest::parse(include_str!("../seeds/manifest/small.yaml"));
    parsed.application.expect("an application")
});

fn check<T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let entry = |value: &[u8]| Entry {
        key: "apps.shop".into(),
        value: value.to_vec().into(),
        revision: 1,
    };
    let record: T = records::read(&entry(bytes))?;
    let written = records::write(&record).expect("what was read can be written");
    assert_eq!(records::read(&entry(&written)), Some(record));
    records::read(&entry(&written))
}

/// The changes that are kept come to the same as all of them.
fn change_links(changes: impl Iterator<Item = LinkChange>) {
    let mut shop = SHOP.clone();
    let mut kept = Vec::new();
    for change in changes {
        if change.apply(&mut shop).is_ok() {
            links::add(&mut kept, change);
        }
    }
    let mut again = SHOP.clone();
    for change in &kept {
        change.apply_again(&mut again).expect("it was made before");
    }
    assert_eq!(links_of(&again), links_of(&shop), "{kept:?}");
}

/// All links, in any order.
fn links_of(application: &Application) -> BTreeSet<String> {
    let links = application.components.iter().flat_map(|part| &part.links);
    links.map(|link| format!("{link:?}")).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % 5 {
        0 => drop(check::<AppRecord>(bytes)),
        1 => drop(check::<Deployment>(bytes)),
        2 => drop(check::<HostRecord>(bytes)),
        3 => {
            let changes: Option<Vec<LinkChange>> = check(bytes);
            change_links(changes.into_iter().flatten());
        }
        _ => {
            let name = String::from_utf8_lossy(bytes);
            _ = records::name_of(APPS, &name);
            let key = records::key(APPS, &name);
            assert_eq!(records::name_of(APPS, &key), name);
        }
    }
});
