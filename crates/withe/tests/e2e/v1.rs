//! Manifests in the shapes of wasmCloud v1's example applications: what each asks for is there, or one line says what is
//! not and why.

use crate::support::{Folder, guest};

/// An application, and what is said of it.
struct Case {
    name: &'static str,
    /// The entries of `spec.components`, and what stands before them.
    spec: String,
    /// Lines that `withe check` says; it finds no error if there are none.
    says: &'static [&'static str],
}

/// A component of a guest, with lines of its traits.
fn component(name: &str, guest_name: &str, traits: &str) -> String {
    let image = guest(guest_name).display().to_string();
    format!(
        "
    - name: {name}
      type: component
      properties:
        image: file://{image}
      traits:
        - type: spreadscaler
          properties:
            instances: 1{traits}"
    )
}

/// A provider of v1, with lines of its properties and of its traits.
fn provider(name: &str, image: &str, properties: &str, traits: &str) -> String {
    let traits = match traits {
        "" => String::new(),
        traits => format!("\n      traits:{traits}"),
    };
    format!(
        "
    - name: {name}
      type: capability
      properties:
        image: ghcr.io/wasmcloud/{image}{properties}{traits}"
    )
}

/// A link, with the configuration of one of its ends.
fn link(target: &str, package: &str, interfaces: &str, end: &str, config: &str) -> String {
    let (namespace, package) = package.split_once(':').unwrap();
    let config = match config {
        "" => String::new(),
        config => format!(
            "
              config:
                - name: {package}-of-{target}
                  properties:
                    {config}"
        ),
    };
    let (of_target, of_source) = match end {
        "source" if !config.is_empty() => (String::new(), format!("\n            source:{config}")),
        _ => (config, String::new()),
    };
    format!(
        "
        - type: link
          properties:
            target:
              name: {target}{of_target}
            namespace: {namespace}
            package: {package}
            interfaces: [{interfaces}]{of_source}"
    )
}

fn http(target: &str) -> String {
    let config = "address: 127.0.0.1:8000";
    let link = link(target, "wasi:http", "incoming-handler", "source", config);
    provider("httpserver", "http-server:0.27.0", "", &link)
}

fn spec(entries: &[String]) -> String {
    format!("  components:{}\n", entries.concat())
}

