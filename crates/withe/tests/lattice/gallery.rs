//! The gallery over two hosts: what stands between the world and the board runs on one, the board on the other.

use std::fs;

use crate::support::client::{Exchange, get};
use crate::support::eventually;
use crate::support::lattice::Lattice;
use crate::support::shipped::gallery_of;

/// The parts of the edge, and those of the core. Stores run where the core is.
const ZONES: [(&str, &[&str]); 2] = [
    ("edge", &["http", "guard", "cache", "limiter"]),
    (
        "core",
        &[
            "board", "clerk", "desk", "messages", "timer", "database", "archive", "counters",
            "web", "pictures",
        ],
    ),
];

/// The guarded gallery with a scaler for each part.
fn spread() -> String {
    let mut lines: Vec<String> = gallery_of("guarded.yaml")
        .lines()
        .map(str::to_owned)
        .collect();
    for (zone, parts) in ZONES {
        let scaler = format!(
            "        - {{type: spreadscaler, properties: {{spread: [{{name: {zone}, requirements: {{zone: {zone}}}}}]}}}}"
        );
        for part in parts {
            let name = format!("    - name: {part}");
            let at = lines.iter().position(|line| *line == name).unwrap() + 1;
            let rest = &lines[at..];
            let end = (rest
                .iter()
                .position(|line| line.starts_with("    - name: ")))
            .map_or(lines.len(), |n| at + n);
            let traits = lines[at..end]
                .iter()
                .position(|line| line == "      traits:");
            match traits {
                Some(n) => lines.insert(at + n + 1, scaler.clone()),
                None => {
                    lines.insert(at + 1, scaler.clone());
                    lines.insert(at + 1, "      traits:".into());
                }
            }
        }
    }
    lines.join("\n")
}

/// The status of an answer to a request with a body.
fn post(address: &str, path: &str, headers: &str, body: &str) -> u16 {
    let request = format!("POST {path}");
    let mut exchange = Exchange::start_with(address, &request, headers, body.len()).unwrap();
    exchange.send(body.as_bytes()).unwrap();
    exchange.status().unwrap()
}

#[test]
fn what_is_in_between_runs_on_another_host() {
    let lattice = Lattice::new();
    let data = lattice.path("data");
    fs::create_dir(&data).unwrap();
    let policy = format!("grants: {{directories: [{{host: {data:?}, writable: true}}]}}");
    fs::write(lattice.path("core.yaml"), policy).unwrap();
    let _edge = lattice.host("edge");
    let _core = lattice.host_with("core", &["--label", "zone=core", "--policy", "core.yaml"]);
    fs::write(lattice.path("app.yaml"), spread()).unwrap();
    lattice.run(&["up", "app.yaml"]).printed();
    for (zone, parts) in ZONES {
        for part in parts {
            lattice.runs_on(part, &[zone]);
        }
    }
    let address = lattice.address();
    let password = "authorization: Bearer swordfish\r\n";
    assert_eq!(post(&address, "/notes", "", "a note"), 401);
    assert_eq!(post(&address, "/notes", password, "a note"), 202);
    eventually("the note is pinned", || {
        let page = get(&address, "/").unwrap().text();
        page.contains("<p>1 pinned").then_some(())
    });
    // The limiter lets the request out, and the picture is not there.
    let url = format!("http://{address}/pictures/none.jpg");
    assert_eq!(post(&address, "/pictures/some.jpg", password, &url), 502);
}
