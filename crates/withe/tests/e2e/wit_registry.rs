//! WIT packages in a real registry: which version is meant, what they use, and what the lock has of it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use withe_testing::registry::{RegistryOptions, RegistryServer};

use crate::support::Folder;
use crate::support::process::{self, Ended};

/// A registry, and the folder of somebody who uses its packages.
struct Shop {
    registry: RegistryServer,
    folder: Folder,
}

/// The package that others use, with a type that they leave out.
const MONEY: &str = "package acme:money@VERSION;

interface types {
  type cents = u64;
  record unused { left-out: bool }
}
";

/// A package that uses one of the registry, and one that comes with Withe.
const CART: &str = "package acme:cart@VERSION;

interface cart {
  use acme:money/types@1.0.0.{cents};
  use wasi:io/streams@0.2.9.{output-stream};
  total: func() -> cents;
  print: func(to: borrow<output-stream>);
}
";

impl Shop {
    fn new() -> Self {
        let registry = RegistryServer::start(RegistryOptions::default()).unwrap();
        let folder = Folder::new();
        Self { registry, folder }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.folder.command(args);
        command.env("WITHE_PLAIN_HTTP", self.registry.address());
        command.env("WITHE_CACHE_DIR", self.folder.path("cache"));
        command.env("DOCKER_CONFIG", self.folder.path("docker"));
        command.env("WKG_CONFIG_FILE", self.folder.path("wkg.toml"));
        for variable in ["WITHE_MIRROR", "WITHE_VERIFY_KEY", "SSL_CERT_FILE"] {
            command.env_remove(variable);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        process::run(self.command(args))
    }

    /// Pushes the package of a text, in this version and with this WIT in its `deps`.
    fn push(&self, name: &str, text: &str, version: &str, deps: &[(&str, &str)]) {
        let folder = format!("packages/{name}-{version}");
        let write = |path: &str, text: &str| self.folder.write(&format!("{folder}/{path}"), text);
        write("package.wit", &text.replace("VERSION", version));
        for (file, text) in deps {
            write(&format!("deps/{file}"), text);
        }
        self.push_folder(&folder, &format!("all/acme/{name}:{version}"))
            .printed();
    }

    /// Pushes a folder of WIT as an artefact of the registry.
    fn push_folder(&self, folder: &str, artefact: &str) -> Ended {
        let reference = format!("{}/{artefact}", self.registry.address());
        let folder = self.folder.path(folder).display().to_string();
        self.run(&["push", &reference, &folder])
    }

    /// Pushes `acme:money` and `acme:cart` of 1.0.0.
    fn push_both(&self) {
        let money = MONEY.replace("VERSION", "1.0.0");
        self.push("money", MONEY, "1.0.0", &[]);
        let streams =
            "package wasi:io@0.2.9;\n\ninterface streams {\n  resource output-stream;\n}\n";
        let deps = [("money.wit", money.as_str()), ("io.wit", streams)];
        self.push("cart", CART, "1.0.0", &deps);
    }

    /// The option that names the registry.
    fn named(&self) -> String {
        format!("acme=oci://{}/all", self.registry.address())
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path(path)).unwrap()
    }

    fn lock(&self) -> serde_json::Value {
        serde_json::from_str(&self.text("wit/wit.lock")).unwrap()
    }
}

