//! Random interfaces that use one another's types, spread over components: whatever the linker fuses can be
//! fused, and whatever can be plugged is a valid component.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use support::*;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions};
use withe_compose::{Constituent, FuseWire, LinkError, PlugProblem, plug};
use withe_linker::input::{Inputs, LinkDefaults, Part, Placement};
use withe_linker::plan::{Binding, Plan};
use withe_wit::World;

/// Choices, made one after the other; `0` when they have run out.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % n.max(1)
    }

    fn of<'t, T>(&mut self, all: &'t [T]) -> Option<&'t T> {
        all.get(self.below(all.len()))
    }
}

/// A type that can be named in an interface or a world.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    is_resource: bool,
}

/// A package, and the worlds of three components, each of which may import what later ones export.
#[derive(Debug)]
struct Generated {
    package: String,
    worlds: [String; 3],
}

fn generate(choices: &[u8]) -> Generated {
    let mut choices = Choices(choices.iter());
    let mut package = String::from("package ex:t@1.0.0 {\n");
    let mut scopes: Vec<Vec<Named>> = Vec::new();
    for index in 0..2 + choices.below(4) {
        let (text, scope) = interface(index, &scopes, &mut choices);
        package += &text;
        scopes.push(scope);
    }
    package += "}\n";
    // Each interface is exported by at most one of those behind the root.
    let owners: Vec<usize> = scopes.iter().map(|_| choices.below(3)).collect();
    let worlds = [0, 1, 2].map(|part| world(part, &owners, &scopes, &mut choices));
    Generated { package, worlds }
}

fn interface(
    index: usize,
    before: &[Vec<Named>],
    choices: &mut Choices<'_>,
) -> (String, Vec<Named>) {
    let mut text = format!("interface i{index} {{\n");
    let mut scope: Vec<Named> = Vec::new();
    for _ in 0..choices.below(4) {
        let from = choices.below(before.len());
        let Some(used) = before
            .get(from)
            .and_then(|scope| choices.of(scope))
            .cloned()
        else {
            continue;
        };
        let name = match choices.below(2) {
            0 => used.name.clone(),
            _ => format!("{}-by-i{index}", used.name),
        };
        if scope.iter().any(|named| named.name == name) {
            continue;
        }
        let _ = match used.name == name {
            true => writeln!(text, "use i{from}.{{{name}}};"),
            false => writeln!(text, "use i{from}.{{{} as {name}}};", used.name),
        };
        scope.push(Named { name, ..used });
    }
    for n in 0..1 + choices.below(3) {
        let name = format!("t{index}-{n}");
        let mut ty = || value(&scope, choices, 2);
        let (a, b) = (ty(), ty());
        let kind = choices.below(7);
        let _ = match kind {
            0 | 1 => writeln!(text, "record {name} {{ a: {a}, b: {b} }}"),
            2 => writeln!(text, "variant {name} {{ a, b({b}) }}"),
            3 => writeln!(text, "enum {name} {{ a, b }}"),
            4 => writeln!(text, "flags {name} {{ a, b }}"),
            5 => writeln!(text, "type {name} = {a};"),
            _ => writeln!(
                text,
                "resource {name} {{ constructor(a: {a}); get: func() -> {b}; }}"
            ),
        };
        let is_resource = kind == 6;
        scope.push(Named { name, is_resource });
    }
    for n in 0..choices.below(3) {
        let _ = writeln!(text, "f{index}-{n}: {}", function(&scope, choices));
    }
    text += "}\n";
    (text, scope)
}

fn function(scope: &[Named], choices: &mut Choices<'_>) -> String {
    let (a, result) = (value(scope, choices, 2), value(scope, choices, 2));
    let resources: Vec<_> = scope.iter().filter(|named| named.is_resource).collect();
    match choices.of(&resources) {
        Some(resource) if choices.below(2) == 0 => {
            format!("func(a: {a}, b: borrow<{}>) -> {result};", resource.name)
        }
        _ => format!("func(a: {a}) -> {result};"),
    }
}

fn value(scope: &[Named], choices: &mut Choices<'_>, depth: usize) -> String {
    match choices.below(if depth == 0 { 5 } else { 9 }) {
        0 => "u32".into(),
        1 => "string".into(),
        5 => format!("list<{}>", value(scope, choices, depth - 1)),
        6 => format!("option<{}>", value(scope, choices, depth - 1)),
        7 => format!("result<{}>", value(scope, choices, depth - 1)),
        8 => format!("tuple<u8, {}>", value(scope, choices, depth - 1)),
        _ => match choices.of(scope) {
            Some(named) => named.name.clone(),
            None => "char".into(),
        },
    }
}

