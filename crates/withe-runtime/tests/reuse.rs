//! Components whose instances can take one call only, though their manifest says that they are reused.

mod common;

use common::{build, call, unit};

/// Traps at its second call.
const ONCE: &str = r#"
(component
  (core module $main
    (global $used (mut i32) (i32.const 0))
    (func $only_once (export "run") (result i32)
      (if (global.get $used) (then unreachable))
      (global.set $used (i32.const 1))
      (i32.const 7)))
  (core instance $main (instantiate $main))
  (func (export "run") (result u32) (canon lift (core func $main "run"))))
"#;

/// Traps at its third call.
const TWICE: &str = r#"
(component
  (core module $main
    (global $used (mut i32) (i32.const 0))
    (func (export "run") (result i32)
      (global.set $used (i32.add (global.get $used) (i32.const 1)))
      (if (i32.gt_u (global.get $used) (i32.const 2)) (then unreachable))
      (global.get $used)))
  (core instance $main (instantiate $main))
  (func (export "run") (result u32) (canon lift (core func $main "run"))))
"#;

#[tokio::test]
async fn one_that_takes_one_call_only_fails_once_and_names_reuse() {
    let mut once = unit("once", ONCE, &[]);
    once.limits.reuse = 100;
    let graph = build(vec![once]).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(call(&graph, "once", "run").await.unwrap(), "7");
    let error = call(&graph, "once", "run").await.unwrap_err();
    insta::assert_snapshot!(error);
    for _ in 0..5 {
        assert_eq!(call(&graph, "once", "run").await.unwrap(), "7");
    }
}

#[tokio::test]
async fn one_that_was_reused_goes_on_to_be() {
    let mut twice = unit("twice", TWICE, &[]);
    twice.limits.reuse = 100;
    let graph = build(vec![twice]).unwrap_or_else(|e| panic!("{e:?}"));
    for _ in 0..2 {
        assert_eq!(call(&graph, "twice", "run").await.unwrap(), "1");
        assert_eq!(call(&graph, "twice", "run").await.unwrap(), "2");
        let error = call(&graph, "twice", "run").await.unwrap_err().to_string();
        assert!(
            error.contains("had served 2 calls or requests before"),
            "{error}"
        );
    }
}