#[test]
fn what_v1s_applications_ask_for_is_there_or_said() {
    let redis = "url: redis://127.0.0.1:6379";
    let cases = [
        Case {
            name: "hello",
            spec: spec(&[component("hello", "hello", ""), http("hello")]),
            says: &[],
        },
        Case {
            name: "key-value counter",
            spec: spec(&[
                component(
                    "counter",
                    "kv-edit",
                    &link("kvredis", "wasi:keyvalue", "store", "target", redis),
                ),
                provider("kvredis", "keyvalue-redis:0.30.0", "", ""),
                http("counter"),
            ]),
            says: &[],
        },
        Case {
            name: "outgoing requests",
            spec: spec(&[
                component(
                    "fetcher",
                    "http-out",
                    &link("httpclient", "wasi:http", "outgoing-handler", "target", ""),
                ),
                provider("httpclient", "http-client:0.13.1", "", ""),
                http("fetcher"),
            ]),
            says: &[],
        },
        Case {
            name: "messages, times, and keys in NATS under a link's name",
            spec: spec(&[
                component(
                    "worker",
                    "events",
                    &[
                        link(
                            "nats-kv",
                            "wasi:keyvalue",
                            "store, atomics",
                            "target",
                            "bucket: WASMCLOUD",
                        ),
                        link("nats", "wasmcloud:messaging", "consumer", "target", ""),
                    ]
                    .concat(),
                ),
                provider("nats-kv", "keyvalue-nats:0.4.1", "", ""),
                provider(
                    "nats",
                    "messaging-nats:0.27.0",
                    "",
                    &link(
                        "worker",
                        "wasmcloud:messaging",
                        "handler",
                        "source",
                        "subscriptions: wasmcloud.echo",
                    ),
                ),
                provider(
                    "cron",
                    "cron-scheduler:0.1.0",
                    "",
                    &link(
                        "worker",
                        "wasmcloud:cron",
                        "scheduler",
                        "source",
                        "cronjobs: \"often=*/5 * * * * *:{}\"",
                    ),
                ),
                http("worker"),
            ]),
            says: &[],
        },
        Case {
            name: "rows",
            spec: spec(&[
                component(
                    "notes",
                    "notes",
                    &link(
                        "sqldb",
                        "wasmcloud:postgres",
                        "query, prepared",
                        "target",
                        "",
                    ),
                ),
                provider(
                    "sqldb",
                    "sqldb-postgres:0.10.0",
                    "
        config:
          - name: default-postgres
            properties:
              POSTGRES_HOST: localhost
              POSTGRES_PORT: \"5432\"
              POSTGRES_USERNAME: postgres
              POSTGRES_PASSWORD: postgres
              POSTGRES_DATABASE: postgres
              POSTGRES_TLS_REQUIRED: \"false\"",
                    "",
                ),
            ]),
            says: &[],
        },
        Case {
            name: "objects in a folder",
            spec: spec(&[
                component(
                    "shelf",
                    "shelf",
                    &link(
                        "blobs",
                        "wasi:blobstore",
                        "blobstore, container, types",
                        "target",
                        "root: /tmp",
                    ),
                ),
                provider("blobs", "blobstore-fs:0.11.1", "", ""),
                http("shelf"),
            ]),
            says: &[],
        },
        Case {
            name: "changes of keys, the bucket linked back",
            spec: spec(&[
                component(
                    "watcher",
                    "kv-watcher",
                    &link("kvredis", "wasi:keyvalue", "store", "target", redis),
                ),
                provider(
                    "kvredis",
                    "keyvalue-redis:0.30.0",
                    "",
                    &link("watcher", "wasi:keyvalue", "watcher", "source", redis),
                ),
            ]),
            says: &[],
        },
        Case {
            name: "changes of keys, by a provider of v1 that others run",
            spec: spec(&[
                component(
                    "watcher",
                    "kv-watcher",
                    &link("kvredis", "wasi:keyvalue", "store", "target", ""),
                ),
                provider(
                    "kvredis",
                    "keyvalue-redis:0.30.0",
                    "",
                    &link("watcher", "wasi:keyvalue", "watcher", "source", ""),
                ),
            ])
            .replace(
                "ghcr.io/wasmcloud/keyvalue-redis:0.30.0",
                "lattice:v1-redis",
            ),
            says: &[],
        },
        Case {
            name: "changes of keys, for a component of v1 that others run",
            spec: spec(&[
                provider(
                    "kvredis",
                    "keyvalue-redis:0.30.0",
                    "",
                    &link("totals", "wasi:keyvalue", "watcher", "source", redis),
                ),
                provider("totals", "totals:0.1.0", "", ""),
            ])
            .replace("ghcr.io/wasmcloud/totals:0.1.0", "lattice:v1-totals"),
            says: &[],
        },
        Case {
            name: "requests for a component of v1 that others run",
            spec: spec(&[http("totals"), provider("totals", "totals:0.1.0", "", "")])
                .replace("ghcr.io/wasmcloud/totals:0.1.0", "lattice:v1-totals"),
            says: &[],
        },
        Case {
            name: "changes of keys, as v1's example has them",
            spec: spec(&[
                component("watcher", "kv-watcher", ""),
                provider(
                    "kvredis",
                    "keyvalue-redis:0.30.0",
                    "",
                    &link("watcher", "wasi:keyvalue", "watcher", "source", redis),
                ),
            ]),
            says: &[
                "`watcher` imports `wasi:keyvalue/store@0.2.0-draft`, and nothing provides it",
                "help: `kvredis` exports what is missing: link to it from `watcher`",
            ],
        },
        Case {
            name: "a key that no provider has, and a configuration that is nowhere",
            spec: spec(&[
                component(
                    "counter",
                    "kv-edit",
                    &link(
                        "kvredis",
                        "wasi:keyvalue",
                        "store",
                        "target",
                        "adress: redis://a",
                    ),
                ),
                provider(
                    "kvredis",
                    "keyvalue-redis:0.30.0",
                    "
        config:
          - name: default-redis",
                    "",
                ),
                http("counter"),
            ]),
            says: &[
                "unknown key `adress`",
                "the configuration `default-redis` is not defined in this manifest",
            ],
        },
    ];
    for Case { name, spec, says } in cases {
        let manifest = format!(
            "apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: rust-example
  annotations:
    version: v0.0.1
    description: 'Demo in Rust'
    wasmcloud.dev/authors: wasmCloud team
    wasmcloud.dev/categories: |
      http,rust,example
spec:
{spec}"
        );
        let ended = Folder::with(&manifest).run(&["check", "app.yaml"]);
        let all = format!("{name}: {ended:#?}\n{manifest}");
        assert_eq!(ended.code, Some(i32::from(!says.is_empty())), "{all}");
        for line in says {
            assert!(ended.stderr.contains(line), "`{line}` is not said: {all}");
        }
        if says.is_empty() {
            // But that nothing calls a component of which this is only a part of the application.
            let warnings = ended.stderr.lines().filter(|l| l.starts_with("warning["));
            let mut others = warnings.filter(|line| !line.starts_with("warning[W0104]"));
            assert_eq!(others.next(), None, "{all}");
        }
    }
}
