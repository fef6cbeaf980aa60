//! Compiled code that somebody else has put there is not executed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use crate::support::Folder;
use crate::support::manifest::{application, component};
use crate::support::process::{Ended, run};

const CACHE: &str = "cache";

/// An application with a cache of its own.
fn application_in(grants: &str) -> Folder {
    let properties = format!("grants: {{{grants}}}");
    Folder::with(&application(&[component(
        "probe",
        "fs-probe",
        &properties,
        &[],
    )]))
}

fn call(folder: &Folder) -> Ended {
    let mut command = folder.command(&["call", "app.yaml", "probe", r#"t:probe/run#env("PATH")"#]);
    command.env("WITHE_CACHE_DIR", folder.path(CACHE));
    command.env("XDG_STATE_HOME", folder.path("state"));
    run(command)
}

/// The entries of the cache.
fn entries(folder: &Folder) -> Vec<PathBuf> {
    let found = fs::read_dir(folder.path(CACHE)).unwrap();
    found.map(|entry| entry.unwrap().path()).collect()
}

fn set_mode(path: PathBuf, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn compiled_code_that_was_changed_is_reported_and_made_anew() {
    let folder = application_in("");
    assert_eq!(call(&folder).printed(), "none");
    let [entry] = &entries(&folder)[..] else {
        panic!("not one entry: {:?}", entries(&folder));
    };
    let good = fs::read(entry).unwrap();
    // Somewhere in the code, which is most of it; and at both ends.
    for at in [0, good.len() / 4, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(entry, &bad).unwrap();
        let ended = call(&folder);
        assert_eq!(ended.printed(), "none");
        let reports = ended.stderr.matches("is not used, and made anew").count();
        assert_eq!(reports, 1, "{at}: {ended:#?}");
        assert_eq!(fs::read(entry).unwrap(), good, "{at}");
        let ended = call(&folder);
        assert_eq!(ended.printed(), "none");
        assert!(!ended.stderr.contains("made anew"), "{at}: {ended:#?}");
    }
    // A whole cache from elsewhere meets another key.
    fs::remove_dir_all(folder.path("state")).unwrap();
    let ended = call(&folder);
    assert!(ended.stderr.contains("made anew"), "{ended:#?}");
}

#[test]
fn a_folder_for_compiled_code_that_others_can_change_is_not_used() {
    let folder = application_in("");
    fs::create_dir_all(folder.path("open/cache")).unwrap();
    set_mode(folder.path("open"), 0o777);
    symlink("open/cache", folder.path(CACHE)).unwrap();
    call(&folder).failed(&["cannot be used", "symbolic link", "WITHE_CACHE_DIR"]);
    assert!(
        fs::read_dir(folder.path("open/cache"))
            .unwrap()
            .next()
            .is_none()
    );
    fs::remove_file(folder.path(CACHE)).unwrap();

    symlink("open/none", folder.path("way")).unwrap();
    for (cache, shown) in [("open/cache", "open"), ("way/cache", "open")] {
        let mut command = folder.command(&["call", "app.yaml", "probe", "t:probe/run#env(\"A\")"]);
        command.env("WITHE_CACHE_DIR", folder.path(cache));
        let open = folder.path(shown).canonicalize().unwrap();
        run(command).failed(&["others may write to", &open.display().to_string()]);
    }

    fs::create_dir(folder.path(CACHE)).unwrap();
    set_mode(folder.path(CACHE), 0o777);
    call(&folder).failed(&["others may write to", "chmod go-w"]);
    // Users who could only read it have changed nothing, and can read no longer.
    set_mode(folder.path(CACHE), 0o755);
    assert_eq!(call(&folder).printed(), "none");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.path(CACHE)), 0o700);
    assert_eq!(mode(entries(&folder).remove(0)), 0o600);
    assert_eq!(mode(folder.path("state/withe/cache.key")), 0o600);
}

#[test]
fn no_component_is_granted_to_write_to_what_the_host_executes() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_withe"));
    let programs = program.parent().unwrap().display().to_string();
    for (host, what) in [
        (".", "compiled code"),
        ("./cache", "compiled code"),
        ("./cache/below", "compiled code"),
        ("./link", "compiled code"),
        ("./state", "the key"),
        ("./tmp", "programs and sockets"),
        ("./withe", "sockets"),
        (&programs, "own program"),
    ] {
        let grants = |rest: &str| format!("directories: [{{host: {host:?}, guest: /d{rest}}}]");
        let folder = application_in(&grants(""));
        for made in ["cache/below", "state/withe", "withe"] {
            fs::create_dir_all(folder.path(made)).unwrap();
        }
        symlink("cache", folder.path("link")).unwrap();
        call(&folder).failed(&["`probe` is granted to write", what, "read_only"]);

        let reading = application_in(&grants(", read_only: true"));
        for made in ["cache/below", "state/withe", "withe"] {
            fs::create_dir_all(reading.path(made)).unwrap();
        }
        symlink("cache", reading.path("link")).unwrap();
        assert_eq!(call(&reading).printed(), "none", "{host}");
    }
}
