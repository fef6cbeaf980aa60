//! Tests the packages that requests lead to.

use std::collections::BTreeMap;
use std::path::Path;

use semver::Version;
use wit_parser::{Resolve, SourceMap};

use super::packages::texts;
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
