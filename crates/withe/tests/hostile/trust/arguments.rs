//! Secrets on command lines, which other users of the machine can read.

use std::fs::File;

use super::greeter;
use crate::support::process::run;

#[test]
fn configuration_of_links_need_not_be_an_argument() {
    let folder = greeter::folder();
    let mut up = folder.up(&[]);
    let address = up.address();
    greeter::greets(&up, &address, "Hello, Ada!\n");
    let put = |option: &str, value: &str| {
        let mut command =
            folder.command(&["link", "put", "app", "front", "greeter", option, value]);
        command.env("PUNCTUATION", "!");
        command.stdin(File::open(folder.path("stdin")).unwrap());
        run(command)
    };
    folder.write("file", ".\n");
    folder.write("stdin", "?");
    for (option, value, greeting) in [
        ("--target-config-file", "punctuation=file", "Hello, Ada.\n"),
        ("--target-config-file", "punctuation=-", "Hello, Ada?\n"),
        (
            "--target-config-env",
            "punctuation=PUNCTUATION",
            "Hello, Ada!\n",
        ),
    ] {
        let put = put(option, value);
        put.printed();
        assert!(!put.stderr.contains("warning"), "{put:#?}");
        greeter::greets(&up, &address, greeting);
    }
    let warned = put("--target-config", "punctuation=redis://user:hidden@host");
    for text in ["warning", "`punctuation`", "--target-config-file"] {
        assert!(warned.stderr.contains(text), "no {text:?} in {warned:#?}");
    }
    let warning = warned
        .stderr
        .lines()
        .find(|line| line.starts_with("warning"));
    assert!(!warning.unwrap().contains("hidden"), "{warned:#?}");
    put("--target-config-env", "punctuation=NOT_SET").failed(&["`punctuation`", "`NOT_SET`"]);
    put("--target-config-file", "punctuation=nowhere").failed(&["`punctuation`", "`nowhere`"]);
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
}
