//! Secret configuration, which nobody finds who can read the whole lattice, the logs, and all that commands print.

use std::fs::{self, File};
use std::path::Path;

use serde_json::Value;
use withe_lattice::Lattice as _;
use withe_trust::read_seal;

use super::support::app::component;
use super::support::background::Background;
use super::support::client::get;
use super::support::eventually;
use super::support::lattice::Lattice;
use super::support::load::visit;
use super::support::process::{Ended, run};
use super::{Member, problem};

/// A part of each secret value here, and of nothing else.
const MARKER: &str = "hush7f3a91";
const KEY: &str = "keys/seal.key";
const SEAL: [&str; 2] = ["--seal-key", KEY];

/// A lattice that has a key for secret values.
fn lattice() -> Lattice {
    let lattice = Lattice::new();
    let made = lattice.run(&["lattice", "init", "--dir", "keys"]);
    assert!(made.printed().contains("keys/seal.key"), "{made:?}");
    lattice
}

/// A host in the zone of its name that has the key, and logs all that there is to be logged.
fn host(lattice: &Lattice, name: &str) -> Background {
    let zone = format!("zone={name}");
    let options = ["--label", &zone, "--log", "debug"];
    lattice.host_with(name, &[&options[..], &SEAL].concat())
}

/// An entry of a `config` list that is secret.
fn secret(name: &str, key: &str, value: &str) -> String {
    format!("config: [{{name: {name}, secret: true, properties: {{{key}: {value:?}}}}}]")
}

fn zone(name: &str) -> String {
    format!(
        "{{type: spreadscaler, properties: {{instances: 1, spread: [{{name: {name}, requirements: {{zone: {name}}}}}]}}}}"
    )
}

fn manifest(name: &str, parts: &[String]) -> String {
    let parts: Vec<_> = parts.iter().map(|part| format!("    - {part}\n")).collect();
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: {name}}}\nspec:\n  components:\n{}",
        parts.concat()
    )
}

/// The example's application on the hosts `a` and `b`, with secrets of a component, a provider and links.
fn visits(redis: &str) -> String {
    let (a, b) = (zone("a"), zone("b"));
    let listen = "config: [{name: listen, properties: {address: \"127.0.0.1:0\"}}]";
    let greeting = secret("texts", "greeting", &format!("{MARKER}-greeting"));
    let bucket = secret("bucket", "bucket", &format!("{MARKER}-bucket"));
    let url = secret("url", "url", &format!("{redis}?{MARKER}"));
    let other = secret("own", "bucket", &format!("{MARKER}-default"));
    manifest(
        "visits",
        &[
            format!(
                "{{name: http, type: capability, properties: {{image: \"withe:http-server\"}}, traits: [{a}, \
                 {{type: link, properties: {{target: front, source: {{{listen}}}}}}}]}}"
            ),
            format!(
                "{{name: front, type: component, properties: {{compose: [{:?}, {:?}], {greeting}}}, traits: [{a}, \
                 {{type: link, properties: {{target: visits}}}}]}}",
                component("router"),
                component("page")
            ),
            format!(
                "{{name: visits, type: component, properties: {{image: {:?}, {bucket}}}, traits: [{b}, \
                 {{type: link, properties: {{target: {{name: store, {url}}}, namespace: wasi, package: keyvalue, \
                 interfaces: [store, atomics]}}}}]}}",
                component("visits")
            ),
            format!(
                "{{name: store, type: capability, properties: {{image: \"withe:keyvalue\", process: true, {other}}}, \
                 traits: [{b}]}}"
            ),
        ],
    )
}

/// Checks that a text has no part of a secret.
fn is_clean(what: &str, text: &str) {
    let at = text.find(MARKER);
    let near = at.map(|at| &text[text.floor_char_boundary(at.saturating_sub(200))..]);
    assert!(at.is_none(), "a secret is in {what}: {near:?}");
}

/// Checks all that a command says; what it has printed.
fn clean(ended: Ended) -> Ended {
    is_clean("what a command prints", &ended.stdout);
    is_clean("what a command reports", &ended.stderr);
    ended
}

