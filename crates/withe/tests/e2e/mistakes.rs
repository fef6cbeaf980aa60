//! Common mistakes when an application is started: one clear message, and an end.

use std::net::TcpListener;

use withe_testing::port::ReservedPort;

use crate::support::Folder;
use crate::support::manifest::{application, component, http_server, http_server_at, provider};

/// An application that cannot run, and what is said about it.
struct Case {
    name: &'static str,
    manifest: String,
    says: Vec<String>,
}

#[test]
fn each_mistake_is_one_clear_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let reserved = ReservedPort::new().unwrap();
    let nobody = reserved.address().to_string();
    let redis = format!(
        "target: {{name: keyvalue, config: [{{name: redis, properties: {{url: \"redis://{nobody}\"}}}}]}}"
    );
    let hello = || component("hello", "hello", "", &[]);
    let cases = [
        Case {
            name: "port taken",
            manifest: application(&[http_server_at(&taken, "hello"), hello()]),
            says: vec![taken.clone(), "in use".into()],
        },
        Case {
            name: "Redis down",
            manifest: application(&[
                component("names", "lattice-names", "", &[&redis]),
                provider("keyvalue", "", &[]),
                http_server("hello"),
                hello(),
            ]),
            says: vec![nobody.clone(), "refused".into()],
        },
        Case {
            name: "bad YAML",
            manifest: application(&[http_server("hello"), "    - name: [\n".into()]),
            says: vec!["app.yaml:".into()],
        },
        Case {
            name: "missing target",
            manifest: application(&[http_server("helo"), hello()]),
            says: vec!["`helo`".into(), "`hello`".into(), "app.yaml:".into()],
        },
    ];
    for Case {
        name,
        manifest,
        says,
    } in cases
    {
        let ended = Folder::with(&manifest).run(&["up", "app.yaml"]);
        // Shown only when something below fails.
        println!("{name}");
        let says: Vec<_> = says.iter().map(String::as_str).collect();
        ended.failed(&says);
        let errors = ended
            .stderr
            .lines()
            .filter(|line| line.starts_with("error"));
        let summaries = |line: &&str| line.contains("nothing was started");
        assert_eq!(
            errors.filter(|line| !summaries(line)).count(),
            1,
            "{ended:#?}"
        );
    }
}
