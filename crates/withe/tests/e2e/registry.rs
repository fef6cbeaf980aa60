//! Components and applications in a real registry: pushed, pulled, run, and refused.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use withe_testing::certificates::Certificates;
use withe_testing::cosign::{Says, Signer};
use withe_testing::registry::{RegistryOptions, RegistryServer, USER};

use crate::keyvalue_component;
use crate::support::client::{Exchange, get};
use crate::support::manifest::{application, entry, http_server};
use crate::support::process::{self, Ended, Up};
use crate::support::{Folder, guest};

/// A registry, and a folder with a cache of its own.
struct Shop {
    registry: RegistryServer,
    folder: Folder,
}

impl Shop {
    fn new() -> Self {
        Self::asking(RegistryOptions::default())
    }

    fn asking(options: RegistryOptions<'_>) -> Self {
        Self {
            registry: RegistryServer::start(options).unwrap(),
            folder: Folder::new(),
        }
    }

    /// A reference to something in the registry.
    fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.address())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.folder.command(args);
        command.env("WITHE_PLAIN_HTTP", self.registry.address());
        // Compiled code that others made is found by its name alone, so what is pulled can be apart from it.
        command.env("WITHE_CACHE_DIR", self.folder.path("cache"));
        command.env("DOCKER_CONFIG", self.folder.path("docker"));
        for variable in [
            "WITHE_MIRROR",
            "WITHE_VERIFY_KEY",
            "SSL_CERT_FILE",
            "SOURCE_DATE_EPOCH",
        ] {
            command.env_remove(variable);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        process::run(self.command(args))
    }

    /// Pushes a component of `tests/guests`; returns its reference with the digest.
    fn push(&self, name: &str, guest_name: &str) -> String {
        let file = guest(guest_name).display().to_string();
        let pushed = self.run(&["push", &self.reference(name), &file]);
        pushed.printed().to_owned()
    }

    /// Writes a manifest of an HTTP server that is linked to a component with this image.
    fn serve(&self, image: &str) {
        let hello = entry("hello", "component", &format!("image: {image:?}"), &[]);
        let manifest = application(&[http_server("hello"), hello]);
        self.folder.write("app.yaml", &manifest);
    }

    fn up(&self, args: &[&str]) -> Up {
        Up::start(self.command(&[&["up"], args].concat()))
    }

    /// Checks that `withe up` with these arguments serves, and ends it.
    fn serves(&self, args: &[&str], text: &str) {
        let mut up = self.up(args);
        let answer = get(&up.address(), "/").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text().contains(text), "{answer:?}");
        up.interrupt();
        assert_eq!(up.exit_code(), Some(0));
    }
}

/// The digest in a reference.
fn digest(pinned: &str) -> &str {
    pinned.split_once('@').unwrap().1
}

#[test]
fn a_component_comes_back_as_it_was_pushed() {
    let shop = Shop::new();
    let pinned = shop.push("a/hello:1", "hello");
    let again = shop.push("a/hello:2", "hello");
    assert_eq!(
        digest(&pinned),
        digest(&again),
        "it depends on nothing else"
    );

    let pulled = shop.run(&["pull", &shop.reference("a/hello:1")]);
    assert_eq!(pulled.printed(), pinned);
    let bytes = fs::read(guest("hello")).unwrap();
    assert_eq!(fs::read(shop.folder.path("hello.wasm")).unwrap(), bytes);

    // An existing file is not replaced unasked.
    fs::write(shop.folder.path("hello.wasm"), "mine").unwrap();
    let refused = shop.run(&["pull", &pinned]);
    refused.failed(&["hello.wasm", "--force"]);
    let pulled = shop.run(&["pull", &pinned, "-o", "b.wasm", "--json"]);
    let json: serde_json::Value = serde_json::from_str(pulled.printed()).unwrap();
    assert_eq!(
        (&json["kind"], &json["path"]),
        (&"component".into(), &"b.wasm".into())
    );
    assert_eq!(json["digest"], digest(&pinned));
}

