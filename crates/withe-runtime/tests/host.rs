//! Components find the interfaces that the host claims to give them.
//!
//! A component is made that imports every function and resource, which Wasmtime then checks one by one.

use std::sync::Arc;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};
use withe_linker::input::ConfigMap;
use withe_runtime::spec::{
    Identity, ImportSource, ImportSpec, Member, UnitGrants, UnitLimits, UnitSpec,
};
use withe_runtime::{EngineOptions, Engines, Graph, host_interfaces};
use withe_wit::World;

const WASI_2: &str = include_str!("../wit/wasi-0.2.wit");
const WASI_3: &str = include_str!("../wit/wasi-0.3.wit");
const OWN: &str = include_str!("../wit/host.wit");

/// A component with the imports of the world `host` of `wit`.
fn component(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("host.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("host")).unwrap();
    let mut module = wit_component::dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.module(&module).unwrap();
    encoder.validate(true).encode().unwrap()
}

/// Links the component to the host and nothing else.
fn link(bytes: Vec<u8>, concurrency: bool) -> Result<(), String> {
    let world = World::read(&bytes).unwrap();
    let import = |import: &withe_wit::Extern| ImportSpec {
        name: import.name.clone(),
        member: 0,
        original: import.name.clone(),
        interface: import.interface_name().map(ToString::to_string),
        rpc_errors: Vec::new(),
        source: ImportSource::Host,
    };
    let identity = Identity {
        application: "test".into(),
        component: "all".into(),
        config: ConfigMap::new(),
        secrets: Default::default(),
        env: Vec::new(),
    };
    let unit = UnitSpec {
        name: "all".into(),
        bytes: bytes.into(),
        concurrency,
        members: vec![Member {
            identity: Arc::new(identity),
            instances: None,
        }],
        imports: world.imports.iter().map(import).collect(),
        fused: Vec::new(),
        limits: UnitLimits::default(),
        grants: UnitGrants::default(),
    };
    let engines = Engines::new(&EngineOptions {
        instances: 5,
        ..EngineOptions::default()
    })
    .unwrap();
    match Graph::build(&engines, vec![unit], &|_| {}) {
        Ok(_) => Ok(()),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn every_function_and_type_is_there() {
    for wit in [WASI_2, WASI_3, OWN] {
        link(component(wit), true).unwrap();
    }
    for wit in [WASI_2, OWN] {
        link(component(wit), false).unwrap();
    }
}

/// A missing function is noticed: else the test above would prove nothing.
#[test]
fn what_is_not_there_is_noticed() {
    let more = OWN.replacen("get-all: func()", "get-none: func()", 1);
    let error = link(component(&more), false).unwrap_err();
    assert!(error.contains("get-none"), "{error}");
    let other = WASI_2.replacen("now: func() -> instant", "now: func() -> u32", 1);
    let error = link(component(&other), false).unwrap_err();
    assert!(error.contains("now"), "{error}");
}

/// Drafts of the same shape get the functions of the release.
#[test]
fn drafts_are_served_as_their_releases_are() {
    let draft = |wit: &str, release: &str, draft: &str| component(&wit.replace(release, draft));
    link(draft(WASI_2, "@0.2.12", "@0.2.0-rc-2023-12-05"), false).unwrap();
    link(draft(WASI_3, "@0.3.0", "@0.3.0-rc-2026-03-15"), true).unwrap();
    let config = OWN
        .replace(
            "wasi:config@0.2.0-rc.1",
            "wasi:config@0.2.0-draft-2024-09-27",
        )
        .replace(
            "wasi:config/store@0.2.0-rc.1",
            "wasi:config/store@0.2.0-draft-2024-09-27",
        );
    link(component(&config), false).unwrap();
}

/// WASI 0.3 without anything asynchronous needs no engine for it.
#[test]
fn synchronous_interfaces_of_wasi_3_run_on_either_engine() {
    let host = host_interfaces();
    let synchronous = host.imports.iter().filter(|import| {
        let version = import.interface_name().and_then(|n| n.version.clone());
        version.is_some_and(|v| (v.major, v.minor) == (0, 3)) && !import.is_asynchronous()
    });
    let names: Vec<_> = synchronous
        .map(|import| format!("import {};", import.name))
        .collect();
    assert!(
        names.iter().any(|name| name.contains("random")),
        "{names:?}"
    );
    for name in names {
        let start = WASI_3.find("world host {").unwrap();
        let end = start + WASI_3[start..].find('}').unwrap();
        let wit = format!(
            "{}world host {{ {name} {}",
            &WASI_3[..start],
            &WASI_3[end..]
        );
        // An interface whose resources an asynchronous one defines brings that along.
        let bytes = component(&wit);
        let world = World::read(&bytes).unwrap();
        if !world.uses_concurrency() {
            link(bytes, false).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

#[test]
fn labels_of_host_interfaces_are_served() {
    let wit = "package test:labels;
        world host {
            import dice: wasi:random/random@0.2.12;
            import other: wasi:random/random@0.2.12;
            import settings: wasi:config/store@0.2.0-rc.1;
        }";
    let packages = |wit: &str| wit[wit.find("\npackage wasi:").unwrap()..].to_owned();
    link(
        component(&format!("{wit}{}{}", packages(WASI_2), packages(OWN))),
        false,
    )
    .unwrap();
}
