//! A link means the same over every binding: pairs of components, called over each of them and in the
//! oracle, which is the same pair composed with `wac` and run by plain Wasmtime.
//!
//! The cases are the folders of `tests/conformance/cases`, described in the README beside them; the
//! components are built by `cargo xtask guests`. Beside them, scripts for both ends of streams are drawn ([`scripts`]).
#![cfg(unix)]

mod binding;
mod case;
mod oracle;
#[allow(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../e2e/support/process.rs"]
mod process;
mod scripts;

use std::collections::BTreeSet;
use std::time::Duration;

/// Far more than any call takes, on a busy machine too. Whatever waits gives up after it.
const LONG: Duration = Duration::from_secs(120);

/// Tests of one case: the oracle, and each of the bindings.
macro_rules! tests {
    ($case:ident: $($binding:ident),*) => {
        mod $case {
            #[test]
            fn oracle() {
                crate::oracle::check(stringify!($case));
            }
            $(
                #[test]
                fn $binding() {
                    crate::binding::check(stringify!($case), stringify!($binding));
                }
            )*
        }
    };
}

macro_rules! table {
    ($($case:ident)*) => {
        /// All cases, under their names in Rust.
        const TABLE: &[&str] = &[$(stringify!($case)),*];

        // A binding that `withe call` takes is listed here once for all cases.
        $(tests!($case: fused, local, unix, tcp, nats);)*
    };
}

table! {
    after_the_return
    async_functions
    async_traps
    back_pressure
    borrows
    cancelled_calls
    concurrent_calls
    exporter_encodings
    fixed_length_lists
    flag_sets
    futures
    handles_in_values
    held_calls
    hostile_exporter
    hostile_importer
    importer_encodings
    kept_state
    large_values
    lists
    many_handles
    many_values
    maps
    options_and_results
    other_names
    panics
    records
    resources
    resources_of_others
    scalars
    stream_ends
    stream_writes
    streams_in_streams
    streams_in_values
    streams_of_bytes
    streams_of_resources
    streams_of_values
    strings
    trap_in_destructor
    trap_in_importer
    traps
    two_interfaces
    types_of_others
    variants
    versions
    world_functions
}

#[test]
fn every_case_is_in_the_table() {
    let table: BTreeSet<_> = TABLE.iter().map(|case| case::folder_name(case)).collect();
    assert_eq!(table, case::folders());
}
