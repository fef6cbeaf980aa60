//! A folder with a few files in which the command is run.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of its own for one test; it goes when this is dropped.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Writes the component that a WebAssembly text is.
    pub(crate) fn component(self, name: &str, text: &str) -> Self {
        self.file(name, wat::parse_str(text).unwrap())
    }

    /// Writes `shop.yaml`: an application with the given entries of `spec.components`.
    pub(crate) fn manifest(self, components: &str) -> Self {
        let head = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata:\n  name: shop\nspec:\n  components:\n";
        self.file("shop.yaml", format!("{head}{components}"))
    }

    /// Writes an application: an HTTP server that listens on `address`, a component that it calls, and
    /// another that this one is linked to.
    pub(crate) fn shop(address: &str) -> Self {
        let manifest = format!(
            "    - name: http\n      type: capability\n      properties:\n        image: withe:http-server
      traits:\n        - type: link\n          properties:\n            target: front
            source:\n              config:\n                - name: listen
                  properties:\n                    address: {address}
    - name: front\n      type: component\n      properties:\n        image: ./front.wasm
      traits:\n        - type: link\n          properties:\n            target: counter
    - name: counter\n      type: component\n      properties:\n        image: ./counter.wasm\n"
        );
        Self::new()
            .manifest(&manifest)
            .component("front.wasm", FRONT)
            .component("counter.wasm", COUNTER)
    }

    /// The command, to be run in the folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_withe"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        // The code that one test compiles is of no use to another, nor to the person who runs the tests.
        command.env("WITHE_CACHE_DIR", "");
        // Where packages of WIT are is for each test to say.
        command.env("WKG_CONFIG_FILE", self.path("wkg.toml"));
        for variable in ["WITHE_LOG", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs the command and shows its outcome. Digests are left out: they change with the tool that makes the fixtures.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        let mut shown = format!("exit code: {}\n", output.status.code().unwrap());
        for (name, bytes) in [("stdout", output.stdout), ("stderr", output.stderr)] {
            let text = String::from_utf8(bytes).unwrap();
            if !text.is_empty() {
                writeln!(
                    shown,
                    "----- {name} -----\n{}",
                    without_digests(text.trim_end())
                )
                .unwrap();
            }
        }
        shown
    }
}

/// A shop whose counter is copied from `counter.src` when it is built.
pub(crate) fn built_shop() -> Sandbox {
    let sandbox = Sandbox::shop("127.0.0.1:0").component("counter.src", COUNTER);
    fs::remove_file(sandbox.path("counter.wasm")).unwrap();
    let manifest = fs::read_to_string(sandbox.path("shop.yaml")).unwrap();
    let built = manifest.replace(
        "image: ./counter.wasm",
        "image: ./counter.wasm\n        build: {command: cp counter.src counter.wasm, inputs: [counter.src]}",
    );
    sandbox.file("shop.yaml", built)
}

/// `text` with the digits of digests, whole or cut short, replaced.
fn without_digests(text: &str) -> String {
    let hexadecimal = |word: &str| {
        let digits = word.strip_prefix("sha256:").unwrap_or(word);
        [12, 64].contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit())
    };
    let words = text.split_inclusive([' ', '\n', '"']);
    words
        .map(|part| {
            let word = part.trim_end_matches([' ', '\n', '"']);
            if hexadecimal(word) {
                part.replace(word, "[digest]")
            } else {
                part.to_owned()
            }
        })
        .collect()
}

/// Whether `path` is there.
pub(crate) fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}

/// Exports `shop:api/counter@1.0.0` with one function of no parameters.
pub(crate) const COUNTER: &str = r#"(component
    (core module $m (func (export "next") (result i32) i32.const 7))
    (core instance $i (instantiate $m))
    (func $next (result u32) (canon lift (core func $i "next")))
    (instance $counter (export "next" (func $next)))
    (export "shop:api/counter@1.0.0" (instance $counter)))"#;

/// Imports `shop:api/counter@1.0.0`, calls it and exports `run`.
pub(crate) const CALLER: &str = r#"(component
    (import "shop:api/counter@1.0.0" (instance $counter (export "next" (func (result u32)))))
    (core func $next (canon lower (func $counter "next")))
    (core module $m
        (import "counter" "next" (func $next (result i32)))
        (func (export "run") (result i32) call $next))
    (core instance $i (instantiate $m (with "counter" (instance (export "next" (func $next))))))
    (func (export "run") (result u32) (canon lift (core func $i "run"))))"#;

/// Imports what a counter exports, and exports what an HTTP server calls, with types as small as a check allows, and returns without an
/// answer.
const FRONT: &str = r#"(component
    (import "wasi:http/types@0.2.6" (instance $types
        (export "incoming-request" (type (sub resource)))
        (export "response-outparam" (type (sub resource)))))
    (alias export $types "incoming-request" (type $request))
    (alias export $types "response-outparam" (type $out))
    (import "shop:api/counter@1.0.0" (instance $counter (export "next" (func (result u32)))))
    (core module $m (func (export "handle") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func $handle (param "request" (own $request)) (param "response-out" (own $out))
        (canon lift (core func $i "handle")))
    (component $shim
        (import "request" (type $request (sub resource)))
        (import "out" (type $out (sub resource)))
        (import "handle" (func $handle
            (param "request" (own $request)) (param "response-out" (own $out))))
        (export "incoming-request" (type $request))
        (export "response-outparam" (type $out))
        (export "handle" (func $handle)))
    (instance $handler (instantiate $shim
        (with "request" (type $request)) (with "out" (type $out)) (with "handle" (func $handle))))
    (export "wasi:http/incoming-handler@0.2.6" (instance $handler)))"#;
