//! `deploy/`: what is there can be read, uses options that exist, and agrees with itself.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value, json};

/// The ports of components, of metrics and probes, and of other hosts.
const PORTS: [u64; 3] = [8080, 9090, 7400];

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The documents of a YAML text, with aliases and merged keys put in.
fn documents(text: &str) -> Vec<Value> {
    let mut events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    let mut anchors = HashMap::new();
    let mut found = Vec::new();
    while let Some(event) = events.next() {
        if matches!(event, Event::DocumentStart(_)) {
            let first = events.next().unwrap();
            found.push(node(first, &mut events, &mut anchors));
        }
    }
    found
}

fn node<'a>(
    event: Event<'a>,
    events: &mut impl Iterator<Item = Event<'a>>,
    anchors: &mut HashMap<usize, Value>,
) -> Value {
    let (value, anchor) = match event {
        Event::Alias(id) => return anchors[&id].clone(),
        Event::Scalar(text, style, anchor, _) => {
            let plain = matches!(style, saphyr_parser::ScalarStyle::Plain);
            let number = text.parse::<u64>().ok().filter(|_| plain);
            (number.map_or_else(|| json!(text), |n| json!(n)), anchor)
        }
        Event::SequenceStart(anchor, _) => {
            let mut items = Vec::new();
            loop {
                match events.next().unwrap() {
                    Event::SequenceEnd => break (Value::Array(items), anchor),
                    event => items.push(node(event, events, anchors)),
                }
            }
        }
        Event::MappingStart(anchor, _) => {
            let mut entries = Map::new();
            loop {
                let key = match events.next().unwrap() {
                    Event::MappingEnd => break (Value::Object(entries), anchor),
                    event => node(event, events, anchors),
                };
                let event = events.next().unwrap();
                let value = node(event, events, anchors);
                match (key.as_str().unwrap(), value) {
                    ("<<", Value::Object(merged)) => {
                        for (key, value) in merged {
                            entries.entry(key).or_insert(value);
                        }
                    }
                    (key, value) => _ = entries.insert(key.to_owned(), value),
                }
            }
        }
        other => panic!("{other:?}"),
    };
    if anchor > 0 {
        anchors.insert(anchor, value.clone());
    }
    value
}

fn help(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_withe"));
    let output = command.args(args).arg("--help").output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn words(value: &Value) -> Vec<String> {
    let items = value.as_array().unwrap().iter();
    items
        .map(|item| item.as_str().map_or_else(|| item.to_string(), Into::into))
        .collect()
}

/// Checks that a command line names a subcommand and options of it, and has the ports at which others look.
fn check_command(words: &[String]) {
    assert_eq!(words[0], "host", "{words:?}");
    let help = help(&["host"]);
    let options: BTreeSet<&str> = help
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--"))
        .collect();
    for word in words.iter().filter(|word| word.starts_with("--")) {
        let option = word.split('=').next().unwrap();
        assert!(
            options.contains(option),
            "`withe host` has no {option}: {words:?}"
        );
    }
    let line = words.join(" ").replace('=', " ");
    for (option, port) in [("--metrics", PORTS[1]), ("--listen", PORTS[2])] {
        let written = format!("{option} 0.0.0.0:{port}");
        assert!(line.contains(&written), "no {written:?} in {line:?}");
    }
}

/// Checks that a variable is one that hosts read.
fn check_variable(name: &str) {
    let help = help(&["host"]);
    assert!(
        help.contains(&format!("[env: {name}")),
        "nobody reads {name}"
    );
}

#[test]
fn the_compose_file_starts_hosts_that_probes_and_components_reach() {
    let documents = documents(&text("compose.yaml"));
    let services = documents[0]["services"].as_object().unwrap();
    let hosts: Vec<_> = services
        .iter()
        .filter(|(name, _)| *name != "nats")
        .collect();
    assert_eq!(hosts.len(), 3);
    let mut taken = BTreeSet::new();
    for (name, host) in hosts {
        let command = words(&host["command"]);
        check_command(&command);
        assert!(
            command.contains(name),
            "{name} is called something else: {command:?}"
        );
        let variables = host["environment"].as_object().unwrap();
        variables.keys().for_each(|name| check_variable(name));
        assert_eq!(variables["WITHE_LATTICE"], "nats://nats:4222");
        let ports = words(&host["ports"]);
        for (port, inside) in ports.iter().zip(PORTS) {
            assert!(port.ends_with(&format!(":{inside}")), "{ports:?}");
            assert!(port.starts_with("127.0.0.1:"), "{ports:?}");
            assert!(taken.insert(port.clone()), "{port} is taken twice");
        }
    }
}

#[test]
fn the_deployment_probes_what_the_host_serves() {
    let documents = documents(&text("kubernetes/hosts.yaml"));
    let kinds: Vec<_> = documents
        .iter()
        .map(|d| d["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["Deployment", "Service", "PodDisruptionBudget"]);
    let pod = &documents[0]["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    check_command(&words(&container["args"]));
    let ports = container["ports"].as_array().unwrap();
    let numbers: Vec<_> = ports
        .iter()
        .map(|p| p["containerPort"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, PORTS);
    let names: Vec<_> = ports.iter().map(|p| &p["name"]).collect();
    for (probe, path) in [
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ] {
        let get = &container[probe]["httpGet"];
        assert_eq!(
            (&get["path"], &get["port"]),
            (&json!(path), &json!("metrics"))
        );
    }
    let target = &documents[1]["spec"]["ports"][0]["targetPort"];
    assert!(names.contains(&target), "{target}");
    for variable in container["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        let is_ours = name.starts_with("WITHE_");
        if is_ours {
            check_variable(name);
        } else {
            let used = format!("$({name})");
            assert!(
                container["args"].to_string().contains(&used),
                "nobody uses {name}"
            );
        }
    }
    // Selectors have to match the pods' labels.
    let labels = &pod["metadata"]["labels"];
    for selector in [
        &documents[0]["spec"]["selector"]["matchLabels"],
        &documents[1]["spec"]["selector"],
        &documents[2]["spec"]["selector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    // `preStop`, and the ten seconds for what is under way.
    let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        .as_u64()
        .unwrap();
    let grace = pod["spec"]["terminationGracePeriodSeconds"]
        .as_u64()
        .unwrap();
    assert!(grace > pause + 10, "{grace} {pause}");
    assert_eq!(
        pod["metadata"]["annotations"]["prometheus.io/port"],
        json!("9090")
    );
}

#[test]
fn the_values_for_nats_can_be_read_and_turn_on_what_a_lattice_needs() {
    let documents = documents(&text("kubernetes/nats-values.yaml"));
    let jetstream = &documents[0]["config"]["jetstream"];
    assert_eq!(jetstream["enabled"], "true");
}

#[test]
fn the_image_and_the_service_run_a_host() {
    let container = text("Containerfile");
    let line = container.lines().find_map(|line| line.strip_prefix("CMD "));
    check_command(&words(&serde_json::from_str(line.unwrap()).unwrap()));
    for port in PORTS {
        let exposed = container.lines().find(|line| line.starts_with("EXPOSE"));
        assert!(exposed.unwrap().contains(&port.to_string()), "{exposed:?}");
    }
    assert!(container.contains("\nUSER 65532:65532\n"));

    let service = text("systemd/withe-host.service");
    let start = service
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let words: Vec<_> = start.unwrap().split(' ').collect();
    assert_eq!(&words[..2], ["/usr/local/bin/withe", "host"]);
    let help = help(&["host"]);
    for option in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(*option), "{option}");
    }
}
