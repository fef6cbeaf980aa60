//! One entry of `spec.components`.

use withe_linker::input::{
    Build, Command, Component, ComponentKind, DirectoryGrant, Grants, Image, Limits, NamedConfig,
    OnMissing, SecretRef, Span, Spanned,
};
use withe_linker::{Diagnostic, Diagnostics};

use crate::config::{read_configs, read_secrets};
use crate::fields::{Fields, text};
use crate::node::{Node, shorten};
use crate::{codes, image, shapes, traits, values};

/// The values of `type`.
pub(crate) const KINDS: [(&str, ComponentKind); 3] = [
    ("component", ComponentKind::Component),
    ("capability", ComponentKind::Provider),
    ("actor", ComponentKind::Component),
];

/// The field that makes a component a command.
const COMMAND: &str = "command";

/// The values of `on-missing`.
pub(crate) const ON_MISSING: [(&str, OnMissing); 2] =
    [("error", OnMissing::Error), ("trap", OnMissing::Trap)];

/// Reads a component or provider. A part that has a name is returned however wrong the rest is, so
/// that links to it are not reported as dangling.
pub(crate) fn read(out: &mut Diagnostics, node: &Node) -> Option<Component> {
    let fields = Fields::of(out, &shapes::COMPONENT, node)?;
    let name = fields.required_text(out, "name");
    let kind = read_kind(out, &fields);
    let properties = read_properties(out, &fields, kind);
    let traits = fields.list(out, "traits").unwrap_or_default();
    let traits = traits::read(out, name.as_ref().map(|name| name.value.as_str()), traits);
    let place = fields.place();
    let Properties {
        image,
        id,
        config,
        secrets,
        limits,
        grants,
        reuse,
        process,
        command,
        on_missing,
        build,
    } = properties;

    if is_shared(image.as_ref())
        && let Some(scaling) = &traits.scaling
    {
        out.push(belongs_to_the_other(scaling.span, "a scaler"));
    }
    Some(Component {
        name: name?,
        // Of what kind it would be is open if `type` was not understood; nothing is made of its
        // image then.
        kind: kind.unwrap_or(ComponentKind::Component),
        image: image
            .filter(|_| kind.is_some())
            .unwrap_or_else(|| Spanned::new(Image::Invalid, place)),
        id,
        config,
        secrets,
        links: traits.links,
        scaling: traits.scaling,
        limits,
        grants,
        reuse,
        process,
        command,
        on_missing,
        build,
    })
}

fn read_kind(out: &mut Diagnostics, fields: &Fields<'_>) -> Option<ComponentKind> {
    let node = fields.require(out, "type")?;
    if node.text() == Some("provider") {
        out.push(
            Diagnostic::error(codes::UNKNOWN_VALUE, "`type` cannot be `provider`")
                .at(Some(node.span), "not a value it can have")
                .with_note("wasmCloud's manifests call a provider a capability")
                .with_help("write `type: capability`"),
        );
        return Some(ComponentKind::Provider);
    }
    fields.choice(out, "type", &KINDS).map(|kind| kind.value)
}

#[derive(Default)]
struct Properties {
    image: Option<Spanned<Image>>,
    id: Option<Spanned<String>>,
    config: Vec<NamedConfig>,
    secrets: Vec<SecretRef>,
    limits: Limits,
    grants: Grants,
    reuse: Option<Spanned<u32>>,
    process: Option<Spanned<bool>>,
    command: Option<Spanned<Command>>,
    on_missing: Option<Spanned<OnMissing>>,
    build: Option<Build>,
}