#[test]
fn a_package_comes_from_its_registry_with_all_that_it_uses() {
    let shop = Shop::new();
    shop.push_both();
    let added = shop.run(&["wit", "add", "acme:cart", "--registry", &shop.named()]);
    let printed = added.printed();
    for package in ["acme:cart@1.0.0", "acme:money@1.0.0", "wasi:io@0.2.12"] {
        assert!(printed.contains(&format!("{package}: added")), "{printed}");
    }
    // The whole package is there, and not the part that another one uses.
    assert!(
        shop.text("wit/deps/acme-money-1.0.0/package.wit")
            .contains("left-out")
    );
    let cart = shop.text("wit/deps/acme-cart-1.0.0/package.wit");
    assert!(
        cart.contains("use wasi:io/streams@0.2.12.{output-stream};"),
        "{cart}"
    );
    let lock = shop.lock();
    let fetched = &lock["fetched"]["acme:cart@1.0.0"];
    let reference = format!("{}/all/acme/cart:1.0.0", shop.registry.address());
    assert_eq!(fetched["reference"], reference.as_str());
    assert!(fetched["digest"].as_str().unwrap().starts_with("sha256:"));
    assert!(
        shop.run(&["wit", "check"])
            .printed()
            .contains("as the lock says")
    );

    // The folder of WIT can be pushed in its turn.
    shop.folder.write(
        "wit/world.wit",
        "package acme:shop@0.1.0;\n\nworld shop { import acme:cart/cart@1.0.0; }\n",
    );
    let reference = format!("{}/all/acme/shop:0.1.0", shop.registry.address());
    shop.run(&["push", &reference, "wit"]).printed();
    let shown = shop.run(&["wit", "show", "acme:cart@1", "--registry", &shop.named()]);
    assert!(shown.printed().contains("interface cart"), "{shown:?}");
}

#[test]
fn packages_that_were_built_with_different_releases_of_wasi_go_together() {
    let shop = Shop::new();
    let io = |version: &str| {
        format!(
            "package wasi:io@{version};\n\ninterface streams {{\n  resource output-stream;\n}}\n"
        )
    };
    let printer = |name: &str, version: &str| {
        format!(
            "package acme:{name}@1.0.0;\n\ninterface print {{\n  use wasi:io/streams@{version}.{{output-stream}};\n  to: func() -> output-stream;\n}}\n"
        )
    };
    let (old_io, new_io) = (io("0.2.0"), io("0.2.6"));
    let (old, new) = (printer("old", "0.2.0"), printer("new", "0.2.6"));
    shop.push("old", &old, "1.0.0", &[("io.wit", &old_io)]);
    shop.push("new", &new, "1.0.0", &[("io.wit", &new_io)]);
    let both = "package acme:both@1.0.0;

interface both {
  use acme:old/print@1.0.0.{output-stream as old-stream};
  use acme:new/print@1.0.0.{output-stream};
  join: func(old: old-stream, new: output-stream);
}

world all {
  import wasi:io/streams@0.2.0;
  import wasi:io/streams@0.2.6;
  export both;
}
";
    let deps = [
        ("old.wit", old.as_str()),
        ("new.wit", new.as_str()),
        ("io-0.2.0.wit", old_io.as_str()),
        ("io-0.2.6.wit", new_io.as_str()),
    ];
    shop.push("both", both, "1.0.0", &deps);
    let added = shop.run(&["wit", "add", "acme:both", "--registry", &shop.named()]);
    let printed = added.printed();
    for package in ["both@1.0.0", "old@1.0.0", "new@1.0.0"] {
        assert!(
            printed.contains(&format!("acme:{package}: added")),
            "{printed}"
        );
    }
    assert_eq!(
        printed.matches("wasi:io@0.2.12: added").count(),
        1,
        "{printed}"
    );
    // The files that are there can be read together.
    shop.folder.write(
        "wit/world.wit",
        "package acme:user@0.1.0;\n\nworld user { include acme:both/all@1.0.0; }\n",
    );
    let reference = format!("{}/all/acme/user:0.1.0", shop.registry.address());
    shop.run(&["push", &reference, "wit"]).printed();
}

