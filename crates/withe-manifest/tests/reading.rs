//! Checks the values read from manifests, and their places.

mod render;

use std::time::Duration;

use withe_linker::input::{
    Application, BindingChoice, Component, ComponentKind, Image, Locality, ScalerKind, Scope, Span,
    Spanned,
};
use withe_linker::{Diagnostics, Severity};
use withe_manifest::parse;

const EVERYTHING: &str = include_str!("manifests/everything.yaml");
const EVERYTHING_JSON: &str = include_str!("manifests/everything.json");
const WASMCLOUD_V1: &str = include_str!("manifests/wasmcloud-v1.yaml");

fn read(text: &str) -> (Application, Diagnostics) {
    let parsed = parse(text);
    let diagnostics = parsed.diagnostics;
    assert!(
        !diagnostics.has_errors(),
        "{}",
        render::render(text, &diagnostics)
    );
    (parsed.application.unwrap(), diagnostics)
}

fn component<'a>(application: &'a Application, name: &str) -> &'a Component {
    let mut components = application.components.iter();
    components
        .find(|component| component.name.value == name)
        .unwrap()
}

fn place(text: &str, span: Option<Span>) -> &str {
    let span = span.unwrap();
    &text[span.start..span.end]
}

#[test]
fn metadata_and_policies() {
    let (application, diagnostics) = read(EVERYTHING);
    assert!(diagnostics.0.is_empty());
    assert_eq!(application.name.value, "größe-7");
    assert_eq!(place(EVERYTHING, application.name.span), "größe-7");
    assert_eq!(application.version.as_deref(), Some("v1.2.3"));
    assert_eq!(
        application.description.as_deref(),
        Some("Counts: visits by page")
    );
    assert!(application.shared);
    let [policy] = application.policies.as_slice() else {
        panic!("one policy")
    };
    assert_eq!(policy.name.value, "vault");
    assert_eq!(policy.properties["backend"], "vault");
    assert_eq!(policy.properties["retries"], "3");
}

#[test]
fn images() {
    let (application, _) = read(EVERYTHING);
    let image = |name| component(&application, name).image.value.clone();
    let Image::Compose(parts) = image("front") else {
        panic!("composed")
    };
    let parts: Vec<(Image, &str)> = parts
        .into_iter()
        .map(|part| (part.value, place(EVERYTHING, part.span)))
        .collect();
    assert_eq!(
        parts,
        [
            (Image::File("./router.wasm".into()), "./router.wasm"),
            (
                Image::Oci("ghcr.io/shop/page:1.0.0".into()),
                "ghcr.io/shop/page:1.0.0"
            ),
        ]
    );
    assert_eq!(image("visits"), Image::File("./build/visits.wasm".into()));
    assert_eq!(image("kv"), Image::Builtin("keyvalue".into()));
    assert_eq!(
        image("other"),
        Image::Application {
            name: "storage".into(),
            component: "store".into()
        }
    );
}

#[test]
fn a_components_properties() {
    let (application, _) = read(EVERYTHING);
    let visits = component(&application, "visits");
    assert_eq!(visits.kind, ComponentKind::Component);
    assert_eq!(visits.id.as_ref().unwrap().value, "visits-id");
    let [settings, external] = visits.config.as_slice() else {
        panic!("two configs")
    };
    assert!(external.properties.is_none());
    let settings = settings.properties.as_ref().unwrap();
    let values: Vec<(&str, &str)> = settings
        .iter()
        .map(|(key, value)| (key.as_str(), value.value.as_str()))
        .collect();
    let expected = [
        ("nothing", ""),
        ("port", "8080"),
        ("quoted", "0x10"),
        ("text", "two\nlines\n"),
        ("verbose", "true"),
    ];
    assert_eq!(values, expected);
    assert_eq!(place(EVERYTHING, settings["port"].span), "8080");
    assert_eq!(place(EVERYTHING, settings["quoted"].span), "\"0x10\"");
    assert_eq!(place(EVERYTHING, settings["nothing"].span), "nothing");

    let [secret] = visits.secrets.as_slice() else {
        panic!("one secret")
    };
    assert_eq!(
        (secret.name.value.as_str(), secret.key.as_str()),
        ("api-key", "shop/api-key")
    );
    assert_eq!(secret.field.as_deref(), Some("value"));
    assert_eq!(secret.version.as_deref(), Some("2"));

    assert_eq!(visits.limits.memory.as_ref().unwrap().value, 64 << 20);
    assert_eq!(
        visits.limits.time.as_ref().unwrap().value,
        Duration::from_secs(90)
    );
    let directories = &visits.grants.directories;
    assert_eq!(
        (
            directories[0].host.value.as_str(),
            directories[0].guest.as_str()
        ),
        ("./data", "/data")
    );
    assert!(directories[0].read_only && !directories[1].read_only);
    assert_eq!(visits.grants.env["LEVEL"], "3");
    assert!(visits.grants.network.as_ref().unwrap().value);
    let front = component(&application, "front");
    assert_eq!(front.reuse.as_ref().unwrap().value, 100);
    assert!(front.grants.directories.is_empty() && front.grants.network.is_none());
    let process = component(&application, "kv").process.as_ref().unwrap();
    assert!(process.value && place(EVERYTHING, process.span) == "true");
    assert!(front.process.is_none());
}

