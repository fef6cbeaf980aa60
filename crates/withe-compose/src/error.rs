//! Errors of parts that are put together.

use std::fmt;

pub use crate::compare::Difference;
pub use crate::component::ReadError;

/// Why components cannot be linked into one. Parts are named as the request names them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Components need each other's exports to be instantiated.
    #[error("components need each other: {}; components inside one component cannot be linked in a circle",
        circle(.parts))]
    Cycle {
        /// Each needs the next, the last needs the first.
        parts: Vec<String>,
    },
    /// An export cannot satisfy the import that it is linked to.
    #[error(
        "`{export}` of `{exporter}` cannot satisfy the import `{import}` of `{importer}`: {difference}"
    )]
    Mismatch {
        /// The component that imports.
        importer: String,
        /// The import.
        import: String,
        /// The component that exports.
        exporter: String,
        /// The export.
        export: String,
        /// Where the two first differ.
        difference: Box<Difference>,
    },
    /// Components import something together but disagree about its type.
    #[error(
        "`{first}` and `{second}` import `{import}` and have to share it, but disagree: {difference}"
    )]
    Disagreement {
        /// The import that both have.
        import: String,
        /// The component whose type is the expected one.
        first: String,
        /// The component that has another.
        second: String,
        /// Where the two first differ.
        difference: Box<Difference>,
    },
    /// Components import different interfaces under one label.
    #[error("`{first}` imports {} as `{label}`, `{second}` imports {} as `{label}`; \
        link one of them to a component that exports it", interface(.first_implements), interface(.second_implements))]
    Labels {
        /// The label.
        label: String,
        /// A component.
        first: String,
        /// The interface that it means, if it has a name.
        first_implements: Option<String>,
        /// Another component.
        second: String,
        /// The interface that it means, if it has a name.
        second_implements: Option<String>,
    },
    /// An import or export that stays visible from outside uses a resource that only exists inside.
    #[error(
        "`{extern_name}` of `{part}` uses {resource}, which is linked inside the composition and \
        cannot be named from outside; link the two at run time instead"
    )]
    HiddenResource {
        /// The component.
        part: String,
        /// Its import or export.
        extern_name: String,
        /// The resource.
        resource: String,
    },
    /// Imports whose types refer to each other, so that none can come first.
    #[error("the types of these imports refer to each other: {}", circle(.imports))]
    SlotCycle {
        /// Each refers to the next, the last to the first.
        imports: Vec<String>,
    },
    /// An import or export of a kind that cannot be composed.
    #[error("`{extern_name}` of `{part}` is {what}, which cannot be composed")]
    Unsupported {
        /// The component.
        part: String,
        /// Its import or export.
        extern_name: String,
        /// The kind of item.
        what: String,
    },
    /// The composition is not valid. The parts were, so this is a limit of composing.
    #[error("the composition is not a valid component: {0}")]
    Invalid(String),
}

fn circle(names: &[String]) -> String {
    let names: Vec<_> = names
        .iter()
        .chain(names.first())
        .map(|name| format!("`{name}`"))
        .collect();
    names.join(" -> ")
}

fn interface(name: &Option<String>) -> impl fmt::Display {
    match name {
        Some(name) => format!("`{name}`"),
        None => "an interface without a name".into(),
    }
}

/// Errors one below the other.
pub(crate) fn lines(errors: &[impl fmt::Display]) -> String {
    errors
        .iter()
        .map(|error| error.to_string())
        .collect::<Vec<_>>()
        .join("\n")
}