/// Checks the bytes of every file below a folder.
fn files_are_clean(folder: &Path) -> usize {
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            checked += files_are_clean(&path);
        // One that is removed meanwhile has nothing any more.
        } else if let Ok(bytes) = fs::read(&path) {
            is_clean(
                &path.display().to_string(),
                &String::from_utf8_lossy(&bytes),
            );
            checked += 1;
        }
    }
    checked
}

/// Checks all that the NATS server holds, as it keeps it and as members read it.
fn lattice_is_clean(lattice: &Lattice, member: &Member) {
    assert!(files_are_clean(lattice.nats.folder()) > 2);
    for prefix in ["apps", "deployments"] {
        let entries = member
            .runtime
            .block_on(member.lattice.list(prefix))
            .unwrap();
        assert!(!entries.is_empty(), "{prefix}");
        for entry in entries {
            is_clean(&entry.key, &String::from_utf8_lossy(&entry.value));
        }
    }
    let leases = member.runtime.block_on(member.lattice.leases("hosts"));
    for entry in leases.unwrap() {
        is_clean(&entry.key, &String::from_utf8_lossy(&entry.value));
    }
}

/// Checks the arguments of all processes of the machine.
fn arguments_are_clean() {
    for process in fs::read_dir("/proc").unwrap().flatten() {
        // Processes that have ended meanwhile have none.
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        is_clean("arguments", &String::from_utf8_lossy(&arguments));
    }
}

#[test]
fn secret_configuration_reaches_its_parts_and_is_seen_nowhere() {
    let lattice = lattice();
    let member = Member::of(&lattice);
    let [a, b] = ["a", "b"].map(|name| host(&lattice, name));
    let mut events = lattice.start(lattice.command(&["events", "--json"]), "events");
    events.says("following");

    fs::write(lattice.path("app.yaml"), visits(&lattice.redis.url())).unwrap();
    let open = clean(lattice.run(&["up", "app.yaml"]));
    open.failed(&["the configuration `texts`", "`url`", "--seal-key"]);
    let up = ["up", "app.yaml", "--log", "debug"];
    clean(lattice.run(&[&up[..], &SEAL].concat())).printed();

    // Each has its value: the page's title, the bucket, and the provider's server.
    let address = lattice.address();
    eventually("the first visit is counted", || {
        visit(&address, "/secret").ok()
    });
    let page = get(&address, "/secret").unwrap();
    assert!(page.text().contains(&format!("{MARKER}-greeting")));
    assert!(lattice.counted(&format!("{MARKER}-bucket"), "/secret") > 0);

    lattice_is_clean(&lattice, &member);
    arguments_are_clean();
    for args in [
        &["plan", "app.yaml", "--json"][..],
        &["plan", "app.yaml"],
        &["check", "app.yaml"],
        &["get", "apps", "--json"],
        &["get", "components", "--json"],
        &["get", "providers", "--json"],
        &["get", "links", "--json"],
        &["get", "hosts", "--json"],
        &["link", "list", "visits", "--json"],
        &["link", "list", "visits"],
    ] {
        clean(lattice.run(args)).printed();
    }
    let shown = lattice.json(&["link", "list", "visits"]);
    let to_store = |links: &Value| {
        let mut links = links.as_array().unwrap().iter();
        let found = links.find(|link| link["target"] == "store").unwrap();
        found["target_config"]["url"].clone()
    };
    assert_eq!(to_store(&shown), "•••");
    let planned = lattice.run(&["plan", "app.yaml", "--json"]);
    assert!(planned.printed().contains("\"greeting\": \"•••\""));

    // A link that is changed, by those who have the key.
    let url = format!("{}?{MARKER}-2", lattice.redis.url());
    fs::write(lattice.path("url"), url).unwrap();
    let put = ["link", "put", "visits", "visits", "store"];
    let put = [&put[..], &["--target-config-file", "url=url"]].concat();
    clean(lattice.run(&put)).failed(&["visits", "sealed with the key", "--seal-key"]);
    clean(lattice.run(&[&put[..], &SEAL].concat())).printed();
    let before = lattice.counted(&format!("{MARKER}-bucket"), "/secret");
    eventually("visits are counted over the new link", || {
        visit(&address, "/secret").ok()?;
        (lattice.counted(&format!("{MARKER}-bucket"), "/secret") > before).then_some(())
    });
    assert_eq!(to_store(&lattice.json(&["link", "list", "visits"])), "•••");
    lattice_is_clean(&lattice, &member);

    // Errors that would repeat what is secret: of a provider, and of a host's policy.
    let faulty = visits(&lattice.redis.url()).replace(
        "process: true, config",
        &format!(
            "process: true, {}, x-config",
            secret("own", "backend", &format!("{MARKER}-wrong"))
        ),
    );
    fs::write(lattice.path("faulty.yaml"), faulty).unwrap();
    for args in [
        &["check", "faulty.yaml"][..],
        &["check", "faulty.yaml", "--json"],
        &["plan", "faulty.yaml", "--json"],
        &["up", "faulty.yaml", SEAL[0], SEAL[1]],
    ] {
        let ended = clean(lattice.run(args));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("`backend` is `•••`"), "{said}");
    }
    let refused = visits(&lattice.redis.url()).replace(
        "process: true, config",
        &format!(
            "process: true, {}, x-config",
            secret("own", "path", &format!("/srv/{MARKER}/file"))
        ),
    );
    let refused = refused.replace("name: visits}\n", "name: refused}\n");
    let refused = refused.replace(
        &secret("url", "url", &format!("{}?{MARKER}", lattice.redis.url())),
        "secrets: []",
    );
    fs::write(lattice.path("refused.yaml"), refused).unwrap();
    let up = ["up", "refused.yaml", SEAL[0], SEAL[1], "--wait", "60"];
    clean(lattice.run(&up)).failed(&["does not accept"]);
    let why = problem(&lattice, "refused");
    is_clean("a host's failure", &why);
    assert!(why.contains("•••"), "{why}");
    events.says("\"failed\"");
    clean(lattice.run(&["down", "refused"])).printed();

    lattice_is_clean(&lattice, &member);
    is_clean("events", &events.log());
    for host in [&a, &b] {
        is_clean("a host's log", &host.log());
    }
}

