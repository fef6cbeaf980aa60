//! A program that its operator listed, and that was taken over: what is left for it to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::greeter;
use super::support::lattice::Lattice;
use crate::support::Folder;
use crate::support::examples;
use crate::support::process::Up;

/// The attacks that the program tries before it does its work: a sentence and a command each.
const TRIES: [(&str, &str); 5] = [
    ("read the secret", "cat $SECRET"),
    ("changed the folder", "touch $FOLDER/changed"),
    ("saw the environment of the host", "cat /proc/$PPID/environ"),
    ("signalled the host", "kill -CONT $PPID"),
    ("made a namespace", "unshare --mount true"),
];

/// A folder with an application whose provider tries all that, and then greets.
fn attacker() -> Folder {
    let folder = Folder::new();
    folder.write("private/secret", "correct-horse");
    let greeter = examples::greeter_program();
    let (secret, own) = (folder.path("private/secret"), folder.path("private"));
    let mut script = format!(
        "#!/bin/sh\nGREETER={}\nSECRET={}\nFOLDER={}\n[ $# -gt 0 ] && exec $GREETER \"$@\"\n",
        greeter.display(),
        secret.display(),
        own.display()
    );
    for (what, command) in TRIES {
        let tried = format!(
            "if {command} >/dev/null 2>&1 </dev/null; then echo 'ATTACK {what}'; else echo 'NO {what}'; fi >&2\n"
        );
        script.push_str(&tried);
    }
    // A file of its own is its to make.
    script
        .push_str("if touch $TMPDIR/own; then echo 'OWN temporary file' >&2; fi\nexec $GREETER\n");
    folder.write("provider.sh", &script);
    let program = folder.path("provider.sh");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let manifest = examples::greeter(&program, "", "", "target: greeter");
    folder.write("app.yaml", &manifest);
    folder
}

fn up(folder: &Folder, options: &[&str]) -> Up {
    let greeter = examples::greeter_program();
    let reads = format!("--program-read={}", greeter.display());
    folder.up(&[&["--log=info", &reads], options].concat())
}

/// Whether this system can confine a process.
fn can_confine() -> bool {
    let withe = Command::new(env!("CARGO_BIN_EXE_withe"))
        .args(["confine", "--required", "--", "/bin/true"])
        .stderr(Stdio::null())
        .status();
    withe.unwrap().success()
}

#[test]
fn a_program_reaches_neither_the_users_files_nor_other_processes() {
    if !can_confine() {
        return eprintln!("this system has no Landlock: nothing is tried");
    }
    let folder = attacker();
    let up = up(&folder, &["--confine-programs=required"]);
    for (what, _) in TRIES {
        up.says(&format!("NO {what}"));
    }
    up.says("OWN temporary file");
    assert!(!folder.path("private/changed").exists());
    greeter::greets(&up, &up.address(), "Hello, Ada!\n");
}

#[test]
fn an_operator_can_let_a_program_have_what_it_needs() {
    let folder = attacker();
    let writes = format!("--program-write={}", folder.path("private").display());
    for options in [&["--confine-programs=off"][..], &[&writes]] {
        let up = up(&folder, options);
        up.says("ATTACK read the secret");
        up.says("ATTACK changed the folder");
        greeter::greets(&up, &up.address(), "Hello, Ada!\n");
        fs::remove_file(folder.path("private/changed")).unwrap();
    }
}

#[test]
fn a_program_of_the_lattice_is_confined_when_it_is_asked_what_it_is() {
    if !can_confine() {
        return eprintln!("this system has no Landlock: nothing is tried");
    }
    let lattice = Lattice::new();
    let greeter = examples::greeter_program();
    let asked = lattice.path("asked");
    fs::create_dir(&asked).unwrap();
    // Each asking process confines the program by itself, so each leaves a file of its own.
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --describe ] && touch '{}'/by-$PPID 2>/dev/null\nexec '{}' \"$@\"\n",
        asked.display(),
        greeter.display()
    );
    let program = lattice.path("provider.sh");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let manifest = examples::greeter(&program, "", "", "target: greeter");
    fs::write(lattice.path("app.yaml"), manifest).unwrap();
    let reads = format!("--program-read={}", greeter.display());
    let options = ["--allow-programs", "--confine-programs=required", &reads];
    let host = lattice.host_with("trusting", &options);
    lattice.run(&["up", "app.yaml"]).printed();
    lattice.runs();
    let files = fs::read_dir(&asked).unwrap().flatten();
    let by: Vec<_> = files.map(|file| file.file_name()).collect();
    let host = format!("by-{}", host.id());
    assert!(
        !by.is_empty(),
        "the deployer, whose program it is, has asked it"
    );
    assert!(by.iter().all(|file| *file != *host), "{by:?}");
}
