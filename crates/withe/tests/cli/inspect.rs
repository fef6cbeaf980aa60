use crate::sandbox::{CALLER, COUNTER, Sandbox};

#[test]
fn a_component() {
    let sandbox = Sandbox::new().component("caller.wasm", CALLER);
    insta::assert_snapshot!(sandbox.run(&["inspect", "caller.wasm"]), @r#"
    exit code: 0
    ----- stdout -----
    caller.wasm: component, 269 bytes
    digest: [digest]

    imports:
      shop:api/counter@1.0.0: 1 function

    exports:
      run: func() -> u32
    "#);
    insta::assert_snapshot!(sandbox.run(&["inspect", "caller.wasm", "--wit"]), @r#"
    exit code: 0
    ----- stdout -----
    package root:component;

    world root {
      import shop:api/counter@1.0.0;

      export run: func() -> u32;
    }
    package shop:api@1.0.0 {
      interface counter {
        next: func() -> u32;
      }
    }
    "#);
    insta::assert_snapshot!(sandbox.run(&["inspect", "caller.wasm", "--json"]), @r#"
    exit code: 0
    ----- stdout -----
    {
      "file": "caller.wasm",
      "size": 269,
      "digest": "[digest]",
      "async": false,
      "producers": {},
      "imports": [
        {
          "name": "shop:api/counter@1.0.0",
          "kind": "interface",
          "functions": [
            "next: func() -> u32"
          ]
        }
      ],
      "exports": [
        {
          "name": "run",
          "kind": "function",
          "functions": [
            "run: func() -> u32"
          ]
        }
      ]
    }
    "#);
}

#[test]
fn labels_show_what_they_implement() {
    let sandbox = Sandbox::new().component(
        "labels.wasm",
        r#"(component
            (import "cache" (implements "shop:api/store@1.0.0")
                (instance (export "get" (func (param "key" string) (result string)))))
            (import "log" (func (param "line" string))))"#,
    );
    insta::assert_snapshot!(sandbox.run(&["inspect", "labels.wasm"]), @r#"
    exit code: 0
    ----- stdout -----
    labels.wasm: component, 89 bytes
    digest: [digest]

    imports:
      cache (implements shop:api/store@1.0.0): 1 function
      log: func(line: string)

    exports: nothing
    "#);
}

/// The compiler names itself in the module, the tool that made a component of it in the component.
#[test]
fn producers_of_all_layers_are_named() {
    let sandbox = Sandbox::new().component(
        "made.wasm",
        r#"(component
            (core module (@producers
                (language "Rust" "") (processed-by "rustc" "1.95.0 (59807616e 2026-04-14)")))
            (@producers (processed-by "wit-component" "0.258.0")))"#,
    );
    let shown = sandbox.run(&["inspect", "made.wasm"]);
    assert!(
        shown.contains("language: Rust\nprocessed-by: rustc 1.95.0, wit-component 0.258.0\n"),
        "{shown}"
    );
}

#[test]
fn async_is_told() {
    let sandbox = Sandbox::new().component(
        "async.wasm",
        r#"(component (import "shop:api/feed@1.0.0"
            (instance (export "read" (func (result (stream u8)))))))"#,
    );
    insta::assert_snapshot!(sandbox.run(&["inspect", "async.wasm"]), @r#"
    exit code: 0
    ----- stdout -----
    async.wasm: component, 57 bytes
    digest: [digest]
    async: yes

    imports:
      shop:api/feed@1.0.0: 1 function

    exports: nothing
    "#);
}

#[test]
fn a_core_module() {
    let sandbox = Sandbox::new().file("module.wasm", b"\0asm\x01\0\0\0");
    insta::assert_snapshot!(sandbox.run(&["inspect", "module.wasm"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0055]: `module.wasm` is a core WebAssembly module, not a component
     |
     = help: build for a component target (`cargo build --release --target wasm32-wasip2`), or turn the module into a component: `withe componentize module.wasm -o module.component.wasm`
    "#);
}

#[test]
fn what_is_not_a_component() {
    let sandbox = Sandbox::new()
        .file("empty.wasm", "")
        .file("text.wat", "(component)")
        .file("types.wit", "package shop:api;\n")
        .file("program", b"\x7fELF\x02\x01\x01")
        .file("damaged.wasm", b"\0asm\x0d\0\x01\0\x07\xff");
    let files = [
        "empty.wasm",
        "text.wat",
        "types.wit",
        "program",
        "damaged.wasm",
    ];
    let shown: String = files
        .iter()
        .map(|file| sandbox.run(&["inspect", file]))
        .collect();
    insta::assert_snapshot!(shown, @r#"
    exit code: 1
    ----- stderr -----
    error[W0054]: `empty.wasm` is empty
     |
     = help: build it again: a build that was interrupted leaves an empty file
    exit code: 1
    ----- stderr -----
    error[W0057]: `text.wat` is WebAssembly text, not a binary
     |
     = help: make a binary of it: `wasm-tools parse text.wat -o text.wasm`
    exit code: 1
    ----- stderr -----
    error[W0056]: `types.wit` is WIT text, not a component
     |
     = help: interfaces cannot run: give the component that implements them
    exit code: 1
    ----- stderr -----
    error[W0059]: `program` is an executable of this machine, not a component
     |
     = help: a provider's program is for `type: capability`
    exit code: 1
    ----- stderr -----
    error[W0058]: `damaged.wasm` cannot be read as a component: unexpected end-of-file (at offset 0xa)
     |
     = help: `wasm-tools validate --features all damaged.wasm` tells whether it is damaged
    "#);
}

#[test]
fn a_file_that_is_not_there_or_is_a_folder() {
    let sandbox = Sandbox::new().component("build/my_counter.wasm", COUNTER);
    insta::assert_snapshot!(sandbox.run(&["inspect", "build/my-counter.wasm"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0051]: `build/my-counter.wasm` does not exist
     |
     = help: did you mean `build/my_counter.wasm`?
    "#);
    insta::assert_snapshot!(sandbox.run(&["inspect", "built/my-counter.wasm"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0051]: `built/my-counter.wasm` does not exist
     |
     = help: the folder `built` does not exist: build the component first, or correct the path
    "#);
    insta::assert_snapshot!(sandbox.run(&["inspect", "build"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0052]: `build` is a folder
     |
     = help: name the file in it: `build/my_counter.wasm`
    "#);
}
