//! Every map of the manifest and the fields it may have: the one list that the reader, the
//! suggestions and the JSON schema share.

/// The description of one kind of map.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Its name in the JSON schema.
    pub(crate) name: &'static str,
    /// Its name in messages: "in …".
    pub(crate) what: &'static str,
    /// The fields that are read.
    pub(crate) fields: &'static [&'static str],
    /// Fields that other tools know and that make no difference here, each with the reason.
    pub(crate) ignored: &'static [(&'static str, &'static str)],
    /// Fields that cannot be here though a person may well think so.
    pub(crate) misplaced: &'static [Misplaced],
    /// All maps of the files that this map is in, where an unknown field may belong.
    pub(crate) siblings: fn() -> &'static [&'static Shape],
}

/// A field that cannot be where a person may well put it.
#[derive(Debug)]
pub(crate) struct Misplaced {
    pub(crate) field: &'static str,
    /// Why it cannot be here.
    pub(crate) why: &'static str,
    /// The text to write instead.
    pub(crate) help: &'static str,
}

const fn misplaced(field: &'static str, why: &'static str, help: &'static str) -> Misplaced {
    Misplaced { field, why, help }
}

impl Shape {
    pub(crate) const fn new(
        name: &'static str,
        what: &'static str,
        fields: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            what,
            fields,
            ignored: &[],
            misplaced: &[],
            siblings: of_manifests,
        }
    }
}

/// Fields that begin so are the writer's own (a place for YAML anchors) and are not looked at.
pub(crate) const EXTENSION_PREFIX: &str = "x-";

const BOOKKEEPING: &str = "it is a cluster's bookkeeping, and there is no cluster here";
const NOT_RUN: &str = "wasmCloud does not act on it either";
const OLD_CONTRACT: &str = "contracts went away with wasmCloud 1.0; links say what they connect";
const ONLY_COMPONENTS: &str =
    "only an entry with `type: component` can have it; a provider serves all its callers alike";
const ONLY_PROVIDERS: &str =
    "only a provider can have it; where a component runs is for the links to it to say";
const USE_UNIX: &str = "remove it, and write `binding: unix` on the links to the component";
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

pub(crate) const COMPONENT_PROPERTIES: Shape = Shape {
    misplaced: &[misplaced("process", ONLY_PROVIDERS, USE_UNIX)],
    ..Shape::new(
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
            "command",
            "on-missing",
            "build",
        ],
    )
};