fn read_properties(
    out: &mut Diagnostics,
    component: &Fields<'_>,
    kind: Option<ComponentKind>,
) -> Properties {
    let is_provider = kind == Some(ComponentKind::Provider);
    let shape = if is_provider {
        &shapes::CAPABILITY_PROPERTIES
    } else {
        &shapes::COMPONENT_PROPERTIES
    };
    let Some(fields) = component
        .require(out, "properties")
        .and_then(|node| Fields::of(out, shape, node))
    else {
        return Properties::default();
    };
    let mut properties = Properties {
        image: read_image(out, &fields, is_provider),
        id: fields.text(out, "id"),
        config: read_configs(out, &fields, "config"),
        secrets: read_secrets(out, &fields),
        // Whether a provider is a component, which has these, its image says.
        limits: read_limits(out, &fields),
        grants: read_grants(out, &fields),
        on_missing: fields.choice(out, "on-missing", &ON_MISSING),
        build: read_build(out, &fields),
        ..Properties::default()
    };
    if is_provider {
        properties.process = fields.flag(out, "process");
    } else {
        properties.reuse = fields.number(out, "reuse", 1);
        properties.command = read_command(out, &fields);
    }
    if is_shared(properties.image.as_ref()) {
        let what_it_is = ["image", "compose", "application", "id"];
        for name in shape.fields {
            let is_given = fields.get(name).is_some_and(|node| !node.is_empty());
            if is_given && !what_it_is.contains(name) {
                let place = fields.key_place(name);
                out.push(belongs_to_the_other(Some(place), &format!("`{name}`")));
            }
        }
    }
    properties
}

/// Whether it stands for a component of another application.
fn is_shared(image: Option<&Spanned<Image>>) -> bool {
    image.is_some_and(|image| matches!(image.value, Image::Application { .. }))
}

fn belongs_to_the_other(place: Option<Span>, what: &str) -> Diagnostic {
    Diagnostic::error(
        codes::SHARED_COMPONENT,
        format!("a component of another application cannot be given {what}"),
    )
    .at(place, "belongs to the other application")
    .with_help("set it in the other application's manifest, and remove it here")
}

fn read_image(
    out: &mut Diagnostics,
    fields: &Fields<'_>,
    is_provider: bool,
) -> Option<Spanned<Image>> {
    let possible: &[&'static str] = if is_provider {
        &["image", "application"]
    } else {
        &["image", "compose", "application"]
    };
    let mut given = possible.iter().filter(|name| fields.get(name).is_some());
    let Some(first) = given.next() else {
        out.push(
            Diagnostic::error(
                codes::IMAGE_CHOICE,
                "nothing says where its code comes from",
            )
            .at(Some(fields.place()), "`image` is missing here")
            .with_help("add `image: ./path/to/part.wasm`"),
        );
        return None;
    };
    for other in given {
        out.push(
            Diagnostic::error(
                codes::IMAGE_CHOICE,
                format!("`{first}` and `{other}` both say where its code comes from"),
            )
            .at(Some(fields.key_place(other)), "the second one")
            .also(Some(fields.key_place(first)), "the first one")
            .with_help(format!("keep one of `{first}` and `{other}`")),
        );
    }
    match *first {
        "image" => fields.parsed(out, "image", codes::BAD_IMAGE, "an image", image::read),
        "compose" => read_compose(out, fields),
        _ => read_shared(out, fields),
    }
}

fn read_compose(out: &mut Diagnostics, fields: &Fields<'_>) -> Option<Spanned<Image>> {
    let place = fields.key_place("compose");
    let items = fields.list(out, "compose")?;
    let mut images = Vec::new();
    for item in items {
        let Some(found) = text(out, "an entry of `compose`", item) else {
            continue;
        };
        match image::read(&found.value) {
            Ok(Image::Builtin(name)) => out.push(
                Diagnostic::error(
                    codes::BAD_COMPOSE,
                    format!("the provider `{name}` cannot be composed"),
                )
                .at(found.span, "not a component")
                .with_help("make it an entry of `spec.components` and link to it"),
            ),
            Ok(image) => images.push(Spanned::new(image, item.span)),
            Err(problem) => out.push(
                Diagnostic::error(
                    codes::BAD_IMAGE,
                    format!(
                        "`compose` cannot take `{}`: {}",
                        shorten(&found.value),
                        problem.why
                    ),
                )
                .at(found.span, "not an image")
                .with_help(problem.help),
            ),
        }
    }
    if items.len() < 2 {
        out.push(
            Diagnostic::error(
                codes::BAD_COMPOSE,
                "`compose` needs at least two components",
            )
            .at(
                Some(place),
                "the socket first, then what is plugged into it",
            )
            .with_help("write a single component as `image: …`"),
        );
        return None;
    }
    (images.len() == items.len()).then(|| Spanned::new(Image::Compose(images), place))
}

