//! A component that keeps objects: everything that `wasi:blobstore` has, wherever the provider runs.

use std::fs;

use withe_testing::nats;

use crate::support::Folder;
use crate::support::client::{Exchange, get};
use crate::support::manifest::{
    application, component, entry, http_server, http_server_by, provider,
};

/// Bytes of an object that no buffer on its way holds.
const BIG: usize = 64 << 20;

/// Byte `n` of a big object.
fn pattern(n: usize) -> u8 {
    (n % 251) as u8 ^ (n >> 16) as u8
}

/// An application whose component keeps objects over a link with this `binding`.
fn shelf(server: &str, properties: &str, config: &str, binding: &str) -> String {
    let config = format!("[{{name: where, properties: {{{config}}}}}]");
    let link = format!("target: {{name: blobs, config: {config}}}, timeout: 60s{binding}");
    application(&[
        server.to_owned(),
        component("shelf", "shelf", "", &[&link]),
        provider("blobstore", properties, &[]).replace("name: blobstore", "name: blobs"),
    ])
}

/// Asks for something without a body.
fn post(address: &str, path: &str) -> (u16, String) {
    let mut exchange = Exchange::start(address, &format!("POST {path}"), 0).unwrap();
    let status = exchange.status().unwrap();
    let mut text = Vec::new();
    while let Some(part) = exchange.part().unwrap() {
        text.extend(part);
    }
    (status, String::from_utf8(text).unwrap())
}

/// Writes and reads a big object.
fn big(address: &str) {
    let mut put = Exchange::start(address, "PUT /big/object", BIG).unwrap();
    let piece = 1 << 20;
    for start in (0..BIG).step_by(piece) {
        let bytes: Vec<u8> = (start..start + piece).map(pattern).collect();
        put.send(&bytes).unwrap();
    }
    assert_eq!(put.status().unwrap(), 201);
    let mut got = Exchange::start(address, "GET /big/object", 0).unwrap();
    assert_eq!(got.status().unwrap(), 200);
    let mut n = 0;
    while let Some(part) = got.part().unwrap() {
        for byte in part {
            assert_eq!(byte, pattern(n), "byte {n}");
            n += 1;
        }
    }
    assert_eq!(n, BIG);
}

/// Does all of it in a folder, over a link of one binding.
fn keeps(server: &str, properties: &str, binding: &str) {
    let folder = Folder::with(&shelf(server, properties, "root: objects", binding));
    let up = folder.up(&[]);
    let address = up.address();
    assert_eq!(
        post(&address, "/pets/all"),
        (200, "all\n".to_owned()),
        "{binding}"
    );
    big(&address);
    let file = folder.path("objects/big/object");
    assert_eq!(fs::metadata(file).unwrap().len(), BIG as u64);
    let uploads = fs::read_dir(folder.path("objects/.withe-uploads")).unwrap();
    assert_eq!(uploads.count(), 0, "{binding}");
}

#[test]
fn objects_are_kept_in_the_host() {
    keeps(&http_server("shelf"), "", "");
}

#[test]
fn a_worker_keeps_objects() {
    keeps(&http_server_by("unix", "shelf"), "", "");
}

#[test]
fn a_process_keeps_objects() {
    keeps(&http_server("shelf"), "process: true", "");
}

#[test]
fn objects_are_kept_over_tcp() {
    keeps(&http_server("shelf"), "", ", binding: tcp");
}

#[test]
fn objects_are_kept_over_nats() {
    let lattice = nats::shared().unwrap();
    let folder = Folder::with(&shelf("", "", "root: objects", ", binding: nats"));
    let call = |call: &str| {
        let call = format!("t:shelf/shelf#{call}");
        folder.run(&["call", "app.yaml", "shelf", &call, "--lattice", &lattice])
    };
    assert_eq!(call("all(\"pets\")").printed(), "ok");
    let fill = format!("fill(\"big\", \"object\", {BIG}, named-first)");
    assert_eq!(call(&fill).printed(), "ok");
    let verify = format!("verify(\"big\", \"object\", 0, {BIG})");
    assert_eq!(call(&verify).printed(), format!("ok({BIG})"));
}

#[test]
fn values_are_written_before_and_after_they_have_a_name() {
    let folder = Folder::with(&shelf("", "", "root: objects", ""));
    let call = |call: &str| folder.call("shelf", &format!("t:shelf/shelf#{call}"));
    for order in ["named-first", "written-first"] {
        let fill = format!("fill(\"pets\", \"{order}\", 3000000, {order})");
        assert_eq!(call(&fill).printed(), "ok");
        let verify = format!("verify(\"pets\", \"{order}\", 100, 2999999)");
        assert_eq!(call(&verify).printed(), "ok(2999899)");
    }
    // More than is held for a value of which nobody knows where it goes.
    let fill = call("fill(\"pets\", \"big\", 20000000, written-first)");
    let printed = fill.printed();
    assert!(
        printed.contains("call `container.write-data` before writing more"),
        "{printed}"
    );
    assert_eq!(
        call("fill(\"pets\", \"big\", 20000000, named-first)").printed(),
        "ok"
    );
    assert_eq!(call("abandon(\"pets\", \"half\")").printed(), "ok");
    assert!(!folder.path("objects/pets/half").exists());
}

#[test]
fn a_full_memory_is_said_and_leaves_what_is_there() {
    let config = "backend: memory, max_bytes: \"1000000\"";
    let folder = Folder::with(&shelf(&http_server("shelf"), "", config, ""));
    let up = folder.up(&[]);
    let address = up.address();
    let put = |object: &str, size: usize| {
        let mut put = Exchange::start(&address, &format!("PUT /pets/{object}"), size).unwrap();
        // The component may have answered before it has all.
        _ = put.send(&vec![b'x'; size]);
        put.status().unwrap()
    };
    assert_eq!(put("cat", 700_000), 201);
    assert_eq!(put("dog", 700_000), 502);
    assert_eq!(put("cat", 200_000), 201);
    assert_eq!(get(&address, "/pets/cat").unwrap().text().len(), 200_000);
    assert_eq!(get(&address, "/pets/dog").unwrap().status, 404);
}

#[test]
fn what_is_embedded_keeps_objects_in_memory() {
    let folder = Folder::new();
    let guest = crate::support::guest("shelf");
    let guest = guest.to_str().unwrap();
    let ended = folder.run(&["call", guest, "t:shelf/shelf#all(\"pets\")"]);
    assert_eq!(ended.printed(), "ok");
    assert!(!folder.path("data").exists());
}

#[test]
fn v1s_name_and_key_mean_a_folder() {
    let image = "image: \"ghcr.io/wasmcloud/blobstore-fs:0.11.1\"";
    let link = "target: {name: blobs, config: [{name: root, properties: {ROOT: objects}}]}";
    let folder = Folder::with(&application(&[
        component("shelf", "shelf", "", &[link]),
        entry("blobs", "capability", image, &[]),
    ]));
    let put = folder.call("shelf", "t:shelf/shelf#put(\"pets\", \"a/cat\", \"meow\")");
    assert_eq!(put.printed(), "ok");
    let file = folder.path("objects/pets/a/cat");
    assert_eq!(fs::read_to_string(file).unwrap(), "meow");
    let got = folder.call("shelf", "t:shelf/shelf#get(\"pets\", \"a/cat\")");
    assert_eq!(got.printed(), "ok(\"meow\")");
}
