//! Workers that cannot start, or not again.

use std::fs;

use super::{Rig, eventually, kill_now};
use crate::support::client::get;
use crate::support::manifest::{application, component, http_server};
use crate::support::{Folder, TEMPORARY};

/// A target for `chain-front` that has this in its core module.
fn step(core: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m
                {core}
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64)
                (func (export "step") (param i32 i32) (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func $step (param "trail" string) (result string)
                (canon lift (core func $i "step") (memory (core memory $i "memory"))
                    (realloc (core func $i "realloc"))))
            (instance $step (export "step" (func $step)))
            (export "t:chain/step" (instance $step)))"#
    );
    wat::parse_str(text).unwrap()
}

/// `front` calls it in a worker.
fn front(folder: &Folder, core: &str) {
    fs::write(folder.path("step.wasm"), step(core)).unwrap();
    let front = component(
        "front",
        "chain-front",
        "",
        &["target: step, binding: unix, timeout: 5s"],
    );
    let step = "    - {name: step, type: component, properties: {image: step.wasm}}\n";
    folder.write(
        "app.yaml",
        &application(&[http_server("front"), front, step.into()]),
    );
}

#[test]
fn a_worker_whose_component_does_not_compile_keeps_the_application_from_starting() {
    let folder = Folder::new();
    front(&folder, "(table 4000000000 funcref)");
    let up = folder.up(&[]);
    let mut rig = Rig::of(folder, up);
    assert_eq!(rig.up.exit_code(), Some(1));
    rig.up
        .says("the worker process of `step` failed: component `step` does not compile");
    rig.leaves_nothing();
}

#[test]
fn a_component_that_traps_as_it_is_instantiated_fails_its_calls_only() {
    let folder = Folder::new();
    front(&folder, "(func $start unreachable) (start $start)");
    let up = folder.up(&[]);
    let rig = Rig::of(folder, up);
    let address = rig.up.address();
    let worker = rig.worker();
    for _ in 0..2 {
        assert_eq!(get(&address, "/").unwrap().status, 500);
        let line = rig.up.says("link `front` -> `step`");
        for text in ["component `step`", "unreachable", "unix"] {
            assert!(line.contains(text), "no {text:?} in {line}");
        }
    }
    assert_eq!(rig.worker(), worker);
}

#[test]
fn a_worker_that_fails_again_and_again_is_started_again_less_and_less_often() {
    let folder = Folder::new();
    front(&folder, "");
    let up = folder.up(&[]);
    let rig = Rig::of(folder, up);
    let address = rig.up.address();
    assert_eq!(get(&address, "/").unwrap().status, 200);

    // Where its socket should be there is no folder any more.
    let [sockets] = &rig.temporary()[..] else {
        panic!("one folder of sockets: {:?}", rig.temporary());
    };
    let away = rig.folder.path(TEMPORARY).join("away");
    fs::rename(sockets, &away).unwrap();
    kill_now(rig.worker());
    rig.up.says("SIGKILL");
    for pause in ["1.6s", "3.2s"] {
        let line = rig.up.says(&format!("started again in {pause}"));
        for text in [
            "the worker process of `step` failed",
            "its socket cannot be made",
        ] {
            assert!(line.contains(text), "no {text:?} in {line}");
        }
    }

    assert_eq!(get(&address, "/").unwrap().status, 500);
    let line = rig.up.says("link `front` -> `step`");
    for text in ["unreachable", "cannot connect to"] {
        assert!(line.contains(text), "no {text:?} in {line}");
    }

    fs::rename(&away, sockets).unwrap();
    eventually("the worker is there again", || {
        get(&address, "/").unwrap().status == 200
    });
}
