//! Tests the packages that requests lead to.

use std::collections::BTreeMap;
use std::path::Path;

use semver::Version;

use super::packages::{Extent, Selected, parse, texts};
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
fn standard_packages_go_together_in_an_older_release() {
    let all = texts_of(
        &["wasi:http", "wasi:keyvalue", "wasi:cli", "wasi:blobstore"],
        "0.2.10",
    );
    for name in ["wasi:http@0.2.10", "wasi:cli@0.2.10", "wasi:io@0.2.10"] {
        assert!(all.contains_key(name), "{name}: {:?}", all.keys());
    }
    assert!(
        !all.keys().any(|name| name.starts_with("withe:")),
        "{:?}",
        all.keys()
    );
}

/// The tree of texts of packages, the last of which uses the others.
fn selected(texts: &[&str], extent: Extent) -> Selected {
    let (resolve, id) = parse(texts).unwrap_or_else(|e| panic!("{e:#}"));
    Selected::new(&resolve, &[id], extent).unwrap()
}

/// A package of a registry: the last alone is whole.
fn tree(texts: &[&str]) -> Selected {
    selected(texts, Extent::Requested)
}

/// The exports of a component.
fn component(texts: &[&str]) -> Selected {
    selected(texts, Extent::Parts)
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
        "`acme:cart@1.0.0` uses a `acme:money@1.0.0` that is not the one of its registry, or of Withe: `types` has the function `steal` \
         besides; whoever publishes `acme:cart@1.0.0` has to build it with that one"
    );
    // In whatever order, and by a component that has only a part of what it exports.
    assert!(texts(vec![tree(&[&more, CART]), money()], &wasi).is_err());
    let component = component(&[&more, CART]);
    assert!(texts(vec![component, money()], &wasi).is_err());
    // Nor a world.
    let world = format!("{MONEY}world w {{}}\n");
    let refused = texts(vec![money(), tree(&[&world, CART])], &wasi).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("the world `w` is there besides"),
        "{refused}"
    );
}

#[test]
fn a_package_that_was_built_with_other_types_of_another_is_refused() {
    let wasi = Version::new(0, 2, 12);
    let other = MONEY.replace("cents = u64", "cents = s64");
    let refused = texts(vec![tree(&[MONEY]), tree(&[&other, CART])], &wasi).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`acme:cart@1.0.0` uses a `acme:money@1.0.0` that is not the one of its registry, or of Withe: `types` has another type \
         `cents`; whoever publishes `acme:cart@1.0.0` has to build it with that one"
    );
    assert!(texts(vec![tree(&[&other, CART]), tree(&[MONEY])], &wasi).is_err());

    // Of two components neither has the whole package.
    let shop = CART.replace("cart", "shop");
    let components = || vec![component(&[MONEY, CART]), component(&[&other, &shop])];
    let refused = texts(components(), &wasi).unwrap_err().to_string();
    for said in [
        "`acme:cart@1.0.0` and `acme:shop@1.0.0` were built with different packages `acme:money@1.0.0`",
        "of `acme:shop@1.0.0`, `types` has another type `cents`",
    ] {
        assert!(refused.contains(said), "{refused}");
    }

    // A resource of another interface is another type, and an alias is none.
    let types = |body: &str| {
        format!(
            "package acme:money@1.0.0;\ninterface owner {{ resource purse; }}\ninterface types {{ {body} }}\n"
        )
    };
    let user = "package acme:cart@1.0.0;\ninterface cart { use acme:money/types@1.0.0.{purse}; }\n";
    let own = types("resource purse;");
    let foreign = types("use owner.{purse};");
    let refused = texts(vec![tree(&[&own]), tree(&[&foreign, user])], &wasi);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("another type `purse`")
    );
    let renamed = types("use owner.{purse as bag}; type purse = bag;");
    texts(vec![tree(&[&renamed]), tree(&[&foreign, user])], &wasi).unwrap();
}