/// `owners` says of each interface which part exports it. The root may export any of them besides.
fn world(
    part: usize,
    owners: &[usize],
    scopes: &[Vec<Named>],
    choices: &mut Choices<'_>,
) -> String {
    let mut items = String::new();
    for (interface, owner) in owners.iter().enumerate() {
        if *owner == part {
            let _ = writeln!(items, "export ex:t/i{interface}@1.0.0;");
        } else if choices.below(3) > 0 {
            let _ = writeln!(items, "import ex:t/i{interface}@1.0.0;");
        }
    }
    if part == 0 {
        let mut scope = Vec::new();
        for _ in 0..choices.below(3) {
            let from = choices.below(scopes.len());
            let used = choices.of(&scopes[from]).cloned();
            let used = used.filter(|used| scope.iter().all(|n: &Named| n.name != used.name));
            if let Some(used) = used {
                let _ = writeln!(items, "use ex:t/i{from}@1.0.0.{{{}}};", used.name);
                scope.push(used);
            }
        }
        let _ = writeln!(items, "export run: {}", function(&scope, choices));
    }
    items
}

fn plug_with_wac(parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let packages = parts.iter().enumerate().map(|(i, bytes)| {
        let name = format!("test:p{i}");
        let package = Package::from_bytes(&name, None, bytes.clone(), graph.types_mut()).ok()?;
        graph.register_package(package).ok()
    });
    let packages: Vec<_> = packages.collect::<Option<_>>()?;
    wac_graph::plug(&mut graph, packages[1..].to_vec(), packages[0]).ok()?;
    let options = EncodeOptions {
        define_components: true,
        validate: true,
        processor: None,
    };
    graph.encode(options).ok()
}

const MANIFEST: &str = "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: app}
spec:
  components:
    - name: p0
      type: component
      properties: {image: ./p0.wasm}
      traits:
        - {type: link, properties: {target: p1}}
        - {type: link, properties: {target: p2}}
    - name: p1
      type: component
      properties: {image: ./p1.wasm}
      traits: [{type: link, properties: {target: p2}}]
    - name: p2
      type: component
      properties: {image: ./p2.wasm}
";

/// The plan of the three, if they can be linked at all. The host is one that has what no link gives.
fn plan(parts: &[Vec<u8>]) -> Option<Plan> {
    let worlds: Vec<_> = parts
        .iter()
        .map(|bytes| Arc::new(World::read(bytes).unwrap()))
        .collect();
    let exported: BTreeSet<_> = worlds[1..]
        .iter()
        .flat_map(|world| &world.exports)
        .map(|export| export.name.as_str())
        .collect();
    let mut host = World::default();
    for import in worlds.iter().flat_map(|world| &world.imports) {
        let is_linked = exported.contains(import.name.as_str());
        if !is_linked && host.import(&import.name).is_none() {
            host.imports.push(import.clone());
        }
    }
    let mut application = withe_manifest::parse(MANIFEST).application.unwrap();
    // A link that satisfies nothing is an error of its own.
    for (source, component) in application.components.iter_mut().enumerate() {
        component.links.retain(|link| {
            let target = usize::from(link.target.value == "p2") + 1;
            let exports = &worlds[target].exports;
            let imports = worlds[source].imports.iter().filter(|i| !i.is_types_only());
            imports
                .into_iter()
                .any(|i| exports.iter().any(|e| e.name == i.name))
        });
    }
    let inputs = Inputs {
        application: Arc::new(application),
        parts: worlds
            .iter()
            .enumerate()
            .map(|(i, world)| Part::Component {
                world: world.clone(),
                digest: format!("sha256:{i}"),
                check_config: None,
            })
            .collect(),
        host: Arc::new(host),
        called: ["p0", "p1", "p2"].map(Into::into).into(),
        defaults: LinkDefaults::default(),
        placement: Placement::default(),
    };
    withe_linker::link(&inputs).plan
}

/// The composition under the component `name`, as a host makes it.
fn composition(plan: &Plan, name: &str, parts: &[Vec<u8>]) -> (Vec<Constituent>, Vec<FuseWire>) {
    let mut names = vec![name];
    let mut wires = Vec::new();
    let mut at = 0;
    while let Some(name) = names.get(at).copied() {
        for link in &plan.links {
            if link.source == name && link.binding == Binding::Fused {
                wires.extend(link.interfaces.iter().map(|interface| FuseWire {
                    importer: at,
                    import: interface.import.clone(),
                    exporter: names.len(),
                    export: interface.export.clone(),
                }));
                names.push(&link.target);
            }
        }
        at += 1;
    }
    let part = |name: &str| &parts[usize::from(name.as_bytes()[1] - b'0')];
    let constituents = names.iter().enumerate().map(|(i, name)| Constituent {
        label: format!("{name}-n{i}"),
        name: (*name).to_owned(),
        bytes: part(name).as_slice().into(),
    });
    (constituents.collect(), wires)
}