#[test]
fn hosts_that_cannot_open_what_is_sealed_say_so_and_others_go_on() {
    let lattice = lattice();
    let member = Member::of(&lattice);
    let other = lattice.run(&["lattice", "seal-key", "--dir", "other", "--json"]);
    let other: Value = serde_json::from_str(other.printed()).unwrap();
    let other = other["id"].as_str().unwrap().to_owned();
    let own = read_seal(&lattice.path(KEY)).unwrap().id().to_string();
    let _a = host(&lattice, "a");
    let _b = lattice.host("b");
    let wrong = ["--label", "zone=c", "--seal-key", "other/seal.key"];
    let _c = lattice.host_with("c", &wrong);

    fs::write(
        lattice.path("c.wasm"),
        wat::parse_str("(component)").unwrap(),
    )
    .unwrap();
    let value = format!("{MARKER}-value");
    let part = |zone_name: &str| {
        format!(
            "{{name: {zone_name}, type: component, properties: {{image: ./c.wasm, {}}}, traits: [{}]}}",
            secret(zone_name, "key", &value),
            zone(zone_name)
        )
    };
    let app = manifest("shop", &[part("a"), part("b"), part("c")]);
    fs::write(lattice.path("app.yaml"), app).unwrap();
    let up = clean(lattice.run(&["up", "app.yaml", SEAL[0], SEAL[1]]));
    assert_eq!(up.code, Some(1), "{up:?}");
    let problems = eventually("both hosts have said why they do not run it", || {
        let apps = lattice.json(&["get", "apps"]);
        let problems = apps[0]["problems"].as_array()?.clone();
        (problems.len() == 2).then(|| format!("{problems:?}"))
    });
    is_clean("failures", &problems);
    for text in [
        format!("on `b`: its secret values are sealed with the key `{own}`"),
        "--seal-key".to_owned(),
        format!("sealed with the key `{own}`, and this is the key `{other}`"),
    ] {
        assert!(problems.contains(&text), "no {text:?} in {problems}");
    }
    let runs_on = || {
        let parts = lattice.json(&["get", "components", "--app", "shop"]);
        let hosts = parts.as_array().unwrap().iter();
        let hosts: Vec<_> = hosts
            .map(|part| part["host"].as_str().unwrap().to_owned())
            .collect();
        hosts
    };
    eventually("the host with the key runs its part", || {
        (runs_on() == ["a"]).then_some(())
    });

    // Somebody who can write to the lattice damages what is sealed, or would have it given to another component.
    let entry = member.lattice.get("apps.shop");
    let entry = member.runtime.block_on(entry).unwrap().unwrap();
    let record: Value = serde_json::from_slice(&entry.value).unwrap();
    let sealed = record["sealed"].as_str().unwrap();
    let text = record["manifest"].as_str().unwrap();
    let mut cut = record.clone();
    cut["sealed"] = sealed[..sealed.len() - 2].into();
    let mut given_away = record.clone();
    given_away["manifest"] = text
        .replace("name: shop", "name: shop, labels: {a: b}")
        .into();
    let mut no_form = record.clone();
    no_form["sealed"] = "nothing".into();
    for (damaged, why) in [
        (cut, "were changed since they were sealed"),
        (given_away, "were changed since they were sealed"),
        (no_form, "not written as sealed values are"),
    ] {
        member.put("apps.shop", &damaged);
        let said = eventually(why, || {
            let apps = lattice.json(&["get", "apps"]);
            let mut problems = apps[0]["problems"].as_array()?.iter();
            let of_a = problems.find(|p| p.as_str().is_some_and(|p| p.starts_with("on `a`")))?;
            of_a.as_str()
                .filter(|said| said.contains(why))
                .map(str::to_owned)
        });
        is_clean("a failure", &said);
        assert_eq!(runs_on(), ["a"], "what ran goes on");
    }
    lattice_is_clean(&lattice, &member);

    // Nobody needs the key to end it.
    clean(lattice.run(&["down", "shop"])).printed();
    eventually("it has ended", || runs_on().is_empty().then_some(()));
}

