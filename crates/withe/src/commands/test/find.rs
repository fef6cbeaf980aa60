//! The tests of a component: functions that it exports.
//!
//! Components have no attributes by which a function could be marked, so it is the names and types that say what is a test:
//! what an interface called `tests` exports, what is called `test-…` anywhere, and `wasi:cli/run`, where there is nothing
//! else. A test takes no parameters, and fails by a trap or by returning an error.

use withe_host::FunctionPath;
use withe_wit::{ExternItem, FuncKind, Function, Type, World};

/// A test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundTest {
    pub(super) component: String,
    pub(super) path: FunctionPath,
    /// As it is shown, and filtered by.
    pub(super) name: String,
}

/// A function that seems to be meant as a test, and is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` of `{component}` is no test: it {why}")]
pub(super) struct NoTest {
    component: String,
    name: String,
    why: &'static str,
}

/// The tests of `component`, by their names.
///
/// # Errors
///
/// If a function is called as a test is, and cannot be one: all of these.
pub(super) fn tests(component: &str, world: &World) -> Result<Vec<FoundTest>, Vec<NoTest>> {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for export in &world.exports {
        let interface = match &export.item {
            ExternItem::Function(_) => None,
            _ => Some(export.name.as_str()),
        };
        let is_of_tests = interface.is_some_and(is_of_tests);
        for function in export.functions() {
            if !is_of_tests && !function.name.starts_with("test-") {
                continue;
            }
            let name = shown(interface, &function.name);
            match misfit(function) {
                None => found.push(FoundTest {
                    component: component.to_owned(),
                    path: FunctionPath {
                        interface: interface.map(str::to_owned),
                        function: function.name.clone(),
                    },
                    name,
                }),
                Some(why) => refused.push(NoTest {
                    component: component.to_owned(),
                    name,
                    why,
                }),
            }
        }
    }
    if found.is_empty()
        && refused.is_empty()
        && let Some(command) = world.command()
    {
        found.push(FoundTest {
            component: component.to_owned(),
            path: FunctionPath {
                interface: Some(command.name.clone()),
                function: "run".to_owned(),
            },
            name: "run".to_owned(),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    match refused.is_empty() {
        true => Ok(found),
        false => Err(refused),
    }
}

/// Whether an interface has tests: `tests`, or one whose name ends so.
fn is_of_tests(export: &str) -> bool {
    let name = export.split('@').next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default();
    ["test", "tests"].contains(&name) || name.ends_with("-test") || name.ends_with("-tests")
}

/// `tests#adds-up`: the interface without its package, for tests are mostly of one.
fn shown(interface: Option<&str>, function: &str) -> String {
    let Some(interface) = interface else {
        return function.to_owned();
    };
    let name = interface.split('@').next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default();
    format!("{name}#{function}")
}

/// Why a function can be no test.
fn misfit(function: &Function) -> Option<&'static str> {
    if function.kind != FuncKind::Free {
        return Some("belongs to a resource");
    }
    if !function.params.is_empty() {
        return Some("takes parameters");
    }
    match function.result {
        None | Some(Type::Result(..)) => None,
        Some(_) => Some("returns neither nothing nor a `result`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(world: &str) -> Result<Vec<String>, Vec<String>> {
        let package = "package t:t@1.0.0; \
                       interface tests { adds-up: func() -> result<_, string>; traps: func(); } \
                       interface cart { total: func() -> u32; test-total: func() -> result; } \
                       interface unit-tests { sum: func(of: u32); answer: func() -> u32; }";
        let world = World::from_wit(&[&format!("{package} world w {{ {world} }}")], "w").unwrap();
        match tests("c", &world) {
            Ok(tests) => Ok(tests.into_iter().map(|test| test.name).collect()),
            Err(refused) => Err(refused.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn tests_are_known_by_their_names() {
        for (world, wanted) in [
            ("export tests;", &["tests#adds-up", "tests#traps"][..]),
            ("export cart;", &["cart#test-total"]),
            (
                "export test-it: func(); export other: func();",
                &["test-it"],
            ),
            ("export other: func();", &[]),
        ] {
            assert_eq!(
                of(world),
                Ok(wanted.iter().map(ToString::to_string).collect())
            );
        }
    }

    #[test]
    fn what_cannot_be_a_test_is_said() {
        let refused = of("export unit-tests;").unwrap_err();
        assert_eq!(
            refused,
            [
                "`unit-tests#sum` of `c` is no test: it takes parameters",
                "`unit-tests#answer` of `c` is no test: it returns neither nothing nor a `result`",
            ]
        );
    }

    #[test]
    fn a_command_is_a_test_where_there_is_no_other() {
        let cli = "package wasi:cli@0.2.6; interface run { run: func() -> result; }";
        let named = |more: &str| {
            let own = format!("package t:t; world w {{ export wasi:cli/run@0.2.6; {more} }}");
            let world = World::from_wit(&[cli, &own], "w").unwrap();
            let all = tests("c", &world).unwrap().into_iter();
            all.map(|test| test.name).collect::<Vec<_>>()
        };
        assert_eq!(named(""), ["run"]);
        assert_eq!(named("export test-it: func();"), ["test-it"]);
    }
}
