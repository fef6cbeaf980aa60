//! A file for which there is no room. A disk cannot be filled in a test, so a child process has a limit for its files.

mod support;

use std::env;
use std::process::{Command, Stdio};

use support::{Component, link};
use withe_provider::Provider as _;

/// Where the child keeps its file.
const FOLDER: &str = "WITHE_TEST_FULL";
/// How many bytes a value has.
const VALUE: usize = 64 << 10;
/// More values than there is room for.
const VALUES: usize = 2000;

/// Runs `test` of this program with a limit of 8 or 16 MiB for a file, as the shell counts.
fn limited(test: &str, folder: &std::path::Path) -> String {
    // A process that ignores the signal is told by an error.
    let script = "trap '' XFSZ; ulimit -f 16384; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

fn path(folder: &std::path::Path) -> String {
    folder.join("data.redb").to_str().unwrap().to_owned()
}

fn value(n: usize) -> String {
    format!("{n:08}").repeat(VALUE / 8)
}

/// The work of the child. Without a limit there is nothing to see.
#[tokio::test]
async fn within_a_limit() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let path = path(folder.as_ref());
    let c = Component::linked(link(1, "0.2.0-draft", &[("path", &path)])).await;
    let b = c.open("").await;
    let mut written = 0;
    let refused = loop {
        match c.set(b, &format!("{written}"), &value(written)).await {
            Ok(()) => written += 1,
            Err(why) => break why,
        }
        assert!(written < VALUES, "there is no limit");
    };
    assert!(refused.0.contains("no room left"), "{refused:?}");
    // Values from before can be read, and made smaller, once the file is open again.
    let give_up = std::time::Instant::now() + support::PATIENCE;
    while c.get(b, "0").await.is_err() && std::time::Instant::now() < give_up {
        tokio::task::yield_now().await;
    }
    for n in 0..written {
        let kept = c.get(b, &format!("{n}")).await.unwrap();
        assert_eq!(kept, Some(value(n).into_bytes()), "{n} of {written}");
    }
    // The refused value is there only if the error says that it may be.
    let kept = c.get(b, &format!("{written}")).await.unwrap();
    let may_be = refused.0.contains("may or may not be");
    assert!(
        may_be || refused.0.contains("nothing was written"),
        "{refused:?}"
    );
    assert!(kept.is_none() || may_be, "{refused:?}");
    println!("written {written}.");
    c.provider.shutdown(support::PATIENCE).await;
}

#[tokio::test]
async fn a_full_disk_costs_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let said = limited("within_a_limit", folder.path());
    let (_, written) = said.split_once("written ").unwrap();
    let written: usize = written.split('.').next().unwrap().parse().unwrap();
    assert!(written > 10, "{said}");
    // With room again the file takes more, and has all that was acknowledged.
    let path = path(folder.path());
    let c = Component::linked(link(1, "0.2.0-draft", &[("path", &path)])).await;
    let b = c.open("").await;
    for n in 0..written {
        let kept = c.get(b, &format!("{n}")).await.unwrap();
        assert_eq!(kept, Some(value(n).into_bytes()), "{n} of {written}");
    }
    c.set(b, &format!("{written}"), &value(written))
        .await
        .unwrap();
    c.provider.shutdown(support::PATIENCE).await;
}