#[test]
fn a_package_that_was_built_with_other_types_of_another_is_refused_with_both_names() {
    let shop = Shop::new();
    shop.push("money", MONEY, "1.0.0", &[]);
    let money = MONEY
        .replace("VERSION", "1.0.0")
        .replace("cents = u64", "cents = s64");
    let streams = "package wasi:io@0.2.9;\n\ninterface streams {\n  resource output-stream;\n}\n";
    let deps = [("money.wit", money.as_str()), ("io.wit", streams)];
    shop.push("cart", CART, "1.0.0", &deps);
    let refused = shop.run(&["wit", "add", "acme:cart", "--registry", &shop.named()]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let said = "`acme:cart@1.0.0` uses a `acme:money@1.0.0` that is not the one of its registry, or of Withe: `types` has another \
                type `cents`";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    assert!(!shop.folder.path("wit").exists());
}

#[test]
fn what_is_locked_stays_until_it_is_updated() {
    let shop = Shop::new();
    shop.push("money", MONEY, "1.0.0", &[]);
    shop.push("money", MONEY, "2.0.0-rc.1", &[]);
    shop.run(&["wit", "add", "acme:money", "--registry", &shop.named()])
        .printed();
    assert!(
        shop.lock()["fetched"]["acme:money@1.0.0"].is_object(),
        "a release, not the draft"
    );

    // A newer version, and another content under the same tag.
    shop.push("money", MONEY, "1.2.0", &[]);
    let other = MONEY.replace("cents", "pence");
    shop.push("money", &other, "1.0.0", &[]);
    let again = shop.run(&["wit", "add", "wasi:io"]);
    let printed = again.printed();
    assert!(printed.contains("acme:money@1.0.0: as before"), "{printed}");

    // Files that are missing come back as they were, although the registry has something newer.
    fs::remove_dir_all(shop.folder.path("wit/deps")).unwrap();
    let missing = shop.run(&["wit", "check"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(
        missing.stderr.contains("`withe wit add` puts there"),
        "{missing:?}"
    );
    let before = shop.lock();
    shop.run(&["wit", "add"]).printed();
    assert_eq!(shop.lock(), before);
    let path = "wit/deps/acme-money-1.0.0/package.wit";
    assert!(shop.text(path).contains("cents"));
    shop.folder.write(path, "package acme:money@1.0.0;");
    let changed = shop.run(&["wit", "check"]);
    assert!(
        changed
            .stderr
            .contains("`withe wit add --force` puts there"),
        "{changed:?}"
    );
    shop.run(&["wit", "add", "--force"]).printed();
    assert_eq!(shop.lock(), before);
    assert!(shop.text(path).contains("cents"));

    // The lock has the registry's name.
    let shown = shop.run(&["wit", "show", "acme:money@1.0.0"]);
    assert!(shown.printed().contains("pence"), "{shown:?}");
    let updated = shop.run(&["wit", "update"]);
    let printed = updated.printed();
    assert!(printed.contains("acme:money@1.2.0: added"), "{printed}");
    assert!(printed.contains("acme:money@1.0.0: removed"), "{printed}");

    // Without its registry, and from the cache.
    let mut shop = shop;
    shop.registry.stop();
    fs::remove_dir_all(shop.folder.path("wit/deps")).unwrap();
    let offline = shop.run(&["wit", "add", "wasi:io"]);
    assert!(
        offline.printed().contains("acme:money@1.2.0"),
        "{offline:?}"
    );
    assert!(
        shop.text("wit/deps/acme-money-1.2.0/package.wit")
            .contains("cents")
    );
}

#[test]
fn what_cannot_be_had_says_where_it_was_looked_for() {
    let shop = Shop::new();
    shop.push("money", MONEY, "1.0.0", &[]);
    let named = shop.named();
    for (what, registry, said) in [
        (
            "acme:money@3",
            Some(&named),
            "its registry has `acme:money@1.0.0`",
        ),
        ("acme:money@3.0.0", Some(&named), "3.0.0"),
        ("acme:nothing", Some(&named), "all/acme/nothing"),
        ("acme:money", None, "--registry acme=DOMAIN"),
        (
            "wasi:http@0.2.99",
            Some(&format!("wasi=oci://{}", shop.registry.address())),
            "which has wasi:http@0.2.12",
        ),
    ] {
        let mut args = vec!["wit", "add", what];
        args.extend(
            registry
                .iter()
                .flat_map(|registry| ["--registry", registry.as_str()]),
        );
        let refused = shop.run(&args);
        assert_eq!(refused.code, Some(1), "{what}: {refused:?}");
        assert!(refused.stderr.contains(said), "{what}: {}", refused.stderr);
    }
    assert!(!shop.folder.path("wit").exists());

    // A package that is another one.
    shop.push_folder("packages/money-1.0.0", "all/acme/other:1.0.0")
        .printed();
    let refused = shop.run(&["wit", "add", "acme:other", "--registry", &named]);
    assert!(
        refused.stderr.contains("is the package `acme:money@1.0.0`"),
        "{}",
        refused.stderr
    );

    // A package under the tag of another version.
    let refused = shop.push_folder("packages/money-1.0.0", "all/acme/money:9.0.0");
    assert!(refused.stderr.contains("`1.0.0`"), "{}", refused.stderr);
}

/// A server that answers each request with a document, and ends when it is asked for `/end`.
struct Document {
    address: String,
    serving: Option<JoinHandle<Vec<String>>>,
}

/// The first line of a request, once all of its head was read; `None` if there is none.
fn request(stream: TcpStream) -> Option<(String, TcpStream)> {
    // A connection without a request would keep others waiting.
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let mut rest = lines.map_while(Result::ok);
    while rest.next().is_some_and(|line| !line.is_empty()) {}
    Some((first, stream))
}

impl Document {
    fn serve(text: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for stream in listener.incoming() {
                // A client may open a connection that it does not use, or go away before it is answered.
                let Some((first, mut stream)) = stream.ok().and_then(request) else {
                    continue;
                };
                if first.contains("/end") {
                    break;
                }
                asked.push(first);
                let length = text.len();
                _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
                );
            }
            asked
        });
        Self {
            address,
            serving: Some(serving),
        }
    }

    /// The first lines of all requests.
    fn asked(mut self) -> Vec<String> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET /end HTTP/1.1\r\n\r\n").unwrap();
        self.serving.take().unwrap().join().unwrap()
    }
}

