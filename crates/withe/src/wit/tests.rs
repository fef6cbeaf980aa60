//! Tests the packages that requests lead to.

use std::collections::BTreeMap;
use std::path::Path;

use semver::Version;
use wit_parser::{Resolve, SourceMap};

use super::packages::{Selected, texts};
use super::sources::{Sources, WitRequest, listed};
use crate::providers;

fn sources() -> Sources {
    Sources::new(providers::registry().unwrap(), Path::new("."), None).unwrap()
}

fn request(from: &str) -> WitRequest {
    WitRequest {
        from: from.into(),
        part: None,
    }
}

fn texts_of(from: &[&str], wasi: &str) -> BTreeMap<String, String> {
    let mut sources = sources();
    let selected = from
        .iter()
        .flat_map(|from| sources.read(&request(from)).unwrap());
    texts(selected.collect(), &Version::parse(wasi).unwrap()).unwrap()
}

#[test]
fn wasi_is_printed_in_the_version_that_is_asked_for_with_all_that_it_uses() {
    let texts = texts_of(&["wasi:http", "withe:keyvalue"], "0.2.10");
    let names: Vec<_> = texts.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "wasi:clocks@0.2.10",
            "wasi:http@0.2.10",
            "wasi:io@0.2.10",
            "wasi:keyvalue@0.2.0-draft",
            "wasi:keyvalue@0.2.0-draft2"
        ]
    );
    let http = &texts["wasi:http@0.2.10"];
    assert!(http.contains("interface incoming-handler"), "{http}");
    assert!(http.contains("use wasi:io/streams@0.2.10."), "{http}");
    assert!(!http.contains("0.2.12"), "{http}");
}

/// The tree of texts of packages, the last of which uses the others; that one alone is whole.
fn tree(texts: &[&str]) -> Selected {
    let mut groups: Vec<_> = (texts.iter())
        .map(|text| {
            let mut map = SourceMap::default();
            map.push_str("package", *text);
            map.parse()
                .unwrap_or_else(|(map, e)| panic!("{}", e.render(&map)))
        })
        .collect();
    let main = groups.pop().unwrap();
    let mut resolve = Resolve {
        all_features: true,
        ..Resolve::default()
    };
    let id = resolve.push_groups(main, groups);
    let id = id.unwrap_or_else(|e| panic!("{}", e.render(&resolve.source_map)));
    Selected {
        packages: vec![id],
        whole: [id].into(),
        resolve,
    }
}

const MONEY: &str =
    "package acme:money@1.0.0;\ninterface types { type cents = u64; zero: func() -> cents; }\n";
const CART: &str =
    "package acme:cart@1.0.0;\ninterface cart { use acme:money/types@1.0.0.{cents}; }\n";

#[test]
fn a_package_does_not_put_functions_into_those_that_it_uses() {
    let wasi = Version::new(0, 2, 12);
    let money = || tree(&[MONEY]);
    let part = "package acme:money@1.0.0;\ninterface types { type cents = u64; }\n";
    let together = texts(vec![money(), tree(&[part, CART])], &wasi).unwrap();
    assert!(together["acme:money@1.0.0"].contains("zero"));

    let more = MONEY.replace("zero", "steal");
    let refused = texts(vec![money(), tree(&[&more, CART])], &wasi).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`acme:cart@1.0.0` uses a `acme:money@1.0.0` that is not the one of its registry, or of Withe; whoever publishes \
         `acme:cart@1.0.0` has to build it with that one"
    );
    // In whatever order, and by a component that has only a part of what it exports.
    assert!(texts(vec![tree(&[&more, CART]), money()], &wasi).is_err());
    let mut component = tree(&[&more, CART]);
    component.whole.clear();
    assert!(texts(vec![component, money()], &wasi).is_err());
}

#[test]
fn two_versions_of_wasi_0_2_in_one_tree_are_refused_by_name() {
    let io = |version: &str| {
        format!("package wasi:io@{version};\ninterface streams {{ type t = u8; }}\n")
    };
    let user = "package acme:cart@1.0.0;
        interface old { use wasi:io/streams@0.2.6.{t}; }
        interface new { use wasi:io/streams@0.2.9.{t}; }";
    let tree = tree(&[&io("0.2.6"), &io("0.2.9"), user]);
    let refused = texts(vec![tree], &Version::new(0, 2, 12)).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("both `wasi:io@0.2.6` and `wasi:io@0.2.9`"),
        "{refused}"
    );
}

#[test]
fn the_usual_version_is_that_of_wasi_0_2_and_others_are_there_by_name() {
    let names = |from: &str| texts_of(&[from], "0.2.12").into_keys().collect::<Vec<_>>();
    assert!(names("wasi:http").contains(&"wasi:http@0.2.12".to_owned()));
    assert!(names("wasi:http@0.3").contains(&"wasi:http@0.3.0".to_owned()));
    assert!(names("wasi:http@0.2.4").contains(&"wasi:http@0.2.12".to_owned()));
    assert_eq!(names("wasi:config@0.2.0-rc.1"), ["wasi:config@0.2.0-rc.1"]);
    let error = |from: &str| sources().read(&request(from)).unwrap_err().to_string();
    assert!(error("wasi:http@0.2.99").contains("wasi:http@0.2.12"));
    assert!(error("wasi:nothing").contains("`withe wit show`"));
    assert!(error("nothing").contains("neither the name"));
    assert!(error("withe:nothing").contains("`withe:keyvalue`"));
}

#[test]
fn every_package_that_comes_with_the_command_can_be_read_again() {
    let sources = sources();
    for (_, name) in listed(sources.standard()) {
        let version = name
            .version
            .as_ref()
            .map(|v| format!("@{v}"))
            .unwrap_or_default();
        let wanted = format!("{}:{}{version}", name.namespace, name.name);
        let texts = texts_of(&[&wanted], "0.2.10");
        let mut resolve = Resolve {
            all_features: true,
            ..Resolve::default()
        };
        let groups = texts.iter().map(|(name, text)| {
            let mut map = SourceMap::default();
            map.push_str(name, text.clone());
            map.parse()
                .unwrap_or_else(|(map, e)| panic!("{}", e.render(&map)))
        });
        let mut groups: Vec<_> = groups.collect();
        let main = groups.pop().unwrap();
        if let Err(error) = resolve.push_groups(main, groups) {
            panic!("{wanted}: {}", error.render(&resolve.source_map));
        }
    }
}
