//! Scripts for both ends of streams and futures, drawn at random: what each end sees over a link of any binding is what it sees in the
//! oracle.
//!
//! The components of `tests/conformance/scripts` draw scripts from seeds and carry them out: writes and reads of the same
//! counts or of any, reads that are taken back, ends that go, calls that are dropped, in bytes, numbers and texts, futures
//! by themselves and in streams, up to three at a time. A script says nothing of how far a writer is ahead of its reader, which is for the binding to
//! choose: where it matters, the writer waits for the reader.
//!
//! `CONFORMANCE_SCRIPTS=N` tries N seeds in place of a thousand, and `CONFORMANCE_SCRIPTS=FIRST..END` those.

use std::env;
use std::path::Path;

use wasmtime::component::Val;

use crate::{binding, case, oracle};

/// How many seeds are tried.
const SEEDS: u64 = 1_000;
/// How many of them in one call.
const AT_A_TIME: u32 = 200;
/// The same where more seeds are asked for than a run of the tests tries: most of the time of a short call is its start.
const AT_A_TIME_OF_MANY: u32 = 2_000;

fn check(binding: &str) {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/build");
    let [importer, exporter] = ["importer", "exporter"].map(|end| {
        let path = build.join(format!("scripts-{end}.wasm"));
        assert!(
            path.is_file(),
            "run `cargo xtask guests`: no {}",
            path.display()
        );
        path
    });
    let seeds = env::var("CONFORMANCE_SCRIPTS").map_or(0..SEEDS, |text| {
        let (first, end) = text.split_once("..").unwrap_or(("0", &text));
        first.parse().unwrap()..end.parse().unwrap()
    });
    let at_a_time = match seeds.end - seeds.start {
        ..=SEEDS => AT_A_TIME,
        _ => AT_A_TIME_OF_MANY,
    };
    for first in seeds.step_by(at_a_time as usize) {
        let args = [Val::U64(first), Val::U32(at_a_time)];
        let expected = oracle::call(&importer, &exporter, "run", &args);
        assert_eq!(expected.lines().count(), at_a_time as usize);
        let function = format!("run({first}, {at_a_time})");
        let ended = binding::linked(&importer, &exporter, &function, binding);
        let found = binding::outcome(&ended).unwrap_or_else(|said| panic!("{said}"));
        let differing = case::lines_that_differ(&expected, &found);
        assert!(differing.is_empty(), "over {binding}, by seed:{differing}");
    }
}

/// A test of each binding.
macro_rules! tests {
    ($($binding:ident)*) => {
        $(#[test]
        fn $binding() {
            check(stringify!($binding));
        })*
    };
}

tests! { fused local unix tcp nats }
