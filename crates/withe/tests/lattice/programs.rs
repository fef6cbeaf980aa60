//! Programs of providers on hosts that do not have them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::support::client::get;
use crate::support::eventually;
use crate::support::lattice::Lattice;

/// Where the deployer has the program of `examples/greeter-provider`.
const PROGRAM: &str = "greeter-here";

/// Puts the example's application and its program in the folder of the lattice.
fn write(lattice: &Lattice) {
    let program = Path::new(env!("CARGO_BIN_EXE_withe")).with_file_name("greeter");
    fs::copy(&program, lattice.path(PROGRAM)).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/greeter-provider");
    let component = example.join("app/build/front.wasm");
    let listen = "source: {config: [{name: listen, properties: {address: \"127.0.0.1:0\"}}]}";
    let manifest = format!(
        "\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: app}}
spec:
  components:
    - name: http
      type: capability
      properties: {{image: \"withe:http-server\"}}
      traits: [{{type: link, properties: {{target: front, {listen}}}}}]
    - name: front
      type: component
      properties: {{image: \"{}\"}}
      traits: [{{type: link, properties: {{target: greeter}}}}]
    - name: greeter
      type: capability
      properties: {{image: \"file://./{PROGRAM}\"}}
      traits:
        - type: daemonscaler
          properties: {{spread: [{{name: here, requirements: {{zone: programs}}}}]}}
",
        component.display()
    );
    fs::write(lattice.path("app.yaml"), manifest).unwrap();
}

fn greets(lattice: &Lattice) {
    let address = lattice.address();
    eventually("somebody is greeted", || {
        let answer = get(&address, "/Ada").ok()?;
        (answer.status == 200).then(|| assert_eq!(answer.body, b"Hello, Ada!\n"))
    });
}

/// The programs that run of those in the folder of the lattice.
fn programs(lattice: &Lattice) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let programs = processes.filter_map(|process| fs::read_link(process.path().join("exe")).ok());
    programs
        .filter(|program| program.starts_with(lattice.path("")))
        .collect()
}

fn only(programs: Vec<PathBuf>) -> PathBuf {
    assert_eq!(programs.len(), 1, "{programs:?}");
    programs.into_iter().next().unwrap()
}

#[test]
fn a_host_runs_the_programs_that_its_operator_lets_it() {
    let lattice = Lattice::new();
    write(&lattice);
    let zone = ["--label", "zone=programs"];
    let mut strict = lattice.host_with("strict", &zone);
    // The same file is on the host's machine, which is no reason to run it.
    let refused = lattice.run(&["up", "app.yaml"]);
    refused.failed(&[
        "on host `strict`",
        "`greeter`",
        PROGRAM,
        "--program",
        "--allow-programs",
    ]);
    assert_eq!(strict.leave(), Some(0));

    // The bytes count, wherever the operator has them.
    let (own, folder) = (lattice.path("installed/greeter"), lattice.path("installed"));
    fs::create_dir(&folder).unwrap();
    fs::rename(lattice.path(PROGRAM), &own).unwrap();
    let named = format!("greeter={}", own.display());
    let folder = folder.display().to_string();
    for lets in [["--program", &named], ["--programs", &folder]] {
        let mut listing = lattice.host_with("listing", &[zone, lets].concat());
        lattice.runs();
        greets(&lattice);
        assert_eq!(only(programs(&lattice)), own);
        assert_eq!(listing.leave(), Some(0));
    }
    fs::remove_file(&own).unwrap();

    // Links to it are checked where it is not.
    let mut other = lattice.host("other");
    let mut trusting = lattice.host_with(
        "trusting",
        &["--label", "zone=programs", "--allow-programs"],
    );
    lattice.runs();
    lattice.runs_on("greeter", &["trusting"]);
    greets(&lattice);
    let given = only(programs(&lattice));
    // In a folder for temporary files, of the host's own.
    let folder = given.ancestors().nth(2).and_then(Path::file_name);
    let name = folder.map(|name| name.to_string_lossy().into_owned());
    assert!(
        name.is_some_and(|name| name.starts_with("withe-")),
        "{given:?}"
    );

    // Another program of the same name and version is another.
    write(&lattice);
    let program = lattice.path(PROGRAM);
    let mut file = OpenOptions::new().append(true).open(&program).unwrap();
    file.write_all(b"more").unwrap();
    drop(file);
    lattice.run(&["up", "app.yaml"]).printed();
    greets(&lattice);
    eventually("the program before is gone", || {
        let running = programs(&lattice);
        (running.len() == 1 && running != [given.as_path()]).then_some(())
    });

    for host in [&mut other, &mut trusting] {
        assert_eq!(host.leave(), Some(0));
    }
    let folder = given.ancestors().nth(2).unwrap();
    assert!(!folder.exists(), "{} is left behind", folder.display());
}