fn read_shared(out: &mut Diagnostics, fields: &Fields<'_>) -> Option<Spanned<Image>> {
    let node = fields.get("application")?;
    let shared = Fields::of(out, &shapes::SHARED, node)?;
    let name = shared.required_text(out, "name");
    let component = shared.required_text(out, "component");
    let image = Image::Application {
        name: name?.value,
        component: component?.value,
    };
    Some(Spanned::new(image, node.span))
}

fn read_limits(out: &mut Diagnostics, fields: &Fields<'_>) -> Limits {
    let limits = fields
        .get("limits")
        .and_then(|node| Fields::of(out, &shapes::LIMITS, node));
    let Some(limits) = limits else {
        return Limits::default();
    };
    Limits {
        memory: limits.parsed(out, "memory", codes::BAD_SIZE, "a size", values::size),
        time: limits.parsed(
            out,
            "time",
            codes::BAD_DURATION,
            "a duration",
            values::duration,
        ),
    }
}

/// `command:` alone makes a component one, so what is left empty is no mistake.
fn read_command(out: &mut Diagnostics, fields: &Fields<'_>) -> Option<Spanned<Command>> {
    let place = fields.given(COMMAND)?;
    let mut command = Command::default();
    if let Some(node) = fields.get(COMMAND) {
        let given = Fields::of(out, &shapes::COMMAND, node)?;
        let arguments = given.list(out, "arguments").unwrap_or_default().iter();
        let arguments = arguments.filter_map(|node| text(out, "an entry of `arguments`", node));
        command.arguments = arguments.map(|argument| argument.value).collect();
    }
    Some(Spanned::new(command, place))
}

fn read_build(out: &mut Diagnostics, fields: &Fields<'_>) -> Option<Build> {
    let node = fields.get("build")?;
    let given = Fields::of(out, &shapes::BUILD, node)?;
    let command = given.required_text(out, "command");
    let inputs = given.list(out, "inputs").unwrap_or_default().iter();
    let inputs = inputs.filter_map(|node| text(out, "an entry of `inputs`", node));
    let inputs = inputs.collect();
    Some(Build {
        command: command?,
        inputs,
    })
}

fn read_grants(out: &mut Diagnostics, fields: &Fields<'_>) -> Grants {
    let grants = fields
        .get("grants")
        .and_then(|node| Fields::of(out, &shapes::GRANTS, node));
    let Some(grants) = grants else {
        return Grants::default();
    };
    let directories = grants.list(out, "directories").unwrap_or_default().iter();
    Grants {
        directories: directories
            .filter_map(|node| read_directory(out, node))
            .collect(),
        env: grants.texts(out, "env").plain(),
        network: grants.flag(out, "network"),
    }
}

fn read_directory(out: &mut Diagnostics, node: &Node) -> Option<DirectoryGrant> {
    let fields = Fields::of(out, &shapes::DIRECTORY, node)?;
    let host = fields.required_text(out, "host");
    let guest = fields.required_text(out, "guest");
    let read_only = fields.flag(out, "read_only");
    Some(DirectoryGrant {
        host: host?,
        guest: guest?.value,
        read_only: read_only.is_some_and(|read_only| read_only.value),
    })
}
