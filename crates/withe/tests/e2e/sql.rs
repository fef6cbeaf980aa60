//! A component over SQL: one line of the manifest says which database.

use withe_testing::port::ReservedPort;
use withe_testing::postgres::{PASSWORD, PostgresServer, USER};

use crate::support::Folder;
use crate::support::manifest::{application, component, entry};

/// An application whose component keeps notes: the provider's image and properties, and the link's configuration.
fn notes(image: &str, properties: &str, config: &str) -> String {
    let link = format!("target: {{name: db, config: [{{name: where, properties: {{{config}}}}}]}}");
    let properties = format!("image: \"{image}\", {properties}");
    application(&[
        component("notes", "notes", "", &[&link]),
        entry("db", "capability", &properties, &[]),
    ])
}

/// Adds notes, each by a start of its own, and reads them.
fn keeps(folder: &Folder) {
    for (n, text) in ["milk", "it's \\\"bread\\\""].iter().enumerate() {
        let added = folder.call("notes", &format!("t:notes/notes#add(\"{text}\")"));
        assert_eq!(added.printed(), format!("ok({})", n + 1));
    }
    let done = folder.call("notes", "t:notes/notes#done(\"milk\")");
    assert_eq!(done.printed(), "ok(1)");
    let all = folder.call("notes", "t:notes/notes#all()");
    let want = r#"ok(["1: milk, 2024-2-29, true", "2: it\'s \"bread\", 2024-2-29, false"])"#;
    assert_eq!(all.printed(), want);
}

#[test]
fn notes_are_kept_in_a_file() {
    for properties in ["", "process: true"] {
        let folder = Folder::with(&notes("withe:sql", properties, "path: notes.db"));
        keeps(&folder);
        assert!(folder.path("notes.db").is_file());
    }
    // Nobody says where.
    let folder = Folder::with(&notes("withe:sql", "", ""));
    keeps(&folder);
    assert!(folder.path("data/sql.sqlite").is_file());
}

#[test]
fn memory_ends_with_the_application() {
    let folder = Folder::with(&notes("withe:sql", "", "backend: memory"));
    for _ in 0..2 {
        let added = folder.call("notes", "t:notes/notes#add(\"milk\")");
        assert_eq!(added.printed(), "ok(1)");
    }
}

#[test]
fn the_same_notes_are_kept_in_postgresql() {
    let server = PostgresServer::start().unwrap();
    let url = format!("url: \"{}\"", server.url());
    keeps(&Folder::with(&notes("withe:sql", "", &url)));
    // Under the name and with the keys of wasmCloud v1, in a database of its own.
    server.create_database("v1").unwrap();
    let port = server.port();
    let keys = format!(
        "POSTGRES_HOST: 127.0.0.1, POSTGRES_PORT: \"{port}\", POSTGRES_USERNAME: {USER}, \
         POSTGRES_PASSWORD: {PASSWORD}, POSTGRES_DATABASE: v1"
    );
    let image = "ghcr.io/wasmcloud/sqldb-postgres:0.8.1";
    keeps(&Folder::with(&notes(image, "process: true", &keys)));
}

#[test]
fn what_is_wrong_is_said_before_anything_starts_and_without_passwords() {
    let folder = Folder::with(&notes(
        "withe:postgres",
        "",
        "postgres_hots: x, postgres_pool_size: \"0\"",
    ));
    let ended = folder.run(&["check", "app.yaml"]);
    ended.failed(&[
        "did you mean `postgres_host`?",
        "`postgres_pool_size` is `0`",
    ]);

    let nobody = ReservedPort::new().unwrap().port();
    let config = format!(
        "url: \"postgres://u:s3cret@127.0.0.1:{nobody}/d\", postgres_connect_timeout_ms: \"200\""
    );
    let folder = Folder::with(&notes("withe:postgres", "", &config));
    let ended = folder.call("notes", "t:notes/notes#all()");
    ended.failed(&["cannot connect to PostgreSQL", &nobody.to_string()]);
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
}
