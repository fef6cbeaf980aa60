//! Ten times the application takes about ten times the steps, whatever its shape.

use crate::testing::App;
use crate::work;

/// Components of twenty kinds, each of which imports the interfaces of the next ten.
fn kinds() -> String {
    let mut wit = String::from(
        "package wasi:http@0.2.3 { interface incoming-handler { handle: func(); } }
         package kv:kv@1.0.0 { interface store { resource bucket; open: func() -> bucket; } }
         package a:b {",
    );
    for kind in 0..20 {
        wit += &format!(
            "interface i{kind} {{ record item {{ id: u32 }} resource r; get: func() -> item; }}"
        );
    }
    wit += "}
        world server { import wasi:http/incoming-handler@0.2.3; }
        world front { export wasi:http/incoming-handler@0.2.3; import a:b/i0; }
        world leaf { export a:b/i0; }
        world link { export a:b/i0; import a:b/i0; }
        world stores { export a:b/i0; import kv:kv/store@1.0.0; }
        world keyvalue { export kv:kv/store@1.0.0; }";
    for kind in 0..20 {
        wit += &format!("world kind{kind} {{ export a:b/i{kind};");
        for next in 1..=10 {
            wit += &format!("import a:b/i{};", (kind + next) % 20);
        }
        wit += "}";
    }
    wit
}

/// Applications with so many components.
type Shape = fn(usize) -> App;

const SHAPES: [(&str, Shape); 14] = [
    ("each linked to ten others", |count| {
        let link = |app: App, from: usize, next: usize| {
            // The others of a kind in turn, so that links go forward and back.
            let to = (from + next + 20 * (from % 7)) % count;
            app.link(&format!("p{to}"), &[])
        };
        (0..count).fold(App::new(&kinds()), |app, i| {
            let app = app.instance_of(&format!("kind{}", i % 20), &format!("p{i}"));
            (1..=10).fold(app, |app, next| link(app, i, next))
        })
    }),
    ("a chain", |count| chain(count, &[])),
    ("a ring", |count| ring(count, &[])),
    ("a ring pinned to local", |count| {
        ring(count, &["binding: local"])
    }),
    ("a ring of shared instances", |count| {
        ring(count, &["scope: shared"])
    }),
    ("a ring pinned to fused", |count| {
        ring(count, &["binding: fused"])
    }),
    ("a chain of workers", |count| {
        chain(count, &["binding: unix"])
    }),
    ("one called by all", |count| callers(count, &[])),
    ("one shared by all", |count| {
        callers(count, &["scope: shared"])
    }),
    ("a server that calls all", |count| {
        let app = App::new(&kinds()).provider("server");
        let app = (0..count).fold(app, |app, i| app.link(&format!("p{i}"), &[]));
        let app = (0..count).fold(app, |app, i| {
            app.instance_of("front", &format!("p{i}")).link("leaf", &[])
        });
        app.component("leaf")
    }),
    ("a provider that all call", |count| {
        let app = (0..count).fold(App::new(&kinds()), |app, i| {
            let name = format!("p{i}");
            app.instance_of("stores", &name)
                .called(&name)
                .link("keyvalue", &[])
        });
        app.provider("keyvalue")
    }),
    ("nothing linked", |count| {
        let app = App::new(&kinds()).provider("server");
        (0..count).fold(app, |app, i| app.instance_of("leaf", &format!("p{i}")))
    }),
    ("imports that nothing satisfies", |count| {
        let app = (0..count).fold(App::new(&kinds()), |app, i| {
            app.instance_of(["stores", "link"][i % 2], &format!("p{i}"))
        });
        app.component("leaf")
    }),
    ("links to nothing", |count| {
        (0..count).fold(App::new(&kinds()), |app, i| {
            app.instance_of("leaf", &format!("p{i}"))
                .link(&format!("other{i}"), &[])
        })
    }),
];

fn chain(count: usize, settings: &[&str]) -> App {
    let app = (1..count).fold(App::new(&kinds()), |app, i| {
        app.instance_of("link", &format!("p{i}"))
            .link(&format!("p{}", i + 1), settings)
    });
    app.instance_of("leaf", &format!("p{count}")).called("p1")
}

fn ring(count: usize, settings: &[&str]) -> App {
    let app = (0..count).fold(App::new(&kinds()), |app, i| {
        app.instance_of("link", &format!("p{i}"))
            .link(&format!("p{}", (i + 1) % count), settings)
    });
    app.called("p0")
}

fn callers(count: usize, settings: &[&str]) -> App {
    let app = (0..count).fold(App::new(&kinds()), |app, i| {
        let name = format!("p{i}");
        app.instance_of("front", &name)
            .called(&name)
            .link("leaf", settings)
    });
    app.component("leaf")
}

#[test]
fn steps_grow_with_the_application() {
    let mut wrong = Vec::new();
    for (name, shape) in SHAPES {
        let [small, large] = [60, 600].map(|count| {
            let app = shape(count);
            work::steps(|| app.link_all())
        });
        assert!(small > 60, "{name}: nothing was counted");
        if large > 12 * small {
            wrong.push(format!(
                "{name}: {small} steps, and {large} for ten times as much"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
