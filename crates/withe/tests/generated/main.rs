//! Values of random types cross every binding, and come back as they were.
//!
//! For random types a pair of components is written (see [`pair`]). The pair is called over a link of
//! each binding, and in the oracle, which is the same pair composed with `wac` and run by plain
//! Wasmtime. All must return the values that were given.
//!
//! The pairs are the same every time. `GENERATED_SEED`, a number, makes others, and `GENERATED_CASES`
//! says how many. A failing case is made smaller before it is shown; its components are kept in the
//! target folder.
#![cfg(unix)]

mod abi;
mod binding;
mod coverage;
mod modules;
mod oracle;
mod pair;
#[allow(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../e2e/support/process.rs"]
mod process;
mod streams;
mod ty;
mod value;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, thread};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use wasmtime::component::{Val, wasm_wave};

use coverage::Coverage;
use oracle::Oracle;
use pair::{Encoding, Pair, Spec};

/// Far more than any call takes, on a busy machine too. Whatever waits gives up after it.
const LONG: Duration = Duration::from_secs(120);

/// The bindings that `withe call` takes.
const BINDINGS: [&str; 5] = ["fused", "local", "unix", "tcp", "nats"];

const SEED: u64 = 1;
const CASES: u32 = 36;

/// How many smaller ones are tried of what fails, and for how long, in milliseconds. Each takes some
/// processes.
const SMALLER: u32 = 400;
const SMALLER_TIME: u32 = 60_000;

/// The most bytes of values as text: Linux takes arguments of up to 128 KiB.
const TEXT: usize = 100_000;

#[test]
fn values_of_all_types_cross_every_binding() {
    let (seed, cases) = (number("GENERATED_SEED"), number("GENERATED_CASES"));
    let is_default = seed.is_none() && cases.is_none();
    let config = ProptestConfig {
        cases: cases.map_or(CASES, |cases| u32::try_from(cases).unwrap()),
        max_shrink_iters: SMALLER,
        max_shrink_time: SMALLER_TIME,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.unwrap_or(SEED).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);

    let oracle = Oracle::new();
    let coverage = RefCell::new(Coverage::default());
    let mut runner = TestRunner::new_with_rng(config, rng);
    let ran = runner.run(&specs_and_values(), |(spec, values)| {
        coverage.borrow_mut().add(&spec);
        check(&oracle, &spec, values).map_err(TestCaseError::fail)
    });
    match ran {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("{reason}"),
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
    }
    if is_default {
        coverage.into_inner().assert_full();
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is `{text}`, not a number")))
}

fn specs_and_values() -> impl Strategy<Value = (Spec, Vec<Val>)> {
    let parameters = prop_oneof![
        3 => vec(ty::any(), 1),
        3 => vec(ty::any(), 2..=5),
        // Few enough to be passed flat, and just too many.
        2 => vec(ty::leaf(), 12..=20),
    ];
    let encodings = || select(&Encoding::ALL[..]);
    let encodings = [encodings(), encodings()];
    let spec = (parameters, any::<bool>(), any::<bool>(), encodings);
    let spec = spec.prop_map(|(parameters, types_apart, streams, encodings)| Spec {
        parameters,
        types_apart,
        streams,
        encodings,
    });
    spec.prop_flat_map(|spec| {
        let values = vec(value::of(&spec.tuple().plain()), 1..=40);
        (Just(spec), values)
    })
}

/// Calls a pair over every binding and in the oracle; says how one of them does not return the values.
fn check(oracle: &Oracle, spec: &Spec, values: Vec<Val>) -> Result<(), String> {
    let values = as_many_as_fit(values);
    let given = wasm_wave::to_string(&values).unwrap();
    let lists = vec![given.as_str(); spec.returned_lists()];
    let expected = format!("({})", lists.join(", "));
    let pair = spec.build();

    let folder = tempfile::tempdir().unwrap();
    pair.write(folder.path());
    let returned = thread::scope(|scope| {
        let calls = BINDINGS.map(|binding| {
            let (folder, given) = (folder.path(), given.as_str());
            let call = move || binding::call(folder, binding, given);
            (binding, scope.spawn(call))
        });
        let mut returned = vec![("wac and wasmtime", oracle.call(&pair, values))];
        returned.extend(calls.map(|(binding, call)| (binding, call.join().unwrap())));
        returned
    });

    let is_right = |returned: &Result<String, String>| returned.as_ref() == Ok(&expected);
    if returned.iter().all(|(_, returned)| is_right(returned)) {
        return Ok(());
    }
    let kept = keep(&pair);
    let mut report = format!("{}\n{given}\n", spec.wit());
    for (by, returned) in &returned {
        let what = match returned {
            _ if is_right(returned) => "the same".into(),
            Ok(other) => format!("something else:\n{other}"),
            Err(said) => format!("a failure:\n{said}"),
        };
        let _ = writeln!(report, "\n{by} returned {what}");
        if BINDINGS.contains(by) && !is_right(returned) {
            let _ = writeln!(report, "{}", binding::shown(&kept, by, &given));
        }
    }
    Err(report)
}

/// A list of those values whose text, one after the other, still fits an argument.
fn as_many_as_fit(values: Vec<Val>) -> Val {
    let mut left = TEXT;
    let fits = |value: &Val| {
        let text = wasm_wave::to_string(value).unwrap();
        let rest = left.checked_sub(text.len() + 2);
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    Val::List(values.into_iter().filter(fits).collect())
}

/// Keeps the components of what failed, in place of what failed before.
fn keep(pair: &Pair) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated");
    fs::create_dir_all(&folder).unwrap();
    pair.write(&folder);
    folder
}
