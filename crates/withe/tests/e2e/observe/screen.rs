//! `withe top` on a terminal, which `script` of util-linux makes.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::page::shop;
use crate::support::LONG;
use crate::support::client::get;

#[test]
fn top_draws_on_a_terminal_and_leaves_it_as_it_was() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `script` (util-linux), which makes a terminal");
        return;
    }
    let folder = shop();
    let up = folder.up(&[]);
    let address = up.address();
    up.says("`app` runs");
    get(&address, "/add").unwrap();
    let top = folder.command(&["top"]);
    let mut command = Command::new("script");
    let program = top.get_program().to_str().unwrap().to_owned();
    command
        .args([
            "-qefc",
            &format!("stty rows 20 cols 90; {program} top; stty -a; printf 'the %s' end"),
            "/dev/null",
        ])
        .current_dir(folder.path("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for (name, value) in top.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = command.spawn().unwrap();
    let mut keys = child.stdin.take().unwrap();
    let mut output = child.stdout.take().unwrap();
    let (sender, pieces) = mpsc::channel();
    let reading = thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = output.read(&mut bytes) {
            // The test may be over.
            _ = sender.send(String::from_utf8_lossy(&bytes[..n]).into_owned());
        }
    });
    let deadline = Instant::now() + LONG;
    let mut text = String::new();
    let mut until = |wanted: &str| {
        while !text.contains(wanted) {
            let left = deadline.saturating_duration_since(Instant::now());
            match pieces.recv_timeout(left) {
                Ok(piece) => text += &piece,
                Err(_) => panic!("no {wanted:?} in {text:?}"),
            }
        }
        // The text behind it may be what is waited for next.
        let end = text.find(wanted).unwrap() + wanted.len();
        let behind = text.split_off(end);
        std::mem::replace(&mut text, behind)
    };
    until("\u{1b}[?1049h");
    let frame = until("hello → ops");
    assert!(frame.contains("CALLS/S"), "{frame:?}");
    keys.write_all(b"2").unwrap();
    until("INSTANCES");
    keys.write_all(b"q").unwrap();
    let left = until("\u{1b}[?1049l");
    assert!(left.contains("\u{1b}[?25h"), "{left:?}");
    // As it was: it shows what is typed, and gives whole lines.
    let mut modes = until("isig");
    modes += &until("echok");
    let words: Vec<_> = modes.split([' ', '\n', '\r', ';']).collect();
    for mode in ["isig", "icanon", "echo"] {
        assert!(words.contains(&mode), "{mode}: {words:?}");
    }
    drop(keys);
    assert!(child.wait().unwrap().success());
    reading.join().unwrap();
}