#[test]
fn what_a_component_imports_need_not_go_together_with_what_others_export() {
    let wasi = Version::new(0, 2, 12);
    let world = "package root:component;\nworld root { import acme:money/types@1.0.0; export acme:cart/cart@1.0.0; }\n";
    let cart = "package acme:cart@1.0.0;\ninterface cart { total: func() -> u32; }\n";
    let other = MONEY.replace("cents = u64", "cents = s64");
    let (resolve, root) = parse(&[&other, cart, world]).unwrap();
    let mut packages = resolve.packages.iter();
    let (cart, _) = packages.find(|(_, p)| p.name.name == "cart").unwrap();
    assert_ne!(cart, root);
    let component = Selected::new(&resolve, &[cart], Extent::Parts).unwrap();
    let together = texts(vec![component, tree(&[MONEY])], &wasi).unwrap();
    assert_eq!(together.len(), 2);
    assert!(together["acme:money@1.0.0"].contains("cents = u64"));
}

/// A package that uses two others, which were built with different releases of WASI 0.2.
fn two_releases(new: &str) -> [String; 5] {
    let io = |version: &str, method: &str| {
        format!(
            "package wasi:io@{version};\ninterface streams {{ resource output-stream {{ {method}: func(); }} }}\n"
        )
    };
    let printer = |name: &str, version: &str| {
        format!(
            "package acme:{name}@1.0.0;\ninterface print {{ use wasi:io/streams@{version}.{{output-stream}}; to: func() -> output-stream; }}\n"
        )
    };
    let shop = format!(
        "package acme:shop@1.0.0;
        interface shop {{ use acme:old/print@1.0.0.{{output-stream}}; use acme:new/print@1.0.0.{{output-stream as other}}; }}
        world user {{
          import wasi:io/streams@0.2.0;
          import wasi:io/streams@{new};
          export shop;
        }}"
    );
    // Neither uses all of it.
    [
        io("0.2.0", "flush"),
        io(new, "write-zeroes"),
        printer("old", "0.2.0"),
        printer("new", new),
        shop,
    ]
}

#[test]
fn two_releases_of_wasi_0_2_in_one_tree_are_one_where_a_newer_one_is_here() {
    let wasi = Version::new(0, 2, 10);
    let io = || {
        let signature = |name: &str| format!("{name}: func();");
        let methods: String = ["flush", "splice", "write-zeroes"].map(signature).concat();
        let io = format!(
            "package wasi:io@0.2.12;\ninterface streams {{ resource output-stream {{ {methods} }} }}\n"
        );
        selected(&[&io], Extent::Everything)
    };
    let packages = two_releases("0.2.6");
    let packages = packages.each_ref().map(String::as_str);
    for extent in [Extent::Requested, Extent::Parts] {
        let shop = selected(&packages, extent);
        assert_eq!(
            shop.twice()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["wasi:io@0.2.6"]
        );
        let together = texts(vec![io(), shop], &wasi).unwrap();
        let names: Vec<_> = together.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "acme:new@1.0.0",
                "acme:old@1.0.0",
                "acme:shop@1.0.0",
                "wasi:io@0.2.10"
            ]
        );
        assert!(together["wasi:io@0.2.10"].contains("splice"));
        let shop = &together["acme:shop@1.0.0"];
        assert_eq!(
            shop.matches("import wasi:io/streams@0.2.10;").count(),
            1,
            "{shop}"
        );
        let all: Vec<_> = together.values().map(String::as_str).collect();
        parse(&all).unwrap_or_else(|e| panic!("{e:#}"));
    }
}

#[test]
fn two_releases_of_wasi_0_2_of_which_none_is_here_are_refused_by_name() {
    let packages = two_releases("0.2.99");
    let packages = packages.each_ref().map(String::as_str);
    let refused = |others: Vec<Selected>| {
        let all = others.into_iter().chain([component(&packages)]).collect();
        texts(all, &Version::new(0, 2, 12)).unwrap_err().to_string()
    };
    let none = refused(Vec::new());
    assert!(
        none.contains("`wasi:io` in two releases of WASI 0.2"),
        "{none}"
    );
    // Another thing than the newest release has.
    let io = "package wasi:io@0.2.99;\ninterface streams { resource output-stream { flush: func(); } }\n";
    let less = refused(vec![selected(&[io], Extent::Everything)]);
    assert!(
        less.contains("[method]output-stream.write-zeroes"),
        "{less}"
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
        let texts: Vec<_> = texts.values().map(String::as_str).collect();
        parse(&texts).unwrap_or_else(|e| panic!("{wanted}: {e:#}"));
    }
}
