//! The codes of everything that can be wrong with the files of an application: W0051 to W0099.

use withe_linker::Code;
use withe_linker::diagnostic::CodeInfo;

/// A file does not exist.
pub const NOT_FOUND: Code = Code("W0051");
/// A folder, or something else that is not a regular file, stands where a file should be.
pub const NOT_A_FILE: Code = Code("W0052");
/// A file cannot be read.
pub const UNREADABLE: Code = Code("W0053");
/// A file is not WebAssembly.
pub const NOT_WASM: Code = Code("W0054");
/// A core module instead of a component.
pub const CORE_MODULE: Code = Code("W0055");
/// A WIT package instead of a component.
pub const WIT_PACKAGE: Code = Code("W0056");
/// WebAssembly's text format instead of its binary format.
pub const WASM_TEXT: Code = Code("W0057");
/// A component that cannot be read.
pub const MALFORMED: Code = Code("W0058");
/// A provider archive or an executable.
pub const PROVIDER_FILE: Code = Code("W0059");
/// A reference to a registry that is no first-party provider, where nothing is pulled.
pub const REGISTRY_IMAGE: Code = Code("W0060");
/// A short name that no first-party provider has.
pub const UNKNOWN_PROVIDER: Code = Code("W0061");
/// `type` says component and `image` is a provider, or the other way round.
pub const WRONG_KIND: Code = Code("W0062");
/// The parts of a `compose:` list do not fit together.
pub const COMPOSE_FAILED: Code = Code("W0063");
/// A component of another application.
pub const OTHER_APPLICATION: Code = Code("W0064");
/// The file given as a manifest is none.
pub const NOT_A_MANIFEST: Code = Code("W0065");
/// A program that does not say what provider it is.
pub const PROVIDER_PROGRAM: Code = Code("W0066");
/// A component given without a manifest, which nothing starts.
pub const NOTHING_TO_START: Code = Code("W0067");
/// A registry does not have an image.
pub const IMAGE_NOT_FOUND: Code = Code("W0080");
/// A registry wants to know who one is, or does not allow it.
pub const REGISTRY_ACCESS: Code = Code("W0081");
/// A registry cannot be asked.
pub const REGISTRY_SILENT: Code = Code("W0082");
/// An image from a registry is damaged, or too large.
pub const IMAGE_DAMAGED: Code = Code("W0083");
/// An image in a registry does not run here.
pub const IMAGE_KIND: Code = Code("W0084");
/// An image is not what was locked.
pub const NOT_LOCKED: Code = Code("W0085");
/// A locked image is used without its registry having been asked.
pub const LOCK_OFFLINE: Code = Code("W0086");
/// An application with secret values is to be pushed.
pub const SECRETS_PUSHED: Code = Code("W0087");
/// An image has to be signed, and is not, or otherwise.
pub const NOT_SIGNED: Code = Code("W0088");

