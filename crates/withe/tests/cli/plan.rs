use crate::sandbox::{CALLER, Sandbox};

const ADDRESS: &str = "127.0.0.1:8080";

#[test]
fn each_link_is_shown_with_its_binding_and_the_reason() {
    insta::assert_snapshot!(Sandbox::shop(ADDRESS).run(&["plan", "shop.yaml"]), @r#"
    exit code: 0
    ----- stdout -----
    shop: 3 components, 2 links

    SOURCE  INTERFACE                                                              TARGET   BINDING  SCOPE   DEADLINE  WHY
    http    wasi:http/incoming-handler@0.2.12 to wasi:http/incoming-handler@0.2.6  front    host     -       30 s      `http` is a provider in this host
    front   shop:api/counter@1.0.0                                                 counter  fused    caller  30 s      both ends on this host, scope caller

    COMPONENT  KIND       DIGEST        GIVEN BY THE HOST
    http       provider   [digest]
    front      component  [digest]  wasi:http
    counter    component  [digest]
    "#);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (one, other) = (Sandbox::shop(ADDRESS), Sandbox::shop(ADDRESS));
    let json = one.run(&["plan", "shop.yaml", "--json"]);
    assert_eq!(json, other.run(&["plan", "shop.yaml", "--json"]));
    assert!(
        json.starts_with("exit code: 0\n----- stdout -----\n{\n  \"application\": \"shop\""),
        "{json}"
    );
}

#[test]
fn with_errors_there_is_no_plan() {
    let sandbox = Sandbox::new()
        .manifest("    - name: caller\n      type: component\n      properties:\n        image: ./caller.wasm\n")
        .component("caller.wasm", CALLER);
    insta::assert_snapshot!(sandbox.run(&["plan", "shop.yaml", "--json"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0101]: `caller` imports `shop:api/counter@1.0.0`, and nothing provides it
     --> shop.yaml:7:13
      |
    7 |     - name: caller
      |             ^^^^^^ imported by this component
      |
      = help: add a component that exports it, and link to it from `caller`

    warning[W0104]: nothing calls `caller`: it runs only for `withe call`
     --> shop.yaml:7:13
      |
    7 |     - name: caller
      |             ^^^^^^ no link leads to it

    error: 1 problem and 1 warning in shop.yaml; there is no plan
    "#);
}
