//! Every map of the manifest and the fields it may have: the one list that the reader, the
//! suggestions and the JSON schema share.

/// What is known of one kind of map.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Its name in the JSON schema.
    pub(crate) name: &'static str,
    /// What messages call it: "in …".
    pub(crate) what: &'static str,
    /// The fields that are read.
    pub(crate) fields: &'static [&'static str],
    /// Fields that other tools know and that make no difference here, each with the reason.
    pub(crate) ignored: &'static [(&'static str, &'static str)],
    /// Fields that cannot be here though a person may well think so.
    pub(crate) misplaced: &'static [Misplaced],
}

/// A field that cannot be where a person may well put it.
#[derive(Debug)]
pub(crate) struct Misplaced {
    pub(crate) field: &'static str,
    /// Why it cannot be here.
    pub(crate) why: &'static str,
    /// What to write.
    pub(crate) help: &'static str,
}

const fn misplaced(field: &'static str, why: &'static str, help: &'static str) -> Misplaced {
    Misplaced { field, why, help }
}

impl Shape {
    const fn new(name: &'static str, what: &'static str, fields: &'static [&'static str]) -> Self {
        Self {
            name,
            what,
            fields,
            ignored: &[],
            misplaced: &[],
        }
    }
}

/// Fields that begin so are the writer's own (a place for YAML anchors) and are not looked at.
pub(crate) const EXTENSION_PREFIX: &str = "x-";

const BOOKKEEPING: &str = "it is a cluster's bookkeeping, and there is no cluster here";
const NOT_RUN: &str = "wasmCloud does not act on it either";
const OLD_CONTRACT: &str = "contracts went away with wasmCloud 1.0; links say what they connect";
const ONLY_COMPONENTS: &str =
    "only a component can have it; a provider does not run in the sandbox";
const REMOVE: &str = "remove it, or make the entry a component with `type: component`";
const OF_AN_END: &str = "configuration and secrets belong to one end of a link";
const NAME_THE_END: &str = "move it below `source:` or `target:`; the target's name becomes \
                            `target: {name: …}` then";

pub(crate) const ROOT: Shape = Shape {
    ignored: &[("status", BOOKKEEPING)],
    ..Shape::new(
        "manifest",
        "the manifest",
        &["apiVersion", "kind", "metadata", "spec"],
    )
};

pub(crate) const METADATA: Shape = Shape {
    ignored: &[
        ("namespace", BOOKKEEPING),
        ("uid", BOOKKEEPING),
        ("generation", BOOKKEEPING),
        ("resourceVersion", BOOKKEEPING),
        ("creationTimestamp", BOOKKEEPING),
    ],
    ..Shape::new("metadata", "`metadata`", &["name", "annotations", "labels"])
};

pub(crate) const SPEC: Shape = Shape {
    ignored: &[("workflow", NOT_RUN)],
    ..Shape::new("spec", "`spec`", &["components", "policies"])
};

pub(crate) const COMPONENT: Shape = Shape {
    ignored: &[("scopes", NOT_RUN), ("dependsOn", NOT_RUN)],
    ..Shape::new(
        "component",
        "an entry of `spec.components`",
        &["name", "type", "properties", "traits"],
    )
};

pub(crate) const COMPONENT_PROPERTIES: Shape = Shape::new(
    "componentProperties",
    "a component's `properties`",
    &[
        "image",
        "compose",
        "application",
        "id",
        "config",
        "secrets",
        "limits",
        "grants",
        "reuse",
    ],
);

pub(crate) const CAPABILITY_PROPERTIES: Shape = Shape {
    ignored: &[("contract", OLD_CONTRACT), ("link_name", OLD_CONTRACT)],
    misplaced: &[
        misplaced("compose", ONLY_COMPONENTS, REMOVE),
        misplaced("limits", ONLY_COMPONENTS, REMOVE),
        misplaced("grants", ONLY_COMPONENTS, REMOVE),
        misplaced("reuse", ONLY_COMPONENTS, REMOVE),
    ],
    ..Shape::new(
        "capabilityProperties",
        "a provider's `properties`",
        &["image", "application", "id", "config", "secrets"],
    )
};

pub(crate) const SHARED: Shape = Shape::new(
    "sharedApplication",
    "`properties.application`",
    &["name", "component"],
);

pub(crate) const CONFIG: Shape = Shape::new(
    "namedConfig",
    "an entry of a `config` list",
    &["name", "properties"],
);

pub(crate) const SECRET: Shape = Shape::new(
    "secret",
    "an entry of a `secrets` list",
    &["name", "properties"],
);

pub(crate) const SECRET_SOURCE: Shape = Shape::new(
    "secretSource",
    "a secret's `properties`",
    &["policy", "key", "field", "version"],
);

pub(crate) const POLICY: Shape = Shape::new(
    "policy",
    "an entry of `spec.policies`",
    &["name", "type", "properties"],
);

pub(crate) const TRAIT: Shape = Shape::new("trait", "a trait", &["type", "properties"]);

pub(crate) const LINK: Shape = Shape {
    misplaced: &[
        misplaced("config", OF_AN_END, NAME_THE_END),
        misplaced("secrets", OF_AN_END, NAME_THE_END),
        misplaced(
            "values",
            "this is how links were configured before wasmCloud 1.0",
            "write\ntarget:\n  name: …\n  config:\n    - name: …\n      properties:\n        \
             key: value\nor the same below `source:`, whichever end it is for",
        ),
    ],
    ..Shape::new(
        "link",
        "a link's `properties`",
        &[
            "target",
            "name",
            "namespace",
            "package",
            "interfaces",
            "source",
            "source_config",
            "target_config",
            "binding",
            "scope",
            "timeout",
            "locality",
            "idempotent",
        ],
    )
};

pub(crate) const LINK_TARGET: Shape = Shape::new(
    "linkTarget",
    "a link's `target`",
    &["name", "config", "secrets"],
);

pub(crate) const LINK_SOURCE: Shape =
    Shape::new("linkSource", "a link's `source`", &["config", "secrets"]);

pub(crate) const SCALER: Shape = Shape::new(
    "scaler",
    "a scaler's `properties`",
    &["instances", "replicas", "spread"],
);

pub(crate) const SPREAD: Shape = Shape::new(
    "spread",
    "an entry of `spread`",
    &["name", "requirements", "weight"],
);

pub(crate) const LIMITS: Shape = Shape::new("limits", "`limits`", &["memory", "time"]);

pub(crate) const GRANTS: Shape =
    Shape::new("grants", "`grants`", &["directories", "env", "network"]);

pub(crate) const DIRECTORY: Shape = Shape::new(
    "directory",
    "an entry of `grants.directories`",
    &["host", "guest", "read_only"],
);

/// All of them, in the order a manifest has them.
pub(crate) const ALL: [&Shape; 20] = [
    &ROOT,
    &METADATA,
    &SPEC,
    &COMPONENT,
    &COMPONENT_PROPERTIES,
    &CAPABILITY_PROPERTIES,
    &SHARED,
    &CONFIG,
    &SECRET,
    &SECRET_SOURCE,
    &POLICY,
    &TRAIT,
    &LINK,
    &LINK_TARGET,
    &LINK_SOURCE,
    &SCALER,
    &SPREAD,
    &LIMITS,
    &GRANTS,
    &DIRECTORY,
];