#[test]
fn links() {
    let (application, _) = read(EVERYTHING);
    let [full, short] = component(&application, "visits").links.as_slice() else {
        panic!("two links")
    };
    assert!(place(EVERYTHING, full.span).starts_with("type: link"));
    assert!(place(EVERYTHING, full.span).ends_with("idempotent: true"));
    assert_eq!(place(EVERYTHING, full.target.span), "kv");
    assert_eq!(full.name.as_ref().unwrap().value, "cache");
    assert_eq!(full.namespace.as_ref().unwrap().value, "wasi");
    assert_eq!(full.package.as_ref().unwrap().value, "keyvalue");
    let interfaces = full.interfaces.as_ref().unwrap();
    assert_eq!(interfaces[1].value, "atomics@0.2.0-draft");
    assert_eq!(
        place(EVERYTHING, interfaces[1].span),
        "'atomics@0.2.0-draft'"
    );
    assert_eq!(
        full.target_config[0].properties.as_ref().unwrap()["url"].value,
        "redis://127.0.0.1:6379"
    );
    assert_eq!(full.target_secrets[0].name.value, "password");
    assert_eq!(full.source_config[0].name.value, "limits");
    assert_eq!(full.source_secrets[0].key, "token");
    assert_eq!(full.binding.as_ref().unwrap().value, BindingChoice::Local);
    assert_eq!(full.scope.as_ref().unwrap().value, Scope::Call);
    assert_eq!(
        full.timeout.as_ref().unwrap().value,
        Duration::from_millis(500)
    );
    assert_eq!(full.locality.as_ref().unwrap().value, Locality::Machine);
    assert!(full.idempotent.as_ref().unwrap().value);

    assert_eq!(short.target.value, "other");
    assert!(short.namespace.is_none() && short.interfaces.is_none() && short.binding.is_none());
}

#[test]
fn scalers() {
    let (application, _) = read(EVERYTHING);
    let spread = component(&application, "visits").scaling.as_ref().unwrap();
    assert_eq!(spread.kind, ScalerKind::Spread);
    assert_eq!(spread.instances.as_ref().unwrap().value, 4);
    assert_eq!(spread.spread[0].requirements["rack"], "5");
    assert_eq!(spread.spread[0].weight, Some(75));
    assert_eq!(spread.spread[1].requirements["gpu"], "true");
    let daemon = component(&application, "kv").scaling.as_ref().unwrap();
    assert_eq!(daemon.kind, ScalerKind::Daemon);
    assert_eq!(daemon.instances.as_ref().unwrap().value, 1);
}

#[test]
fn json_says_the_same_as_yaml() {
    let without_places = |application: &Application| {
        let mut out = format!("{application:?}");
        while let Some(start) = out.find("Some(Span {") {
            let end = start + out[start..].find("})").unwrap() + "})".len();
            out.replace_range(start..end, "_");
        }
        out
    };
    let (yaml, _) = read(EVERYTHING);
    let (json, diagnostics) = read(EVERYTHING_JSON);
    assert!(diagnostics.0.is_empty());
    assert_eq!(without_places(&json), without_places(&yaml));
    let image = &component(&json, "visits").image;
    assert_eq!(
        place(EVERYTHING_JSON, image.span),
        "\"file://./build/visits.wasm\""
    );
}