#[test]
fn an_application_has_images_by_tag_and_by_digest_and_needs_no_registry_for_the_latter() {
    let mut shop = Shop::new();
    let pinned = shop.push("hello:1", "hello");
    shop.serve(&shop.reference("hello:1"));
    shop.serves(&["app.yaml"], "");
    shop.serve(&pinned);
    shop.registry.stop();
    // The content pulled for the tag has the same digest.
    shop.serves(&["app.yaml"], "");

    shop.serve(&shop.reference("hello:1"));
    let silent = shop.run(&["check", "app.yaml"]);
    silent.failed(&["W0082", "app.yaml:", "does not answer", "NAME@sha256:"]);
}

#[test]
fn a_provider_that_is_a_component_is_pulled_by_itself_and_with_its_application() {
    let shop = Shop::new();
    let file = keyvalue_component::image().display().to_string();
    let pinned = shop.run(&["push", &shop.reference("kv:1"), &file]);
    let edit = guest("kv-edit").display().to_string();
    let manifest = application(&[
        http_server("edit"),
        entry(
            "edit",
            "component",
            &format!("image: {edit:?}"),
            &["target: kv"],
        ),
        entry(
            "kv",
            "capability",
            &format!("image: {:?}", pinned.printed()),
            &[],
        ),
    ]);
    shop.folder.write("app.yaml", &manifest);
    let whole = shop.reference("shop:1");
    shop.run(&["push", &whole, "app.yaml"]).printed();
    for application in ["app.yaml", &format!("oci://{whole}")] {
        let mut up = shop.up(&[application]);
        let address = up.address();
        let mut put = Exchange::start(&address, "PUT /k", 1).unwrap();
        put.send(b"v").unwrap();
        assert_eq!(put.status().unwrap(), 200);
        assert_eq!(get(&address, "/k").unwrap().text(), "v");
        up.interrupt();
        assert_eq!(up.exit_code(), Some(0));
    }
}