/// Whether a problem stands in the way of plugging whatever the types of these components are.
fn is_expected(problem: &PlugProblem, worlds: &[World]) -> bool {
    match problem {
        PlugProblem::Useless { .. } => true,
        PlugProblem::Link(LinkError::Cycle { .. }) => true,
        // One importer has the resource of a plug, another that of the composition's own importer.
        PlugProblem::Link(LinkError::Disagreement { .. }) => true,
        // Only an import cannot name what is inside.
        PlugProblem::Link(LinkError::HiddenResource { extern_name, .. }) => worlds
            .iter()
            .any(|world| world.import(extern_name).is_some()),
        _ => false,
    }
}

#[test]
fn whatever_is_used() {
    let config = ProptestConfig {
        failure_persistence: None,
        max_global_rejects: 4000,
        ..ProptestConfig::with_cases(400)
    };
    // The same ones each time: a case that nobody has seen is for a person to look into, and must not stop an
    // unrelated change.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let choices = prop::collection::vec(any::<u8>(), 20..160);
    let result = runner.run(&choices, |choices| {
        let generated = generate(&choices);
        let parts: Result<Vec<Vec<u8>>, _> = generated
            .worlds
            .iter()
            .map(|items| component_with(items, &generated.package))
            .collect();
        // WIT refuses a world that exports an interface and one that uses it by way of an import.
        let parts = parts.map_err(|e| TestCaseError::reject(e.to_string()))?;
        let text = || format!("{}\n{}", generated.package, generated.worlds.join("--\n"));

        if let Some(plan) = plan(&parts) {
            for component in plan.components.iter().filter(|c| c.entry) {
                let (constituents, wires) = composition(&plan, &component.name, &parts);
                let request = withe_compose::FuseRequest {
                    constituents,
                    wires,
                };
                let fused = withe_compose::fuse(&request, &|_| false)
                    .unwrap_or_else(|e| panic!("{}: {e}\n{}", component.name, text()));
                assert_valid(&fused.bytes);
            }
        }

        let plugs: Vec<_> = (1..3)
            .map(|i| (format!("p{i}"), parts[i].clone()))
            .collect();
        match plug(("p0", &parts[0]), &plugs) {
            Ok(bytes) => {
                assert_valid(&bytes);
                World::read(&bytes).unwrap();
            }
            Err(error) => {
                let worlds: Vec<_> = parts
                    .iter()
                    .map(|bytes| World::read(bytes).unwrap())
                    .collect();
                for problem in &error.problems {
                    let is_excused = is_expected(problem, &worlds);
                    prop_assert!(is_excused, "{problem}\n{}", text());
                }
                // Wac plugs into the socket only, and takes what is of no use: so it neither hides nor
                // has to share what one plug has of another.
                let is_ours = |p: &PlugProblem| {
                    use PlugProblem as P;
                    matches!(
                        p,
                        P::Useless { .. }
                            | P::Link(
                                LinkError::Cycle { .. }
                                    | LinkError::HiddenResource { .. }
                                    | LinkError::Disagreement { .. }
                            )
                    )
                };
                if !error.problems.iter().any(is_ours) {
                    prop_assert!(
                        plug_with_wac(&parts).is_none(),
                        "wac can do it: {error}\n{}",
                        text()
                    );
                }
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|e| panic!("{e}"));
}

/// Fused components agree on their types, also on those that no call passes.
#[test]
fn a_type_that_is_made_of_another_links_resource_keeps_a_link_from_being_fused() {
    let package = "package ex:t@1.0.0 {
        interface base { resource item { constructor(a: u32); } record pair { a: item, b: u32 } }
        interface uses { use base.{pair}; type same = pair; count: func() -> u32; }
    }";
    let part = |items| component_with(items, package).unwrap();
    let parts = [
        part("import ex:t/uses@1.0.0; use ex:t/uses@1.0.0.{same}; export run: func(p: same);"),
        part("export ex:t/uses@1.0.0;"),
        part("export ex:t/base@1.0.0;"),
    ];
    let plan = plan(&parts).unwrap();
    let link = plan.links.iter().find(|link| link.source == "p0").unwrap();
    assert_eq!(link.binding, Binding::Local, "{}", link.why);
    assert!(
        link.why.contains("`item` of `ex:t/base@1.0.0`"),
        "{}",
        link.why
    );
}