#[test]
fn wasmclouds_older_forms_are_taken() {
    let (application, diagnostics) = read(WASMCLOUD_V1);
    assert!(
        diagnostics
            .0
            .iter()
            .all(|d| d.severity == Severity::Warning)
    );
    let codes: Vec<&str> = diagnostics.0.iter().map(|d| d.code.0).collect();
    assert_eq!(codes, ["W0017", "W0017"]);
    let echo = component(&application, "echo");
    assert_eq!(echo.kind, ComponentKind::Component);
    assert_eq!(
        echo.scaling
            .as_ref()
            .unwrap()
            .instances
            .as_ref()
            .unwrap()
            .value,
        5
    );
    assert_eq!(echo.links[0].target.value, "kv");
    assert_eq!(echo.links[0].target_config[0].name.value, "url");
    let http = component(&application, "http");
    assert_eq!(http.image.value, Image::Builtin("http-server".into()));
    assert_eq!(http.links[0].source_config[0].name.value, "default-http");
    assert!(component(&application, "kv").links.is_empty());
}

/// A component whose image, type or properties are wrong keeps its name and its links, so that the
/// linker can check what is left.
#[test]
fn what_is_right_beside_an_error_is_kept() {
    let text = WASMCLOUD_V1
        .replace("wasmcloud+builtin://http-server", "ftp://nowhere")
        .replace("type: actor", "type: actr");
    let parsed = parse(&text);
    assert!(parsed.diagnostics.has_errors());
    let application = parsed.application.unwrap();
    for name in ["echo", "http"] {
        let component = component(&application, name);
        assert_eq!(component.image.value, Image::Invalid);
        assert_eq!(component.links.len(), 1);
    }
}

#[test]
fn an_application_among_other_documents_is_found() {
    let text = format!("---\n---\n# nothing\n---\na: 1\na: 2\n{WASMCLOUD_V1}\n---\n");
    let (application, diagnostics) = read(&text);
    assert_eq!(application.components.len(), 3);
    let notes = diagnostics
        .0
        .iter()
        .filter(|d| d.severity == Severity::Note);
    assert_eq!(notes.count(), 1);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let text = format!("\u{feff}{}", EVERYTHING.replace('\n', "\r\n"));
    let (application, diagnostics) = read(&text);
    assert!(diagnostics.0.is_empty());
    assert_eq!(place(&text, application.name.span), "größe-7");
    let Spanned { value, span } = &component(&application, "visits").links[0].target;
    assert_eq!((value.as_str(), place(&text, *span)), ("kv", "kv"));
}

/// The blocks of YAML in a text of Markdown.
fn examples(markdown: &str) -> impl Iterator<Item = &str> {
    let blocks = markdown.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap())
}

#[test]
fn whole_manifests_in_the_documentation_are_right() {
    let pages = [
        include_str!("../../../docs/manifest.md"),
        include_str!("../../../docs/keyvalue-component.md"),
    ];
    let explanations = withe_manifest::CODES.iter().map(|info| info.explanation);
    let whole: Vec<&str> = (pages.into_iter())
        .chain(explanations)
        .flat_map(examples)
        .filter(|example| example.contains("apiVersion") && example.contains("components"))
        .collect();
    assert!(whole.len() >= 3);
    for example in whole {
        let (_, diagnostics) = read(example);
        assert!(
            diagnostics.0.is_empty(),
            "{}",
            render::render(example, &diagnostics)
        );
    }
}

#[test]
fn parts_of_manifests_in_the_documentation_are_yaml() {
    let reference = include_str!("../../../docs/manifest.md");
    let explanations = withe_manifest::CODES.iter().map(|info| info.explanation);
    for example in std::iter::once(reference)
        .chain(explanations)
        .flat_map(examples)
    {
        let diagnostics = parse(example).diagnostics;
        let syntax = diagnostics.0.iter().find(|d| d.code.0 == "W0001");
        assert!(
            syntax.is_none(),
            "{}",
            render::render(example, &diagnostics)
        );
    }
}

#[test]
fn words_of_wits_own_may_be_escaped_as_in_wit() {
    let text = "apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: app}
spec:
  components:
    - name: a
      type: component
      properties: {image: ./a.wasm}
      traits:
        - type: link
          properties:
            target: b
            namespace: '%use'
            package: '%interface'
            interfaces: ['%list', '%type@0.2.0', plain]
    - name: b
      type: component
      properties: {image: ./b.wasm}
";
    let (application, _) = read(text);
    let link = &component(&application, "a").links[0];
    assert_eq!(link.namespace.as_ref().unwrap().value, "use");
    assert_eq!(link.package.as_ref().unwrap().value, "interface");
    let interfaces = link.interfaces.iter().flatten();
    let names: Vec<_> = interfaces.map(|i| i.value.as_str()).collect();
    assert_eq!(names, ["list", "type@0.2.0", "plain"]);
}
