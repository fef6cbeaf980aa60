use crate::sandbox::{CALLER, COUNTER, Sandbox};

#[test]
fn a_manifest_that_is_not_there() {
    let sandbox = Sandbox::new().manifest("");
    insta::assert_snapshot!(sandbox.run(&["check", "shop.yml"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0051]: `shop.yml` does not exist
     |
     = help: did you mean `shop.yaml`?
    "#);
}

#[test]
fn a_component_instead_of_a_manifest() {
    let sandbox = Sandbox::new().component("counter.wasm", COUNTER);
    insta::assert_snapshot!(sandbox.run(&["check", "counter.wasm"]), @r#"
    exit code: 0
    ----- stdout -----
    counter.wasm: 1 component and 0 links, no errors
    "#);
}

#[test]
fn bad_yaml() {
    let sandbox = Sandbox::new().file("shop.yaml", "kind: Application\n\tmetadata: {}\n");
    insta::assert_snapshot!(sandbox.run(&["check", "shop.yaml"]), @"
    exit code: 1
    ----- stderr -----
    error[W0001]: this is not valid YAML: a tab indents this line
     --> shop.yaml:2:1
      |
    2 |     metadata: {}
      | ^ reading stopped here
      |
      = note: the YAML parser says: while scanning a plain scalar, found a tab
      = help: indent with spaces; YAML does not allow tabs there

    error: 1 problem in shop.yaml
    ");
}

#[test]
fn wrong_paths_and_wrong_files() {
    let sandbox = Sandbox::new()
        .manifest(
            "    - name: cart\n      type: component\n      properties:\n        image: file://./build/cart.wasm
    - name: prices\n      type: component\n      properties:\n        image: ./prices.wasm
    - name: stock\n      type: component\n      properties:\n        image: ./stock.wasm
    - name: notes\n      type: component\n      properties:\n        image: ./notes.wasm
",
        )
        .file("stock.wasm", b"\0asm\x01\0\0\0")
        .file("notes.wasm", "these are notes")
        .component("price.wasm", COUNTER);
    insta::assert_snapshot!(sandbox.run(&["check", "shop.yaml"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0051]: `cart` cannot be loaded: `build/cart.wasm` does not exist
      --> shop.yaml:10:16
       |
    10 |         image: file://./build/cart.wasm
       |                ^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: the folder `build` does not exist: build the component first, or correct the path

    error[W0051]: `prices` cannot be loaded: `prices.wasm` does not exist
      --> shop.yaml:14:16
       |
    14 |         image: ./prices.wasm
       |                ^^^^^^^^^^^^^
       |
       = help: did you mean `price.wasm`?

    error[W0055]: `stock` cannot be loaded: `stock.wasm` is a core WebAssembly module, not a component
      --> shop.yaml:18:16
       |
    18 |         image: ./stock.wasm
       |                ^^^^^^^^^^^^
       |
       = help: build for a component target (`cargo build --release --target wasm32-wasip2`), or turn the module into a component: `withe componentize stock.wasm -o stock.component.wasm`

    error[W0054]: `notes` cannot be loaded: `notes.wasm` is not WebAssembly
      --> shop.yaml:22:16
       |
    22 |         image: ./notes.wasm
       |                ^^^^^^^^^^^^
       |
       = help: give a component: a `.wasm` file built for `wasm32-wasip2`

    error: 4 problems in shop.yaml
    "#);
}

#[test]
fn a_target_that_is_not_there() {
    let sandbox = Sandbox::new()
        .manifest(
            "    - name: caller\n      type: component\n      properties:\n        image: ./caller.wasm
      traits:\n        - type: link\n          properties:\n            target: countre
    - name: counter\n      type: component\n      properties:\n        image: ./counter.wasm
",
        )
        .component("caller.wasm", CALLER)
        .component("counter.wasm", COUNTER);
    insta::assert_snapshot!(sandbox.run(&["check", "shop.yaml"]), @r#"
    exit code: 1
    ----- stderr -----
    warning[W0104]: nothing calls `caller`: it runs only for `withe call`
     --> shop.yaml:7:13
      |
    7 |     - name: caller
      |             ^^^^^^ no link leads to it

    error[W0102]: `caller` is linked to `countre`, but there is no component `countre`
      --> shop.yaml:14:21
       |
    14 |             target: countre
       |                     ^^^^^^^ no component has this name
       |
       = help: did you mean `counter`?

    warning[W0104]: nothing calls `counter`: it runs only for `withe call`
      --> shop.yaml:15:13
       |
    15 |     - name: counter
       |             ^^^^^^^ no link leads to it

    error: 1 problem and 2 warnings in shop.yaml
    "#);
}

#[test]
fn problems_as_json_have_lines_and_columns() {
    let sandbox = Sandbox::new().manifest(
        "    - name: kv\n      type: capability\n      properties:\n        image: withe:keyvalu\n",
    );
    insta::assert_snapshot!(sandbox.run(&["check", "shop.yaml", "--json"]), @r#"
    exit code: 1
    ----- stdout -----
    [
      {
        "severity": "error",
        "code": "W0061",
        "message": "`kv` cannot be loaded: there is no provider `keyvalu`",
        "file": "shop.yaml",
        "primary": {
          "span": {
            "start": 165,
            "end": 178
          },
          "line": 10,
          "column": 16,
          "end_line": 10,
          "end_column": 29,
          "text": ""
        },
        "related": [],
        "notes": [],
        "help": "did you mean `withe:keyvalue`? the providers are `withe:http-server`, `withe:http-client`, `withe:keyvalue`, `withe:blobstore`, `withe:sql`, `withe:postgres`, `withe:messaging`, `withe:timer`"
      }
    ]
    "#);
}

/// Each kind of argument that is no manifest, and what helps.
#[test]
fn arguments_that_are_no_manifest() {
    let sandbox = Sandbox::new()
        .file("notes.yaml", "- milk\n- bread\n")
        .file("data.yaml", [0xff, 0xfe, 0x00])
        .file("one/hello.wasm", "these are notes")
        .file("two/readme.md", "")
        .file("two/shop.yaml", "kind: Application\n")
        .component("counter.wasm", COUNTER);
    let shown: Vec<_> = [
        "nowhere.yaml",
        "two/app.yaml",
        "none/app.yaml",
        "nowhere.wasm",
        "counter",
        ".",
        "one",
        "two",
        "data.yaml",
        "notes.yaml",
        "one/hello.wasm",
    ]
    .iter()
    .map(|file| format!("$ withe check {file}\n{}", sandbox.run(&["check", file])))
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

/// The other commands that take a file say the same, and those that take another thing say which.
#[test]
fn a_file_that_is_not_there_says_the_same_to_all_commands() {
    let sandbox = Sandbox::new().manifest("");
    let of = |args: &[&str]| {
        let output = sandbox.command(args).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let wanted = of(&["check", "gone/app.yaml"]);
    assert!(wanted.contains("correct the path"), "{wanted}");
    assert!(!wanted.contains("build the component"), "{wanted}");
    for command in ["plan", "build", "up", "dev", "test", "graph", "lock"] {
        assert_eq!(of(&[command, "gone/app.yaml"]), wanted, "{command}");
    }
    assert_eq!(of(&["call", "gone/app.yaml", "a", "f()"]), wanted);
    let component = of(&["check", "gone.wasm"]);
    assert!(
        component.contains("build the component first"),
        "{component}"
    );
    for command in ["plan", "up", "test"] {
        let said = of(&[command, "gone.wasm"]);
        assert!(
            said.contains("build the component first"),
            "{command}: {said}"
        );
    }
    let said = of(&["get", "shop.yaml"]);
    assert!(said.contains("`withe plan shop.yaml`"), "{said}");
    let said = of(&["get", "host"]);
    assert!(said.contains("hosts, components"), "{said}");
    let said = of(&["inspect", "shop.yaml"]);
    assert!(said.contains("`withe check shop.yaml`"), "{said}");
}
