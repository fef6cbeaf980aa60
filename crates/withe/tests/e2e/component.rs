//! Components without a manifest: served, run as commands, linked to what needs no configuration.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::client::get;
use crate::support::process::{self, Ended, Up};
use crate::support::{Folder, LONG, guest};

fn command(folder: &Folder, name: &str, options: &[&str]) -> std::process::Command {
    let file = guest(name).display().to_string();
    folder.command(&[&["up", &file], options].concat())
}

fn run(folder: &Folder, name: &str, options: &[&str]) -> Ended {
    process::run(command(folder, name, options))
}

#[test]
fn a_command_has_its_arguments_streams_and_exit_code() {
    let folder = Folder::new();
    let mut upper = command(
        &folder,
        "command",
        &["--", "upper", "out", "-v", "err", "oops"],
    );
    let mut child = upper.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"what is read")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"WHAT IS READ-v", "{output:?}");
    assert_eq!(output.stderr, b"oops\n", "{output:?}");

    // WASI 0.2 says only whether a command failed.
    assert_eq!(run(&folder, "command", &["--", "exit", "7"]).code, Some(1));
    assert_eq!(run(&folder, "command", &["--", "exit", "0"]).code, Some(0));
    assert_eq!(run(&folder, "command", &["--", "fail"]).code, Some(1));
    let trapped = run(&folder, "command", &["--", "trap"]);
    trapped.failed(&["running `command`", "unreachable"]);
}

#[test]
fn a_command_of_wasi_0_3() {
    let folder = Folder::new();
    let ended = run(&folder, "command-p3", &["--", "a", "b"]);
    assert_eq!(ended.printed(), "a b");
    let failed = run(&folder, "command-p3", &["--", "fail"]);
    assert_eq!(
        (failed.code, &*failed.stdout),
        (Some(1), "fail\n"),
        "{failed:?}"
    );
}

/// The manifest printed for a command line gives the component the same as the command line does.
#[test]
fn a_command_and_its_manifest_do_the_same() {
    let folder = Folder::new();
    folder.write("data/text", "told");
    let options = [
        "--dir",
        "data::/d",
        "--env",
        "A=it's \"B\"",
        "--",
        "env",
        "A",
        "read",
        "/d/text",
        "out",
        "1",
    ];
    let ended = run(&folder, "command", &options);
    assert_eq!(ended.printed(), "it's \"B\"\ntold\n1");
    let manifest = run(
        &folder,
        "command",
        &[&["--emit-manifest"], &options[..]].concat(),
    );
    folder.write("app.yaml", manifest.printed());
    let again = folder.run(&["up", "app.yaml"]);
    assert_eq!((again.printed(), &*again.stderr), (ended.printed(), ""));
    let others = folder.run(&["up", "app.yaml", "--", "out", "2"]);
    assert_eq!(others.printed(), "2");
}

#[test]
fn a_handler_is_served_and_linked_to_what_it_imports() {
    let folder = Folder::new();
    let http_out = guest("http-out").display().to_string();
    let hello = guest("hello").display().to_string();
    let listen = ["--listen", "127.0.0.1:0"];
    let served = Up::start(folder.command(&[&["up", &hello], &listen[..]].concat()));
    let fetching = Up::start(folder.command(&[&["up", &http_out], &listen[..]].concat()));
    fetching
        .says("`http-out` is linked to the provider `http-client` for wasi:http/outgoing-handler@");
    let url = format!("/?url=http://{}/", served.address());
    let answer = get(&fetching.address(), &url).unwrap();
    assert_eq!((answer.status, answer.text()), (200, "hello\n".into()));
    for mut up in [served, fetching] {
        up.interrupt();
        assert_eq!(up.exit_code(), Some(0));
    }
}

#[test]
fn another_port_is_used_if_the_usual_one_is_taken() {
    // Held by this test. Another owner, such as another run of the tests, may let it go before the command looks;
    // one who keeps it for long does not.
    let until = Instant::now() + LONG;
    let _taken = loop {
        match TcpListener::bind("127.0.0.1:8080") {
            Err(_) if Instant::now() < until => thread::sleep(Duration::from_millis(50)),
            held => break held,
        }
    };
    let folder = Folder::new();
    let up = Up::start(command(&folder, "hello", &[]));
    up.says("port 8080 is taken, so another one is used");
    assert_eq!(get(&up.address(), "/").unwrap().status, 200);
}

#[test]
fn a_component_is_called_with_what_it_imports() {
    let folder = Folder::new();
    let [a, b] = ["identity-a", "identity-b"].map(|name| guest(name).display().to_string());
    let called = folder.run(&[
        "call",
        &a,
        "t:identity/run#report()",
        "--link",
        &b,
        "--env",
        "WHO=me",
        "--config",
        "who=me",
    ]);
    let printed = called.printed();
    assert!(
        printed.contains("a env WHO: Some(\\\"me\\\")") && printed.contains("b env WHO: None"),
        "{called:?}"
    );
    for component in ["identity-a", "identity-b"] {
        let said = format!("`{component}` is linked to the provider `keyvalue` (backend: memory)");
        assert!(called.stderr.contains(&said), "{called:?}");
    }
    assert!(
        !folder.path("data").exists(),
        "memory leaves nothing behind"
    );
}

#[test]
fn arguments_and_results_are_json_too() {
    let folder = Folder::new();
    let types = guest("ops").display().to_string();
    let call =
        |call: &str, options: &[&str]| folder.run(&[&["call", &types, call], options].concat());
    let greeted = call(r#"greet("A\u00e9")"#, &["--json"]);
    assert_eq!(greeted.printed(), r#""hello, Aé""#);
    let wrong = call("greet(null)", &[]);
    wrong.failed(&["expected a string in quotes, found null"]);
}

/// The component imports more than it needs for that.
#[test]
fn what_a_component_prints_is_what_it_prints() {
    let folder = Folder::new();
    let file = guest("hello-calls").display().to_string();
    let options = ["up", &file, "--listen", "127.0.0.1:0", "--missing", "trap"];
    let up = Up::start(folder.command(&options));
    up.says("which nothing provides: calls of it trap");
    let address = up.address();
    assert_eq!(get(&address, "/shout").unwrap().status, 200);
    let printed = up.prints("aaaa");
    assert!(printed.bytes().all(|b| b == b'a'), "{printed}");
    let said = up.says("WARN two");
    assert_eq!(said, "one\u{1b}[31m\rWARN two");
}

#[test]
fn what_several_components_print_bears_their_names() {
    let folder = Folder::new();
    let [hello, ops] = ["hello-calls", "ops"].map(|name| guest(name).display().to_string());
    let up = Up::start(folder.command(&["up", &hello, "--link", &ops, "--listen", "127.0.0.1:0"]));
    let address = up.address();
    assert_eq!(get(&address, "/shout").unwrap().status, 200);
    let printed = up.prints("aaaa");
    assert!(printed.starts_with("hello-calls | aaaa"), "{printed}");
    let said = up.says("WARN two");
    assert_eq!(said, r"hello-calls | one\u{1b}[31m\rWARN two");
}