pub(crate) const CAPABILITY_PROPERTIES: Shape = Shape {
    ignored: &[("contract", OLD_CONTRACT), ("link_name", OLD_CONTRACT)],
    misplaced: &[
        misplaced("compose", ONLY_COMPONENTS, REMOVE),
        misplaced("reuse", ONLY_COMPONENTS, REMOVE),
        misplaced("command", ONLY_COMPONENTS, REMOVE),
    ],
    ..Shape::new(
        "capabilityProperties",
        "a provider's `properties`",
        &[
            "image",
            "application",
            "id",
            "config",
            "secrets",
            "limits",
            "grants",
            "on-missing",
            "process",
            "build",
        ],
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
    &["name", "properties", "secret"],
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

pub(crate) const LINK_SOURCE: Shape = Shape::new(
    "linkSource",
    "a link's `source`",
    &["name", "config", "secrets"],
);

pub(crate) const NAME_PAIR: Shape = Shape::new(
    "namePair",
    "an entry of `interfaces` that pairs two names",
    &["import", "export"],
);

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

pub(crate) const COMMAND: Shape = Shape::new("command", "`command`", &["arguments"]);

pub(crate) const BUILD: Shape = Shape::new("build", "`build`", &["command", "inputs"]);

pub(crate) const LIMITS: Shape = Shape::new("limits", "`limits`", &["memory", "time"]);

pub(crate) const GRANTS: Shape =
    Shape::new("grants", "`grants`", &["directories", "env", "network"]);

pub(crate) const DIRECTORY: Shape = Shape::new(
    "directory",
    "an entry of `grants.directories`",
    &["host", "guest", "read_only"],
);

/// [`ALL`], for the maps of manifests.
fn of_manifests() -> &'static [&'static Shape] {
    &ALL
}

/// All of them, in the order a manifest has them.
pub(crate) const ALL: [&Shape; 23] = [
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
    &NAME_PAIR,
    &LINK_SOURCE,
    &SCALER,
    &SPREAD,
    &LIMITS,
    &GRANTS,
    &DIRECTORY,
    &COMMAND,
    &BUILD,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::{link, traits};

    /// A file of the documentation, which is not in this crate.
    fn docs(name: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/");
        std::fs::read_to_string(format!("{folder}{name}")).unwrap()
    }

    fn schema() -> Value {
        serde_json::from_str(&docs("manifest.schema.json")).unwrap()
    }

    fn words(value: &Value) -> Vec<&str> {
        let items = value.as_array().unwrap().iter();
        items.map(|item| item.as_str().unwrap()).collect()
    }

    #[test]
    fn the_json_schema_has_the_fields_that_are_read() {
        let schema = schema();
        let definitions = schema["$defs"].as_object().unwrap();
        for shape in ALL {
            let definition = &definitions[shape.name];
            let properties = definition["properties"].as_object().unwrap();
            let documented: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
            let ignored = shape.ignored.iter().map(|(field, _)| *field);
            let known: BTreeSet<&str> = shape
                .fields
                .iter()
                .copied()
                .chain(ignored.clone())
                .collect();
            assert_eq!(documented, known, "{}", shape.name);
            for field in ignored {
                assert_eq!(
                    properties[field]["deprecated"], true,
                    "{}.{field}",
                    shape.name
                );
            }
            assert_eq!(definition["additionalProperties"], false, "{}", shape.name);
            let prefix = format!("^{EXTENSION_PREFIX}");
            assert_eq!(
                definition["patternProperties"][prefix], true,
                "{}",
                shape.name
            );
        }
        let shaped: BTreeSet<&str> = ALL.iter().map(|shape| shape.name).collect();
        let defined = definitions
            .iter()
            .filter(|(_, d)| d.get("properties").is_some());
        let defined: BTreeSet<&str> = defined.map(|(name, _)| name.as_str()).collect();
        assert_eq!(defined, shaped);
    }

    #[test]
    fn the_json_schema_has_the_words_that_are_read() {
        let schema = schema();
        let link = &schema["$defs"]["link"]["properties"];
        assert_eq!(
            words(&link["binding"]["enum"]),
            link::BINDINGS.map(|(word, _)| word)
        );
        assert_eq!(
            words(&link["scope"]["enum"]),
            link::SCOPES.map(|(word, _)| word)
        );
        assert_eq!(
            words(&link["locality"]["enum"]),
            link::LOCALITIES.map(|(word, _)| word)
        );
        let kinds = &schema["$defs"]["trait"]["properties"]["type"]["enum"];
        assert_eq!(words(kinds), traits::TYPES);
        let missing = &schema["$defs"]["componentProperties"]["properties"]["on-missing"]["enum"];
        let on_missing = crate::component::ON_MISSING.map(|(word, _)| word);
        assert_eq!(words(missing), on_missing);
        let kinds = &schema["$defs"]["component"]["properties"]["type"]["enum"];
        assert_eq!(words(kinds), crate::component::KINDS.map(|(word, _)| word));
    }

    #[test]
    fn every_definition_of_the_json_schema_is_there_and_used() {
        let schema = schema();
        let mut used = BTreeSet::new();
        collect_references(&schema, &mut used);
        let defined: BTreeSet<String> = schema["$defs"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(used, defined);
    }

    #[test]
    fn the_reference_for_people_has_every_field() {
        let reference = docs("manifest.md");
        // A field is shown in prose, as the last part of a path, or in an example.
        let is_shown = |field: &str| {
            [
                format!("`{field}`"),
                format!(".{field}`"),
                format!("{field}:"),
            ]
            .iter()
            .any(|form| reference.contains(form))
        };
        for shape in ALL {
            let missing: Vec<_> = shape
                .fields
                .iter()
                .filter(|field| !is_shown(field))
                .collect();
            assert!(missing.is_empty(), "{}: {missing:?}", shape.name);
        }
    }

    fn collect_references(value: &Value, used: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    used.insert(reference.trim_start_matches("#/$defs/").to_owned());
                }
                fields
                    .values()
                    .for_each(|value| collect_references(value, used));
            }
            Value::Array(items) => items
                .iter()
                .for_each(|value| collect_references(value, used)),
            _ => {}
        }
    }
}
