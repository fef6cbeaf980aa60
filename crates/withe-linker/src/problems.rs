//! Everything the linker has to say: one file for each family, with its codes, messages and help.
//!
//! The passes find what is wrong; what it is called, how it reads and what to do about it is here.

pub(crate) mod bindings;
pub(crate) mod commands;
pub(crate) mod config;
pub(crate) mod coverage;
pub(crate) mod imports;
pub(crate) mod kinds;
pub(crate) mod memory;
pub(crate) mod pairs;
pub(crate) mod selection;
pub(crate) mod targets;
pub(crate) mod types;
pub(crate) mod unused;
mod way_out;
pub(crate) mod written;

use crate::diagnostic::CodeInfo;

/// Every code of the linker, in order.
pub const CODES: &[CodeInfo] = &[
    imports::UNRESOLVED,
    targets::UNKNOWN,
    targets::DUPLICATE_ID,
    unused::COMPONENT,
    unused::CAPABILITY,
    commands::NOT_RUN,
    commands::SEVERAL,
    imports::TRAPPING,
    coverage::SATISFIES_NOTHING,
    coverage::AMBIGUOUS,
    coverage::LINKED_TWICE,
    selection::NOT_IMPORTED,
    selection::NOTHING_IMPORTED,
    selection::NOT_EXPORTED,
    selection::UNKNOWN_NAME,
    coverage::NO_DEFAULT,
    coverage::SEVERAL_LABELS,
    targets::BETWEEN_PROVIDERS,
    targets::NOT_CALLED,
    selection::MALFORMED,
    coverage::SETTINGS_CLASH,
    pairs::UNUSABLE,
    types::DIFFERENT,
    types::MISSING,
    bindings::SPREAD,
    bindings::NO_BROKER,
    bindings::PINNED,
    bindings::NONE,
    bindings::PROVIDER_SCOPE,
    bindings::SHARED_CYCLE,
    bindings::FUSED_CYCLE,
    memory::TOO_LARGE,
    config::MISSING,
    config::INVALID,
    config::SECRETS,
    config::DEFINED_TWICE,
    kinds::LINK_CONFIG,
    kinds::PROPERTY,
];

#[cfg(test)]
mod tests {
    use super::CODES;

    #[test]
    fn codes_are_unique_ordered_and_explained() {
        for pair in CODES.windows(2) {
            assert!(
                pair[0].code < pair[1].code,
                "{:?} before {:?}",
                pair[0].code,
                pair[1].code
            );
        }
        for info in CODES {
            assert!(
                info.code.0.len() == 5 && info.code.0.starts_with('W'),
                "{:?}",
                info.code
            );
            assert!(
                !info.title.is_empty() && info.explanation.len() > 80,
                "{:?}",
                info.code
            );
        }
    }
}
