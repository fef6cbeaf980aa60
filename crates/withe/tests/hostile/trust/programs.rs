//! Records that name programs which no operator let the host run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use withe_load::artifact;

use super::support::lattice::Lattice;
use super::{Member, problem};

/// An application whose only part is a provider that is this file.
fn manifest(name: &str, path: &Path) -> String {
    format!(
        "\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: {name}}}
spec:
  components:
    - name: tool
      type: capability
      properties: {{image: \"file://{}\", config: [{{name: c, properties: {{a: b}}}}]}}
",
        path.display()
    )
}

/// The record that a member makes of a file: its true size and digest, and that it is a provider, or else an archive of one.
fn record(path: &Path, is_provider: bool) -> Value {
    let description = json!({
        "protocol": 3, "name": "tool", "version": "1", "summary": "",
        "wit": ["package tool:tool;\nworld provider {}"], "aliases": [],
        "paths": [], "checks": true,
    });
    json!({
        "tool": {
            "digest": artifact::digest_of(path).unwrap(),
            "size": fs::metadata(path).unwrap().len(),
            "path": path,
            "description": is_provider.then_some(description),
        }
    })
}

/// A program that leaves a file beside it when it runs, whatever it is asked.
fn tool(lattice: &Lattice) -> (PathBuf, PathBuf) {
    let (tool, ran) = (lattice.path("tool"), lattice.path("tool-ran"));
    fs::write(&tool, format!("#!/bin/sh\n: > '{}'\n", ran.display())).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    (tool, ran)
}

#[test]
fn a_record_starts_no_program_that_the_operator_did_not_list() {
    let lattice = Lattice::new();
    let (tool, ran) = tool(&lattice);
    let listed = lattice.path("listed");
    fs::copy("/bin/true", &listed).unwrap();
    let own = format!("listed={}", listed.display());
    let mut hosts = [
        lattice.host("strict"),
        lattice.host_with("listing", &["--program", &own]),
    ];
    let member = Member::of(&lattice);
    let shell = Path::new("/bin/sh");
    let forged = [
        // The manifest alone names it, so that reading it would be enough to run it.
        ("unnamed", tool.as_path(), json!({})),
        ("named", &tool, record(&tool, true)),
        ("archive", &tool, record(&tool, false)),
        ("shell", shell, record(shell, true)),
    ];
    for (name, path, programs) in &forged {
        member.put_application(name, &manifest(name, path), programs.clone());
    }
    for (name, _, _) in &forged {
        let problem = problem(&lattice, name);
        assert!(problem.contains("`tool`"), "{name}: {problem}");
        if *name != "unnamed" {
            assert!(problem.contains("--program NAME=PATH"), "{name}: {problem}");
        }
    }
    // Nor does a command that looks at such a record run what it names.
    let listing = lattice.run(&["link", "list", "unnamed"]);
    assert_ne!(listing.code, Some(0), "{listing:#?}");
    assert!(
        !ran.exists(),
        "a host, or a command, ran what a record named"
    );
    for host in &mut hosts {
        assert_eq!(host.leave(), Some(0));
    }
}