#[test]
fn secrets_that_cannot_be_taken_out_and_keys_that_others_can_read_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let lattice = lattice();
    fs::write(
        lattice.path("c.wasm"),
        wat::parse_str("(component)").unwrap(),
    )
    .unwrap();
    let part = |config: &str| {
        let config = format!("config: [{{name: c, secret: true, properties: {{{config}}}}}]");
        manifest(
            "shop",
            &[format!(
                "{{name: c, type: component, properties: {{image: ./c.wasm, {config}}}}}"
            )],
        )
    };
    let up = |manifest: String| {
        fs::write(lattice.path("app.yaml"), manifest).unwrap();
        clean(lattice.run(&["up", "app.yaml", SEAL[0], SEAL[1]]))
    };
    let alias = format!("x-value: &value {MARKER}-value\n{}", part("key: *value"));
    up(alias).failed(&["app.yaml:7:", "cannot be an alias"]);
    let comment = format!(
        "{}# {MARKER}-value\n",
        part(&format!("key: {MARKER}-value"))
    );
    up(comment).failed(&["app.yaml:7:", "outside of configuration that is marked"]);

    let key = lattice.path(KEY);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    up(part(&format!("key: {MARKER}-value"))).failed(&["seal.key", "chmod"]);
    fs::remove_file(&key).unwrap();
    fs::copy(lattice.path("keys/host.key"), &key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    up(part(&format!("key: {MARKER}-value"))).failed(&["seal.key", "seals nothing"]);
}

/// The policy by which parts ask for secrets of the lattice.
fn with_policy(manifest: &str) -> String {
    let policy = "spec:\n  policies:\n    - {name: vault, type: policy.secret.wasmcloud.dev/v1alpha1, properties: \
                  {backend: vault}}\n";
    manifest.replacen("spec:\n", policy, 1)
}