#[test]
fn a_tag_that_moved_is_told_and_refused_where_only_what_is_locked_may_run() {
    let mut shop = Shop::new();
    let tag = shop.reference("hello:1");
    let first = shop.push("hello:1", "hello");
    shop.serve(&tag);
    shop.run(&["check", "app.yaml", "--locked"]).failed(&[
        "W0085",
        "is not in `withe.lock`",
        "withe lock",
    ]);
    let locked = shop.run(&["lock", "app.yaml"]);
    assert!(locked.printed().contains(digest(&first)), "{locked:?}");
    shop.serves(&["app.yaml", "--locked"], "");

    let second = shop.push("hello:1", "http-echo");
    assert_ne!(digest(&first), digest(&second));
    let moved = shop.run(&["up", "app.yaml", "--locked"]);
    moved.failed(&[
        "W0085",
        "app.yaml:",
        "has moved",
        digest(&first),
        digest(&second),
    ]);
    let told = shop.run(&["check", "app.yaml"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stderr.contains("warning[W0085]"), "{told:?}");

    // The locked content is in the cache, so the registry need not be there.
    shop.registry.stop();
    shop.serves(&["app.yaml", "--locked"], "");
    shop.registry.restart().unwrap();

    let locked = shop.run(&["lock", "app.yaml"]);
    let was = format!("(was {})", digest(&first));
    assert!(locked.printed().contains(&was), "{locked:?}");
    assert_eq!(shop.run(&["check", "app.yaml", "--locked"]).code, Some(0));
}

#[test]
fn whoever_is_not_logged_in_is_told_so() {
    let shop = Shop::asking(RegistryOptions {
        asks_password: true,
        ..RegistryOptions::default()
    });
    let reference = shop.reference("a/hello:1");
    let file = guest("hello").display().to_string();
    shop.run(&["push", &reference, &file])
        .failed(&["without a name and a password", "docker login"]);
    let push_as = |password: &str| {
        let config = shop.registry.logged_in(USER.0, password).unwrap();
        let mut command = shop.command(&["push", &reference, &file]);
        command.env("DOCKER_CONFIG", config.path());
        process::run(command)
    };
    push_as("wrong").failed(&["does not let in", "config.json"]);
    push_as(USER.1).printed();

    shop.serve(&reference);
    shop.run(&["check", "app.yaml"])
        .failed(&["W0081", "app.yaml:", "docker login"]);
}

#[test]
fn a_credential_helper_is_asked() {
    use std::os::unix::fs::PermissionsExt as _;

    let shop = Shop::asking(RegistryOptions {
        asks_password: true,
        ..RegistryOptions::default()
    });
    let helper = format!(
        "#!/bin/sh\nread registry\n[ \"$registry\" = {} ] || {{ echo 'credentials not found'; exit 1; }}\n\
         echo '{{\"Username\": \"{}\", \"Secret\": \"{}\"}}'\n",
        shop.registry.address(),
        USER.0,
        USER.1
    );
    shop.folder.write("bin/docker-credential-test", &helper);
    let program = shop.folder.path("bin/docker-credential-test");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    shop.folder
        .write("docker/config.json", r#"{"credsStore": "test"}"#);
    let file = guest("hello").display().to_string();
    let mut command = shop.command(&["push", &shop.reference("hello:1"), &file]);
    let path = env::var("PATH").unwrap();
    let bin = shop.folder.path("bin");
    command.env("PATH", format!("{}:{path}", bin.display()));
    process::run(command).printed();
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_its_place() {
    let shop = Shop::new();
    let pinned = shop.push("hello:1", "hello");
    let damaged = shop.push("damaged:1", "http-echo");
    let json = shop.run(&["pull", &damaged, "--json"]);
    let json: serde_json::Value = serde_json::from_str(json.printed()).unwrap();
    let blob = shop.registry.blob(json["content"].as_str().unwrap());
    let mut bytes = fs::read(&blob).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&blob, bytes).unwrap();
    fs::remove_dir_all(shop.folder.path("cache")).unwrap();

    let image = |reference: &str| format!("image: {reference:?}");
    let unknown = pinned.replace(&digest(&pinned)[7..], &"0".repeat(64));
    let manifest = application(&[
        entry("a", "component", &image(&shop.reference("hello:2")), &[]),
        entry("b", "component", &image(&unknown), &[]),
        entry("c", "component", &image(&damaged), &[]),
        entry("d", "component", &image("127.0.0.1:1/x:1"), &[]),
    ]);
    shop.folder.write("app.yaml", &manifest);
    let said = shop.run(&["check", "app.yaml"]);
    said.failed(&[
        "error[W0080]",
        "`hello` under `2`",
        "error[W0083]",
        "is damaged",
        "error[W0082]",
        "`127.0.0.1:1`",
        "app.yaml:8",
    ]);
    assert_eq!(said.stderr.matches("error[W0080]").count(), 2, "{said:?}");
}

#[test]
fn tls_is_the_rule_and_a_registry_without_it_has_to_be_named() {
    let certificates = Certificates::new().unwrap();
    let shop = Shop::asking(RegistryOptions {
        tls: Some(&certificates),
        ..RegistryOptions::default()
    });
    let file = guest("hello").display().to_string();
    let reference = shop.reference("hello:1");
    let push = |certificates: Option<&Path>| {
        let mut command = shop.command(&["push", &reference, &file]);
        command.env_remove("WITHE_PLAIN_HTTP");
        if let Some(path) = certificates {
            command.env("SSL_CERT_FILE", path);
        }
        process::run(command)
    };
    push(None).failed(&["SSL_CERT_FILE"]);
    push(Some(&certificates.ca())).printed();

    let plain = Shop::new();
    let mut command = plain.command(&["push", &plain.reference("hello:1"), &file]);
    command.env_remove("WITHE_PLAIN_HTTP");
    let hint = format!("--plain-http {}", plain.registry.address());
    process::run(command).failed(&[&hint]);
}

#[test]
fn a_mirror_is_asked_in_the_place_of_its_registry() {
    let shop = Shop::new();
    shop.push("hub/shop/hello:1", "hello");
    let mirror = format!("registry.example={}/hub", shop.registry.address());
    shop.serve("registry.example/shop/hello:1");
    let checked = shop.run(&["check", "app.yaml", "--mirror", &mirror]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

#[test]
fn a_whole_application_is_one_artefact() {
    let shop = Shop::new();
    shop.push("hello:1", "hello");
    shop.serve(&shop.reference("hello:1"));
    let pinned = shop.run(&["push", &shop.reference("shop:1"), "app.yaml"]);
    let pinned = pinned.printed().to_owned();

    // The artefact holds all parts of the application.
    fs::remove_dir_all(shop.folder.path("cache")).unwrap();
    fs::remove_file(shop.folder.path("app.yaml")).unwrap();
    let reference = format!("oci://{}", shop.reference("shop:1"));
    shop.serves(&[&reference], "");

    let pulled = shop.run(&["pull", &pinned]);
    assert_eq!(pulled.printed(), pinned);
    let checked = shop.run(&["check", "shop/manifest.yaml"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let manifest = fs::read_to_string(shop.folder.path("shop/manifest.yaml")).unwrap();
    assert!(manifest.contains("./images/hello-"), "{manifest}");

    shop.serve(&shop.reference("shop:1"));
    shop.run(&["check", "app.yaml"])
        .failed(&["W0084", "whole application", "withe up oci://"]);
}

#[test]
fn a_component_in_a_registry_needs_no_manifest() {
    let shop = Shop::new();
    shop.push("hello:1", "hello");
    let reference = format!("oci://{}", shop.reference("hello:1"));
    shop.serves(&[&reference, "--listen", "127.0.0.1:0"], "");
    let written = shop.run(&["up", &reference, "--emit-manifest"]);
    assert!(
        written.printed().contains(&shop.reference("hello:1")),
        "{written:?}"
    );
}

#[test]
fn secrets_are_not_pushed() {
    let shop = Shop::new();
    let file = guest("hello");
    let config = "config: [{name: c, secret: true, properties: {key: correct-horse}}]";
    let properties = format!("image: \"{}\", {config}", file.display());
    let manifest = application(&[entry("hello", "component", &properties, &[])]);
    shop.folder.write("app.yaml", &manifest);
    let refused = shop.run(&["push", &shop.reference("shop:1"), "app.yaml"]);
    refused.failed(&["W0087", "app.yaml:", "nothing was pushed"]);
    assert!(!refused.stderr.contains("correct-horse"), "{refused:?}");
}

/// A key that images have to be signed with, as a file of a shop's folder.
fn signer(shop: &Shop, file: &str) -> Signer {
    let signer = Signer::new().unwrap();
    signer.write_public(&shop.folder.path(file)).unwrap();
    signer
}

#[test]
fn an_image_that_is_signed_runs_and_one_that_is_not_does_not() {
    let mut shop = Shop::new();
    let signer = signer(&shop, "cosign.pub");
    let pinned = shop.push("shop/hello:1", "hello");
    shop.serve(&shop.reference("shop/hello:1"));
    let verified = ["app.yaml", "--verify-key", "cosign.pub"];
    let refused = shop.run(&[&["up"], &verified[..]].concat());
    refused.failed(&[
        "W0088",
        "app.yaml:",
        "is not signed",
        digest(&pinned),
        "cosign sign --key",
    ]);
    assert!(!refused.stderr.contains("listening"), "{refused:?}");
    let name = shop.reference("shop/hello");
    let says = Says {
        name: &name,
        digest: digest(&pinned),
    };
    (signer.sign(&shop.registry, "shop/hello", digest(&pinned), says)).unwrap();
    shop.serves(&verified, "");

    let locked = shop.run(&[&["lock"], &verified[..]].concat());
    locked.printed();
    let lock = fs::read_to_string(shop.folder.path("withe.lock")).unwrap();
    assert!(lock.contains("\"signed_by\": \"sha256:"), "{lock}");

    // The signature is in the cache as the image is.
    shop.serve(&pinned);
    shop.registry.stop();
    shop.serves(&verified, "");
}

#[test]
fn what_is_wrong_with_a_signature_is_said() {
    let shop = Shop::new();
    let (trusted, other) = (signer(&shop, "cosign.pub"), signer(&shop, "other.pub"));
    let pull = |pinned: &str, keys: &[&str]| {
        let keys = keys.iter().flat_map(|key| ["--verify-key", *key]);
        let args: Vec<&str> = (["pull", "--force", pinned].into_iter().chain(keys)).collect();
        shop.run(&args)
    };
    let name = |repository: &str| shop.reference(repository);

    let pinned = shop.push("by-other:1", "hello");
    let says = Says {
        name: &name("by-other"),
        digest: digest(&pinned),
    };
    (other.sign(&shop.registry, "by-other", digest(&pinned), says)).unwrap();
    let refused = pull(&pinned, &["cosign.pub"]);
    refused.failed(&["is signed, but not with", "`cosign.pub`", "--verify-key"]);
    let accepted = pull(&pinned, &["cosign.pub", "other.pub"]);
    assert!(
        accepted.stderr.contains("signed with the key sha256:"),
        "{accepted:?}"
    );
    // An acceptance counts only for its key.
    pull(&pinned, &["cosign.pub"]).failed(&["is signed, but not with"]);
    // A pattern that leaves it out asks for nothing, which is told.
    let unasked = pull(&pinned, &["ghcr.io/*=cosign.pub", "*=other.pub"]);
    unasked.printed();
    let warning = format!("`ghcr.io/*` does not match `{}`", name("by-other"));
    assert!(unasked.stderr.contains(&warning), "{unasked:?}");
    assert!(
        !unasked.stderr.contains("signed with `other.pub`"),
        "{unasked:?}"
    );
    let all_of_shop = format!("{}/*=cosign.pub", shop.registry.address());
    pull(&pinned, &[&all_of_shop]).failed(&["is signed, but not with"]);

    let pinned = shop.push("of-other:1", "http-echo");
    let another = format!("sha256:{}", "0".repeat(64));
    let says = Says {
        name: &name("of-other"),
        digest: &another,
    };
    (trusted.sign(&shop.registry, "of-other", digest(&pinned), says)).unwrap();
    let refused = pull(&pinned, &["cosign.pub"]);
    refused.failed(&["another image", &another, digest(&pinned)]);

    let pinned = shop.push("copied:1", "http-echo");
    let says = Says {
        name: &name("original"),
        digest: digest(&pinned),
    };
    (trusted.sign(&shop.registry, "copied", digest(&pinned), says)).unwrap();
    let refused = pull(&pinned, &["cosign.pub"]);
    refused.failed(&["is for the repository", &name("original"), &name("copied")]);

    let refused = pull(&pinned, &["no.pub"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("`no.pub` cannot be read"),
        "{refused:?}"
    );
}

#[test]
fn a_bundle_of_cosign_3_is_a_signature_and_a_whole_application_has_one() {
    let shop = Shop::new();
    let signer = signer(&shop, "cosign.pub");
    let file = guest("hello").display().to_string();
    shop.serve(&file);
    let pinned = shop.run(&["push", &shop.reference("shop:1"), "app.yaml"]);
    let pinned = pinned.printed().to_owned();
    let reference = format!("oci://{pinned}");
    let verified = [&*reference, "--verify-key", "cosign.pub"];
    let refused = shop.run(&[&["up"], &verified[..]].concat());
    refused.failed(&["W0088", "is not signed"]);
    (signer.sign_by_bundle(&shop.registry, "shop", digest(&pinned))).unwrap();
    shop.serves(&verified, "");
}

#[test]
fn another_spelling_of_a_registry_evades_no_key() {
    let shop = Shop::new();
    let _signer = signer(&shop, "cosign.pub");
    let pinned = shop.push("hello:1", "hello");
    let address = shop.registry.address();
    let (_, port) = address.rsplit_once(':').unwrap();
    let spelt = format!("LocalHost:0{port}");
    let reference = format!("{spelt}/hello@{}", digest(&pinned));
    let key = format!("localhost:{port}/*=cosign.pub");
    let args = ["pull", "--plain-http", &*spelt, &*reference];
    let refused = shop.run(&[&args[..], &["--verify-key", &*key]].concat());
    refused.failed(&["is not signed", &format!("`localhost:{port}/hello`")]);
    shop.run(&args).printed();
}

#[test]
fn a_list_of_images_is_signed_itself() {
    let shop = Shop::new();
    let signer = signer(&shop, "cosign.pub");
    let child = shop.push("shop/hello:1", "hello");
    let size = fs::metadata(shop.registry.blob(digest(&child)))
        .unwrap()
        .len();
    let index = "application/vnd.oci.image.index.v1+json";
    let list = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": index,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest(&child),
            "size": size,
            "platform": {"architecture": "wasm", "os": "wasip2"},
        }],
    });
    let entry = (shop
        .registry
        .put_manifest("shop/hello", "all", index, &list))
    .unwrap();
    let list = entry["digest"].as_str().unwrap();
    let name = shop.reference("shop/hello");
    let sign = |digest: &str| {
        let says = Says {
            name: &name,
            digest,
        };
        signer
            .sign(&shop.registry, "shop/hello", digest, says)
            .unwrap();
    };
    let all = shop.reference("shop/hello:all");
    let pull = || shop.run(&["pull", "--force", &all, "--verify-key", "cosign.pub"]);
    sign(digest(&child));
    pull().failed(&["is not signed", list]);
    sign(list);
    pull().printed();
}

#[test]
fn a_signature_that_was_changed_in_the_cache_is_none() {
    let mut shop = Shop::new();
    let signer = signer(&shop, "cosign.pub");
    let pinned = shop.push("hello:1", "hello");
    let name = shop.reference("hello");
    let says = Says {
        name: &name,
        digest: digest(&pinned),
    };
    (signer.sign(&shop.registry, "hello", digest(&pinned), says)).unwrap();
    let pull = |shop: &Shop| shop.run(&["pull", "--force", &pinned, "--verify-key", "cosign.pub"]);
    pull(&shop).printed();

    let digits = digest(&pinned).trim_start_matches("sha256:");
    let file = shop.folder.path(&format!("cache/oci/{digits}.sig"));
    let kept = fs::read_to_string(&file).unwrap();
    let with = |field: &str, value: serde_json::Value| {
        let mut changed: serde_json::Value = serde_json::from_str(&kept).unwrap();
        assert!(changed.get(field).is_some(), "{kept}");
        changed[field] = value;
        changed.to_string()
    };
    let changed = [
        with("payload", "e30=".into()),
        with("signatures", serde_json::json!(["AAAA"])),
        with("form", "Envelope".into()),
        String::new(),
    ];
    for text in &changed {
        fs::write(&file, text).unwrap();
        // The right one is fetched again.
        pull(&shop).printed();
        assert_eq!(fs::read_to_string(&file).unwrap(), kept);
    }
    shop.registry.stop();
    pull(&shop).printed();
    for text in &changed {
        fs::write(&file, text).unwrap();
        pull(&shop).failed(&["does not answer"]);
    }
}
