//! `withe call`: calls over links of every binding and scope.

use std::net::TcpListener;

use crate::support::manifest::{application, component, http_server_at};
use crate::support::process::Ended;
use crate::support::{Folder, guest};

/// A call of the first component, linked to the second, and what it prints over each binding.
struct Case {
    components: [&'static str; 2],
    call: &'static str,
    printed: &'static str,
}

const CASES: &[Case] = &[
    Case {
        components: ["types-user", "types"],
        call: "t:types/run#run()",
        printed: "ok",
    },
    Case {
        components: ["resources-user", "resources"],
        call: "t:resources/run#transcript()",
        printed: r#"["name: apples", "value: 3", "add 4: 7", "describe: apples = 7", "absorb: 17", "pears after absorb: 10", "made, dropped: 2, 0", "merged: apples+pears = 27", "made, dropped: 3, 2", "parts: apples+pears/0 = 7, apples+pears/1 = 7, apples+pears/2 = 7, apples+pears/3 = 6", "made, dropped: 7, 3", "greatest: apples+pears/2 = 7", "greatest of none: false", "made, dropped: 7, 6", "consume: 7", "made, dropped: 8, 8"]"#,
    },
    Case {
        components: ["caller", "ops"],
        call: "t:bench/run#call-add(40, 2)",
        printed: "42",
    },
    Case {
        components: ["caller", "ops"],
        call: r#"t:bench/run#call-greet("ß 🦀")"#,
        printed: r#""hello, ß 🦀""#,
    },
    Case {
        components: ["caller", "ops"],
        call: "t:bench/run#call-counter()",
        printed: "1",
    },
    Case {
        components: ["caller", "ops"],
        call: "t:bench/run#records-n(3, 100)",
        printed: "300",
    },
    Case {
        components: ["caller", "ops"],
        call: "t:bench/run#bytes-n(2, 1000000)",
        printed: "2000000",
    },
];

/// `withe call` of the first component, linked to the second.
fn arguments(components: [&str; 2], call: &str, options: &[&str]) -> Vec<String> {
    let [source, target] = components.map(|name| guest(name).display().to_string());
    let mut all = vec!["call".into(), source, call.into(), "--link".into(), target];
    all.extend(options.iter().map(|&option| option.into()));
    all
}

fn call(components: [&str; 2], call: &str, options: &[&str]) -> Ended {
    let arguments = arguments(components, call, options);
    Folder::new().run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_link_means_the_same_over_every_binding() {
    for case in CASES {
        for binding in ["fused", "local", "unix", "auto"] {
            let ended = call(case.components, case.call, &["--binding", binding]);
            assert_eq!(ended.printed(), case.printed, "{} {binding}", case.call);
        }
    }
}

/// The server is in the way of nobody who calls another component, and prints nothing between results.
#[test]
fn functions_of_a_resource_are_called_in_a_row() {
    let counters = guest("resources").display().to_string();
    let call = |row: &str| Folder::new().run(&["call", &counters, row]);
    for (row, printed) in [
        (r#"counter.new("a|b", 5) | add(3) | value()"#, "8"),
        (r#"counters#counter("a", 5) | counter.add(1)"#, "6"),
        (r#"counter.new("a", 5) | describe()"#, r#""a = 5""#),
        // A function that takes the resource for good comes last.
        (r#"counter.new("a", 5) | add(2) | consume()"#, "7"),
        ("made()", "0"),
    ] {
        assert_eq!(call(row).printed().trim_end(), printed, "{row}");
    }
    for (row, said) in [
        (
            r#"counter.new("a", 5)"#,
            "returns a resource `counter`, which ends with the call: go on with what is called on it, as in `counter.new(…) | ",
        ),
        ("value()", "as in `counter.new(…) | value(…)`"),
        (
            "counter.value()",
            "begin with what returns one, as in `counter.new(…) | value(…)`",
        ),
        (
            r#"counter.new("a", 5) | vale()"#,
            "calling `vale` of `resources`: `counter` has no function `vale`; did you mean `value`?",
        ),
        (r#"counter.new("a", 5) | add("x")"#, "calling `add`"),
        (
            r#"counter.new("a", 5) | consume() | value()"#,
            "calling `value` of `resources`: there is no resource for `value` to be called on",
        ),
        ("made() | value()", "there is no resource for `value`"),
    ] {
        let refused = call(row);
        assert_eq!(refused.code, Some(1), "{row}: {refused:?}");
        assert!(refused.stderr.contains(said), "{row}: {}", refused.stderr);
    }
}

#[test]
fn parts_that_the_callee_does_not_reach_are_not_started() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let folder = Folder::with(&application(&[
        http_server_at(&taken, "hello"),
        component("hello", "hello", "", &[]),
        component("caller", "caller", "", &["target: ops"]),
        component("ops", "ops", "", &[]),
    ]));
    let ended = folder.call("caller", "t:bench/run#call-add(40, 2)");
    assert_eq!(ended.printed(), "42");
}

#[test]
fn values_cross_links_of_every_scope() {
    for scope in ["caller", "call", "shared"] {
        for case in CASES {
            // A resource lives no longer than the instance that made it.
            if scope == "call" && case.components[0] == "resources-user" {
                continue;
            }
            let options = ["--scope", scope, "--binding", "local"];
            let ended = call(case.components, case.call, &options);
            assert_eq!(ended.printed(), case.printed, "{} {scope}", case.call);
        }
    }
}

#[test]
fn a_trap_names_its_component_and_function() {
    for binding in ["fused", "local"] {
        call(
            ["caller", "ops"],
            "t:bench/run#call-trap()",
            &["--binding", binding],
        )
        .failed(&[
            "`call-trap` of `caller`",
            "component `ops`",
            "`t:bench/ops#trap`",
            "unreachable",
        ]);
    }
}

#[test]
fn a_call_that_never_returns_is_stopped() {
    for binding in ["fused", "local"] {
        call(
            ["caller", "ops"],
            "t:bench/run#call-spin()",
            &["--binding", binding, "--timeout", "1"],
        )
        .failed(&["`call-spin` of `caller`", "deadline"]);
    }
}

#[test]
fn streams_cross_every_binding_and_are_refused_by_name_where_the_callee_is_gone() {
    let components = ["async-p3-user", "async-p3"];
    let run = "t:streams/run#run()";
    for binding in ["fused", "local", "unix"] {
        let ended = call(components, run, &["--binding", binding]);
        assert_eq!(ended.printed(), "ok", "{binding}");
    }
    call(components, run, &["--scope", "call"]).failed(&[
        "error[W0404]",
        "`upper` of `t:streams/pipe`",
        "`stream<u8>`",
        "nothing was called",
    ]);
}

#[test]
fn a_component_keeps_to_its_own_memory_limit() {
    let folder = Folder::with(&application(&[
        component("caller", "caller", "", &["target: ops"]),
        component("ops", "ops", "limits: {memory: 8MiB}", &[]),
    ]));
    let grow = |mib: u32| folder.call("caller", &format!("t:bench/run#call-grow({mib})"));
    assert_eq!(grow(2).printed(), "ok(2)");
    // The allocator of `ops` is refused, and it says so.
    assert!(grow(32).printed().starts_with("err("), "{:#?}", grow(32));

    // The limit is that of `ops` alone: its caller has none.
    let large = folder.call("caller", "t:bench/run#bytes-n(1, 1000000)");
    assert_eq!(large.printed(), "1000000");
}
