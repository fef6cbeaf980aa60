//! `withe call`: calls over links of every binding and scope.

use std::fs::File;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::Stdio;

use crate::support::manifest::{application, component, http_server_at};
use crate::support::process::{Ended, Up, run};
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

/// `withe call` of a guest, with a text as its standard input.
fn fed(guest_name: &str, row: &str, options: &[&str], input: &str) -> Ended {
    let folder = Folder::new();
    folder.write("input", input);
    let component = guest(guest_name).display().to_string();
    let mut command = folder.command(&[&["call", &component, row], options].concat());
    command.stdin(File::open(folder.path("input")).unwrap());
    run(command)
}

#[test]
fn streams_are_printed_in_every_form_of_a_result() {
    for (row, text, json) in [
        ("maybe(3)", "0\n1\n2", "0\n1\n2"),
        (
            "maybe(0)",
            r#"err("there are none")"#,
            r#"{"err": "there are none"}"#,
        ),
        (
            "read(false)",
            "some bytes",
            "[115,111,109,101,32,98,121,116,101,115]",
        ),
        (
            r#"titled("x")"#,
            "{title: \"x\", body: stream}\nabout x",
            "{\"body\":\"stream\",\"title\":\"x\"}\n[97,98,111,117,116,32,120,10]",
        ),
        (
            r#"cart.new("ann") | add("pen") | items()"#,
            "\"of ann\"\n\"pen\"",
            "\"of ann\"\n\"pen\"",
        ),
    ] {
        let printed = fed("returns-p3", row, &[], "");
        assert_eq!(printed.printed(), text, "{row}");
        let printed = fed("returns-p3", row, &["--json"], "");
        let is_pretty = row == "maybe(0)";
        let found = match is_pretty {
            true => printed.printed().replace("\n  ", "").replace('\n', ""),
            false => printed.printed().to_owned(),
        };
        assert_eq!(found, json, "{row}");
    }
    // Several streams at a time, each with its name; which of them comes first is theirs.
    let both = fed("returns-p3", "both(2)", &[], "");
    let mut lines: Vec<_> = both.printed().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["0: 0", "0: 1", r#"1: "is 0""#, r#"1: "is 1""#]);
    let nested = fed("returns-p3", "nested()", &[], "");
    let mut lines: Vec<_> = nested.printed().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [r#"1: "one""#, r#"2: "two""#]);
    // Futures.
    for (row, text) in [
        (r#"later("x")"#, r#""done: x""#),
        (r#"nested("abc")"#, "abc"),
        (r#"twice("ab")"#, r#""abab""#),
    ] {
        assert_eq!(fed("async-p3", row, &[], "").printed(), text, "{row}");
    }
}

#[test]
fn a_stream_that_ends_badly_has_printed_what_came() {
    let broken = fed("returns-p3", "broken(2)", &[], "");
    assert_eq!(broken.stdout, "\"line 0\"\n\"line 1\"\n");
    broken.failed(&[
        "calling `broken`",
        "its stream broke off",
        "nothing more is there",
    ]);
    let ended = fed("returns-p3", "read(true)", &[], "");
    assert_eq!(ended.stdout.trim_end(), "some bytes");
    ended.failed(&["its stream ended with err(\"the disk is gone\")"]);
    let silent = fed("returns-p3", "silent()", &["--timeout", "1"], "");
    silent.failed(&["no element came for 1 s", "--timeout"]);
    let strict = fed("returns-p3", "maybe(0)", &["--strict"], "");
    assert_eq!(
        (strict.code, strict.stdout.trim_end()),
        (Some(1), "err(\"there are none\")")
    );
}

#[test]
fn an_endless_stream_ends_with_its_reader_or_with_an_interrupt() {
    let component = guest("returns-p3").display().to_string();
    let folder = Folder::new();
    let mut command = folder.command(&["call", &component, "endless()"]);
    command.stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut first = [0; 10];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"more\nmore\n");
    // Nothing reads further: that is no error.
    drop(out);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let up = Up::start(folder.command(&["call", &component, "endless()"]));
    up.prints("more");
    up.interrupt();
    up.ended().failed(&["interrupted"]);
}

#[test]
fn streams_are_arguments_as_lists_and_from_what_is_read() {
    for (component, row, input, printed) in [
        ("returns-p3", "sum([1, 2, 3])", "", "6"),
        ("returns-p3", "sum(@-)", "1\n\n2\n39\n", "42"),
        (
            "returns-p3",
            r#"total({title: "abc", body: [1, 2]}, 3)"#,
            "",
            "15",
        ),
        (
            "returns-p3",
            r#"total({"title": "abc", "body": []}, 1)"#,
            "",
            "3",
        ),
        ("async-p3", "upper([104, 105])", "", "HI"),
        ("async-p3", "upper(@-)", "a\nb\n", "A\nB"),
        ("async-p3", "count(@input)", "four", "4"),
        ("io-streams", "pass(@-)", "as it is", "as it is"),
        ("io-streams", "length(@input)", "four", "4"),
    ] {
        let ended = fed(component, row, &[], input);
        assert_eq!(ended.printed(), printed, "{row}");
    }
    // More than fits into any buffer on the way.
    let long = "0123456789abcde\n".repeat(1 << 16);
    let ended = fed("io-streams", "pass(@-)", &[], &long);
    assert_eq!((ended.code, ended.stdout == long), (Some(0), true));
    for (component, row, said) in [
        (
            "async-p3",
            "upper(@gone)",
            "argument `input`: cannot read `gone`: ",
        ),
        (
            "async-p3",
            "upper([300])",
            "at `300`; the function is `upper: async func(input: stream<u8>)",
        ),
        (
            "async-p3",
            "add(@input, 1)",
            "`@input` is read as a stream, and a `u32` is expected",
        ),
        ("async-p3", "upper(@-, 1)", "expected 1 arguments, found 2"),
        ("async-p3", "upper($1)", "`$1` stands for a resource"),
        ("returns-p3", "sum(@-)", "standard input, line 1: "),
        ("io-streams", "length(1)", "is written as `@FILE`, or `@-`"),
    ] {
        fed(component, row, &[], "x\n").failed(&[said]);
    }
}

#[test]
fn resources_of_earlier_calls_are_arguments() {
    let two = r#"cart.new("ann") | cart.new("bob")"#;
    for (rest, printed) in [
        (
            r#"add("pen") | merge($1, $2) | items()"#,
            "\"of ann\"\n\"of bob\"\n\"pen\"",
        ),
        ("merge($2, $1) | items()", "\"of bob\"\n\"of ann\""),
        ("items($1)", "\"of ann\""),
        ("is-same($1)", "false"),
        ("is-same($2)", "true"),
    ] {
        let ended = fed("returns-p3", &format!("{two} | {rest}"), &[], "");
        assert_eq!(ended.printed(), printed, "{rest}");
    }
    for (rest, said) in [
        (
            "merge($1, $1)",
            "argument `b`: call 3 took the resource of call 1",
        ),
        (
            "merge($1, $2) | items($1)",
            "call 3 took the resource of call 1",
        ),
        (
            "items($3)",
            "`$3` stands for what call 3 of the row returned",
        ),
        (r#"add("x") | items($3)"#, "call 3 returns no resource"),
        ("is-same(1)", "a resource `cart` is written as `$N`"),
    ] {
        let row = match rest.starts_with("merge($1, $1)") {
            true => format!("{two} | {rest} | items()"),
            false => format!("{two} | {rest}"),
        };
        fed("returns-p3", &row, &[], "").failed(&[said]);
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