/// The meanings of this module's codes.
pub const CODES: &[CodeInfo] = &[
    CodeInfo {
        code: NOT_FOUND,
        title: "file not found",
        explanation: "\
A file that the manifest or the command line names does not exist. A relative path in a manifest is
relative to the folder of the manifest, not to the folder the command is run in.

Correct the path; names that look alike in the same folder are suggested, and manifests where one is missing.
The image of a part may have to be built first (`withe build`).",
    },
    CodeInfo {
        code: NOT_A_FILE,
        title: "not a file",
        explanation: "\
The path leads to a folder, a socket, a device or a pipe. An image is one file: name the `.wasm` file
in the folder. A manifest is one file too; `withe dev` alone takes a folder, and the manifest in it.",
    },
    CodeInfo {
        code: UNREADABLE,
        title: "file cannot be read",
        explanation: "\
The file is there, and the operating system refuses to read it; its own words are in the message.
Most often it belongs to another user: `ls -l FILE` shows whose it is.",
    },
    CodeInfo {
        code: NOT_WASM,
        title: "not WebAssembly",
        explanation: "\
The file does not begin with the four bytes `\\0asm` that every WebAssembly binary begins with. The file may
be empty because a build was interrupted, or be a different file than was meant.",
    },
    CodeInfo {
        code: CORE_MODULE,
        title: "core module, not a component",
        explanation: "\
The file is a core WebAssembly module. A core module has no WIT interface, only functions over
numbers, so there is nothing that a link could check or connect.

Build for a component target instead:

```console
cargo build --release --target wasm32-wasip2
```

or turn the module into a component, if it was built with the WIT bindings of a component:

```console
withe componentize module.wasm -o component.wasm
```

Imports of WASI 0.1 (`wasi_snapshot_preview1`) become imports of WASI 0.2. `--wit` names the WIT of a
module that has none in it.",
    },
    CodeInfo {
        code: WIT_PACKAGE,
        title: "WIT package, not a component",
        explanation: "\
The file holds interfaces (as text, or in the binary form that `wkg wit build` makes) but no code. Give
the component that implements them.",
    },
    CodeInfo {
        code: WASM_TEXT,
        title: "WebAssembly text, not binary",
        explanation: "\
The file is in WebAssembly's text format. Only binaries are loaded, so that what runs is what the
digest in the plan stands for:

```console
wasm-tools parse component.wat -o component.wasm
```",
    },
    CodeInfo {
        code: MALFORMED,
        title: "component cannot be read",
        explanation: "\
The file says that it is a component, but it is damaged or cut short, or it was made with features of
the component model that are newer than this version of Withe. The message says at which byte.
`wasm-tools validate --features all FILE` tells the two apart: what it refuses is damaged.

A valid component can also have imports or exports that cannot be linked yet: core modules, components, or
an instance inside an instance. The message names them.",
    },
    CodeInfo {
        code: PROVIDER_FILE,
        title: "provider in place of a component",
        explanation: "\
The image is a provider's archive (`.par`) or program, where a component was expected. A provider is a
capability:

```yaml
- name: greeter
  type: capability
  properties:
    image: file://./build/greeter
```

The first-party providers are named by a short name, as in `image: withe:keyvalue`.",
    },
    CodeInfo {
        code: REGISTRY_IMAGE,
        title: "image in a registry",
        explanation: "\
The image is a reference to an OCI registry, and whoever reads the application here pulls nothing: a program that embeds a
host, for example. `withe up`, `withe check` and the others pull it. Pull it before, and name the file:

```console
withe pull ghcr.io/example/cart:1.0.0
```

```yaml
image: file://./cart.wasm
```

References to wasmCloud's own providers, such as `ghcr.io/wasmcloud/http-server:0.26.0`, are
understood without pulling where a first-party provider does the same.",
    },
    CodeInfo {
        code: UNKNOWN_PROVIDER,
        title: "unknown provider",
        explanation: "\
`withe:NAME` (or `wasmcloud+builtin://NAME`) names a provider that comes with Withe, and there is none of
this name. The message lists those there are.",
    },
    CodeInfo {
        code: WRONG_KIND,
        title: "`type` does not fit the image",
        explanation: "\
`type: component` runs a WebAssembly component, and the image is a provider that is none. Write
`type: capability`, under which a component can run as well, or change `image`.",
    },
    CodeInfo {
        code: COMPOSE_FAILED,
        title: "composition failed",
        explanation: "\
The components in a `compose:` list could not be linked into one. The first is the socket: the others
are plugged into its imports, and into each other's, by the names and types of the interfaces. Only
components can be composed: a provider is linked when the application runs.

`withe inspect FILE` shows what each imports and exports.",
    },
    CodeInfo {
        code: OTHER_APPLICATION,
        title: "component of another application",
        explanation: "\
`properties.application` shares a component of another application. Applications run on their own so
far: declare the component here with an `image`.",
    },
    CodeInfo {
        code: NOT_A_MANIFEST,
        title: "not a manifest",
        explanation: "\
The command takes an application's manifest, a YAML or JSON text, and was given something else. A
component is looked at with `withe inspect FILE`, and run with `withe up FILE` or `withe call FILE 'f(args)'`.",
    },
    CodeInfo {
        code: PROVIDER_PROGRAM,
        title: "program that is no provider",
        explanation: "\
The image of a `type: capability` is an executable, and it does not say what provider it is. When an
application is loaded, such a program is run with the argument `--describe`; it has 5 seconds to print its
name, its version and its WIT as JSON. `withe_provider::process::main` does that for a provider written
in Rust; run `PROGRAM --describe` to see what it prints.",
    },
    CodeInfo {
        code: NOTHING_TO_START,
        title: "a component that nothing starts",
        explanation: "\
`withe up X.wasm` runs a component by what it exports: one that exports `wasi:http/incoming-handler` (WASI 0.2) or \
`wasi:http/handler` (0.3) is served over HTTP, and one that exports `wasi:cli/run` runs as a command. This component \
exports neither, and no provider that was given with `--provider` calls it, so it would wait for nothing.

`withe call X.wasm 'f(1)'` calls a function that it exports, and `--link X.wasm` gives it to a component that imports \
what it exports.",
    },
    CodeInfo {
        code: IMAGE_NOT_FOUND,
        title: "image not in its registry",
        explanation: "\
The registry answers that it has no such repository, or no such tag or digest in it. Some registries say so, too, of a repository
that whoever asks may not see. Correct the reference, push the image (`withe push REFERENCE FILE`), or log in
(`docker login REGISTRY`).",
    },
    CodeInfo {
        code: REGISTRY_ACCESS,
        title: "registry refuses access",
        explanation: "\
The registry wants to know who asks, does not know the name and password that it was given, or does not allow that user to read
the repository. Withe reads what Docker's tools write: `config.json` in the folder that `DOCKER_CONFIG` names, else in
`~/.docker`, and the credential helpers that it names. `docker login REGISTRY` writes it. The message says where what was
refused came from, or what is wrong with the file.",
    },
    CodeInfo {
        code: REGISTRY_SILENT,
        title: "registry cannot be asked",
        explanation: "\
There is no connection to the registry, its certificate is not believed, it sends nothing for long, or it fails at each of four
attempts. A registry without TLS has to be named, also one on this machine: `--plain-http 127.0.0.1:5000`, or the variable
`WITHE_PLAIN_HTTP`. `--mirror REGISTRY=OTHER` has another one asked in its place.

An image that is named by its digest (`ghcr.io/example/cart:1.0.0@sha256:…`) and was pulled once comes from the cache, and needs no
registry.",
    },
    CodeInfo {
        code: IMAGE_DAMAGED,
        title: "image is damaged",
        explanation: "\
The bytes that the registry sent have another digest or another size than its manifest or the reference says, or are more than are taken (512
MiB a layer, 4 MiB a manifest). Nothing of it is used or kept. A proxy between may have cut it short, or somebody changed it: pull
it from elsewhere, or push it again.",
    },
    CodeInfo {
        code: IMAGE_KIND,
        title: "image of another kind",
        explanation: "\
The registry has something under the reference that is neither a component nor a provider: an image for containers, for example, or a whole
application where a part was expected. An application is started by `withe up oci://REFERENCE`; components and providers
are pushed by `withe push`, `wkg oci push` or `wash push`.",
    },
    CodeInfo {
        code: NOT_LOCKED,
        title: "image is not what was locked",
        explanation: "\
`withe.lock`, beside the manifest, says what each tag led to when `withe lock` wrote it. With `--locked` the image has to be in
it, and its tag has to lead there still; without `--locked` a tag that has moved is a warning, and what it leads to now is used.

`withe lock MANIFEST` takes in what tags lead to now: look at what changed before you keep the file. A digest in the manifest
(`NAME:TAG@sha256:…`) needs no lock, for it can lead to nothing else.",
    },
    CodeInfo {
        code: LOCK_OFFLINE,
        title: "what was locked is used unasked",
        explanation: "\
The registry cannot be asked what the tag leads to. `withe.lock` says what it was, and that is in the cache, so it is used. The tag
may have moved since.",
    },
    CodeInfo {
        code: SECRETS_PUSHED,
        title: "an artefact with secrets",
        explanation: "\
The manifest has values that it marks `secret: true`. Whoever can pull the application could read them, so it is not pushed. Have
the host fetch them where it runs: `secrets` in the manifest has their names only (`docs/manifest.md`).",
    },
    CodeInfo {
        code: NOT_SIGNED,
        title: "image is not signed as it has to be",
        explanation: "\
`--verify-key`, or the variable `WITHE_VERIFY_KEY`, names a key that the image has to be signed with. There is no signature beside it in its
registry, or none with that key, or the signature is that of another image, or of the image in another repository. Nothing of it is used.

Whoever answers for the image signs it, by its digest: `cosign sign --key cosign.key NAME@sha256:…`. An image that was copied from one
repository to another is signed anew where it is now. A pattern before the key leaves
images of others alone: `--verify-key 'ghcr.io/example/*=cosign.pub'`.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_in_range() {
        let codes: Vec<_> = CODES.iter().map(|info| info.code.0).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        assert!(
            codes.iter().all(|code| ("W0051"..="W0099").contains(code)),
            "{codes:?}"
        );
    }
}