#[test]
fn a_domain_says_where_its_packages_are_and_wkgs_configuration_names_the_domain() {
    let shop = Shop::new();
    shop.push_both();
    let document = Document::serve(format!(
        r#"{{"preferredProtocol": "oci", "oci": {{"registry": "{}", "namespacePrefix": "all/"}}}}"#,
        shop.registry.address()
    ));
    shop.folder.write(
        "wkg.toml",
        &format!("[namespace_registries]\nacme = \"{}\"\n", document.address),
    );
    let mut command = shop.command(&["wit", "add", "acme:cart@1.0.0"]);
    let plain = format!("{},{}", shop.registry.address(), document.address);
    command.env("WITHE_PLAIN_HTTP", plain);
    let added = process::run(command);
    let printed = added.printed();
    assert!(printed.contains("acme:money@1.0.0: added"), "{printed}");
    let asked = document.asked();
    // The client may ask again if its connection breaks, and asks for nothing else.
    let is_document = |line: &String| line == "GET /.well-known/wasm-pkg/registry.json HTTP/1.1";
    assert!(
        !asked.is_empty() && asked.iter().all(is_document),
        "{asked:?}"
    );

    // A registry of artefacts is a domain too, that says nothing.
    shop.push_folder("packages/money-1.0.0", "acme/money:1.0.0")
        .printed();
    let named = format!("acme={}", shop.registry.address());
    let shown = shop.run(&["wit", "show", "acme:money", "--registry", &named]);
    assert!(shown.printed().contains("left-out"), "{shown:?}");

    shop.folder.write("wkg.toml", "[namespace_registries\n");
    let refused = shop.run(&["wit", "show", "acme:money"]);
    assert!(refused.stderr.contains("wkg.toml"), "{}", refused.stderr);
    assert!(refused.stderr.contains("line 1"), "{}", refused.stderr);
}
