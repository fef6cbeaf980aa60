//! Finds the component at fault when a value that crosses between fused components is wrong.

mod common;

use common::{build, call, member, unit};

/// Two components in one: `caller` calls `callee`, which returns what `char` says as a character.
fn fused(char: &str) -> String {
    format!(
        r#"(component
  (component $callee
    (core module $callee (func (export "letter") (result i32) (i32.const {char})))
    (core instance $instance (instantiate $callee))
    (func (export "letter") (result char) (canon lift (core func $instance "letter"))))
  (component $caller
    (import "letter" (func $letter (result char)))
    (core func $lowered (canon lower (func $letter)))
    (core module $caller
      (import "" "letter" (func $letter (result i32)))
      (func (export "run") (drop (call $letter))))
    (core instance $instance (instantiate $caller
      (with "" (instance (export "letter" (func $lowered))))))
    (func (export "run") (canon lift (core func $instance "run"))))
  (instance $callee (instantiate $callee))
  (instance $caller (instantiate $caller (with "letter" (func $callee "letter"))))
  (export "run" (func $caller "run")))"#
    )
}

#[tokio::test]
async fn a_bad_value_between_fused_components_is_not_put_down_to_its_caller_alone() {
    for (char, wrong) in [("97", None), ("0xd800", Some("invalid `char` bit pattern"))] {
        let mut unit = unit("caller", &fused(char), &[]);
        unit.members.push(member("callee", None));
        let graph = build(vec![unit]).unwrap();
        let called = call(&graph, "caller", "run").await;
        match wrong {
            None => assert_eq!(called, Ok(String::new())),
            Some(wrong) => {
                let error = called.unwrap_err().to_string();
                let blamed = "component `caller`, or one that is fused with it and that it called";
                assert!(error.starts_with(&format!("{blamed}: {wrong}")), "{error}");
            }
        }
    }
}