#[test]
fn secrets_that_the_lattice_keeps_reach_parts_and_are_seen_nowhere() {
    let lattice = lattice();
    let member = Member::of(&lattice);
    lattice
        .run(&["lattice", "seal-key", "--dir", "other"])
        .printed();
    let own = read_seal(&lattice.path(KEY)).unwrap().id().to_string();
    let put = |name: &str, value: &str, key: &[&str]| {
        fs::write(lattice.path("value"), format!("{value}\n")).unwrap();
        let mut command = lattice.command(&["secrets", "put", name, "--log", "debug"]);
        command
            .args(key)
            .stdin(File::open(lattice.path("value")).unwrap());
        let ended = clean(run(command));
        fs::remove_file(lattice.path("value")).unwrap();
        ended
    };
    // Only sealed values are put, and all versions are sealed by one key.
    let refused = put("visits/url", MARKER, &[]);
    refused.failed(&["`visits/url` is not put", "--seal-key"]);
    let nowhere = format!("redis://127.0.0.1:1?{MARKER}");
    let url = format!("{}?{MARKER}", lattice.redis.url());
    let first = put("visits/url", &nowhere, &SEAL);
    assert!(first.stderr.contains("`visits/url` has version 1"));
    let other_key = ["--seal-key", "other/seal.key"];
    put("visits/url", &url, &other_key).failed(&["version 1", &own, "withe secrets remove"]);
    let second = put("visits/url", &url, &SEAL);
    assert!(second.stderr.contains("`visits/url` has version 2"));
    put("visits/bucket", &format!("{MARKER}-kept"), &SEAL).printed();

    let backend = [
        "--secrets",
        "vault=lattice:{application}/",
        "--log",
        "debug",
    ];
    let host = |name: &str, key: &[&str]| {
        let zone = format!("zone={name}");
        let options = [&["--label", &zone][..], &backend, key].concat();
        lattice.host_with(name, &options)
    };
    let hosts = [
        host("a", &SEAL),
        host("b", &SEAL),
        host("c", &other_key),
        host("d", &[]),
    ];
    let (a, b) = (zone("a"), zone("b"));
    let listen = "config: [{name: listen, properties: {address: \"127.0.0.1:0\"}}]";
    let ask = |name: &str, more: &str| {
        format!("secrets: [{{name: {name}, properties: {{policy: vault, key: {name}{more}}}}}]")
    };
    let app = |more: &str| {
        with_policy(&manifest(
            "visits",
            &[
                format!(
                    "{{name: http, type: capability, properties: {{image: \"withe:http-server\"}}, traits: [{a}, \
                     {{type: link, properties: {{target: front, source: {{{listen}}}}}}}]}}"
                ),
                format!(
                    "{{name: front, type: component, properties: {{compose: [{:?}, {:?}]}}, traits: [{a}, {{type: \
                     link, properties: {{target: visits}}}}]}}",
                    component("router"),
                    component("page")
                ),
                format!(
                    "{{name: visits, type: component, properties: {{image: {:?}}}, traits: [{b}, {{type: link, \
                     properties: {{target: {{name: store, {}}}, namespace: wasi, package: keyvalue, interfaces: \
                     [store, atomics]}}}}]}}",
                    component("visits"),
                    ask("url", more)
                ),
                format!(
                    "{{name: store, type: capability, properties: {{image: \"withe:keyvalue\", process: true, {}}}, \
                     traits: [{b}]}}",
                    ask("bucket", "")
                ),
            ],
        ))
    };
    let up = |text: &str, wait: &str| {
        fs::write(lattice.path("app.yaml"), text).unwrap();
        clean(lattice.run(&["up", "app.yaml", "--wait", wait, "--log", "debug"]))
    };
    up(&app(""), "60").printed();
    let address = lattice.address();
    eventually("the first visit is counted", || {
        visit(&address, "/kept").ok()
    });
    assert!(lattice.counted(&format!("{MARKER}-kept"), "/kept") > 0);

    // Names, versions and dates are there for all.
    let listed = clean(lattice.run(&["secrets", "list"]));
    let lines: Vec<_> = listed.printed().lines().collect();
    assert!(lines[0].starts_with("NAME "), "{lines:?}");
    assert!(lines[1].starts_with("visits/bucket  1 "), "{lines:?}");
    assert!(lines[2].starts_with("visits/url     1, 2 "), "{lines:?}");
    assert!(lines[2].ends_with(&own), "{lines:?}");
    let listed = lattice.json(&["secrets", "list"]);
    assert_eq!(listed[1]["versions"][1]["version"], 2);
    clean(lattice.run(&["get", "links", "--json"])).printed();
    clean(lattice.run(&["link", "list", "visits", "--json"])).printed();
    arguments_are_clean();
    lattice_is_clean(&lattice, &member);
    let entries = || {
        let entries = member.runtime.block_on(member.lattice.list("secrets"));
        entries.unwrap()
    };
    assert_eq!(entries().len(), 2);
    for entry in entries() {
        is_clean(&entry.key, &String::from_utf8_lossy(&entry.value));
    }

    let said = |from: &str, texts: &[&str]| {
        eventually(&format!("{from} {texts:?}"), || {
            let apps = lattice.json(&["get", "apps"]);
            let problems = apps[0]["problems"].as_array()?;
            let mut problems = problems.iter().filter_map(Value::as_str);
            let said = problems.find(|said| said.starts_with(from))?;
            is_clean("a failure", said);
            let all = texts.iter().all(|text| said.contains(text));
            all.then_some(())
        });
    };
    let counts = || {
        let bucket = format!("{MARKER}-other");
        let before = lattice.counted(&bucket, "/kept");
        visit(&address, "/kept").unwrap();
        assert!(lattice.counted(&bucket, "/kept") > before);
    };
    // A value that was changed is there when the application is put again.
    put("visits/bucket", &format!("{MARKER}-other"), &SEAL).printed();
    up(&app(""), "60").printed();
    eventually("visits are counted in the other bucket", || {
        visit(&address, "/kept").ok()?;
        (lattice.counted(&format!("{MARKER}-other"), "/kept") > 0).then_some(())
    });

    // A secret that cannot be had is named, and the parts that ran go on.
    up(&app(", version: '7'"), "0");
    said("on `b`", &["no version `7` of `visits/url`: it keeps 1, 2"]);
    counts();
    // Of two values that are swapped, neither opens.
    let before = entries();
    let [bucket, url] = &before[..] else {
        panic!("{before:?}")
    };
    for (key, from) in [(&bucket.key, url), (&url.key, bucket)] {
        let record: Value = serde_json::from_slice(&from.value).unwrap();
        member.put(key, &record);
    }
    up(&app(", version: '1'"), "0");
    let changed = "`visits/url` does not open: they, or the record that they are in, were changed";
    said("on `b`", &["the secret `url` of `store`", changed]);
    counts();
    for entry in &before {
        member.put(&entry.key, &serde_json::from_slice(&entry.value).unwrap());
    }
    clean(lattice.run(&["secrets", "remove", "visits/url"])).printed();
    clean(lattice.run(&["secrets", "remove", "visits/url"])).failed(&["no secret `visits/url`"]);
    up(&app(", version: '2'"), "0");
    said("on `b`", &["`withe secrets put visits/url`"]);
    counts();
    let url = format!("{}?{MARKER}", lattice.redis.url());
    assert!(put("visits/url", &url, &SEAL).stderr.contains("version 3"));
    up(&app(", version: '3'"), "60").printed();
    counts();

    // Hosts that have not the key.
    fs::write(
        lattice.path("c.wasm"),
        wat::parse_str("(component)").unwrap(),
    )
    .unwrap();
    let part = |name: &str| {
        let (ask, zone) = (ask("token", ""), zone(name));
        format!(
            "{{name: {name}, type: component, properties: {{image: ./c.wasm, {ask}}}, traits: [{zone}]}}"
        )
    };
    clean(lattice.run(&["down", "visits"])).printed();
    put("shop/token", &format!("{MARKER}-token"), &SEAL).printed();
    up(
        &with_policy(&manifest("shop", &[part("c"), part("d")])),
        "0",
    );
    eventually("the other application has gone", || {
        let apps = lattice.json(&["get", "apps"]);
        (apps.as_array()?.len() == 1 && apps[0]["name"] == "shop").then_some(())
    });
    said("on `c`", &["version 1 of `shop/token`", &own]);
    said("on `d`", &["the secret `token` of `d`", "--seal-key"]);

    lattice_is_clean(&lattice, &member);
    for host in &hosts {
        is_clean("a host's log", &host.log());
    }
}
