//! The application of a folder, for all commands that take one.

use crate::sandbox::{CALLER, COUNTER, Sandbox};

const MANIFEST: &str =
    "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:
  components:
    - name: caller\n      type: component\n      properties: {image: ./caller.wasm}
      traits: [{type: link, properties: {target: counter}}]
    - name: counter\n      type: component\n      properties: {image: ./counter.wasm}\n";

fn shop(manifest: &str) -> Sandbox {
    Sandbox::new()
        .component("caller.wasm", CALLER)
        .component("counter.wasm", COUNTER)
        .file(manifest, MANIFEST)
        .file("values.yaml", "kind: ConfigMap\n")
}

#[test]
fn the_manifest_of_this_folder_is_found() {
    for manifest in ["app.yaml", "wadm.yaml", "own.yml"] {
        let sandbox = shop(manifest);
        for args in [
            &["check"][..],
            &["plan"],
            &["graph"],
            &["lock"],
            &["build"],
            &["check", "."],
        ] {
            let shown = sandbox.run(args);
            assert!(
                shown.starts_with("exit code: 0\n"),
                "{manifest} {args:?}: {shown}"
            );
        }
        let shown = sandbox.run(&["call", ".", "caller", "run()"]);
        assert_eq!(shown, "exit code: 0\n----- stdout -----\n7\n", "{manifest}");
        // Its errors name the file as people do.
        let broken = shop(manifest).file("caller.wasm", "");
        let shown = broken.run(&["check"]);
        assert!(shown.contains(&format!("--> {manifest}:")), "{shown}");
    }
}

#[test]
fn a_folder_without_one_manifest_says_what_was_looked_for() {
    let none = Sandbox::new().file("values.yaml", "kind: ConfigMap\n");
    for args in [
        &["build"][..],
        &["check"],
        &["plan"],
        &["graph"],
        &["up"],
        &["dev"],
        &["lock"],
        &["test"],
    ] {
        let shown = none.run(args);
        let said = "error: this folder has no manifest of an application: looked for `app.yaml`, ";
        assert!(shown.starts_with("exit code: 2\n"), "{args:?}: {shown}");
        assert!(
            shown.contains(said) && shown.contains("withe new NAME"),
            "{args:?}: {shown}"
        );
    }
    let several = shop("one.yaml").file("two.yaml", MANIFEST);
    let shown = several.run(&["up"]);
    let said = "error: this folder has several manifests: name one of `one.yaml`, `two.yaml`";
    assert!(shown.contains(said), "{shown}");
    // A call needs a file, or the word for this folder.
    let shown = several.run(&["call", "run()"]);
    assert!(shown.starts_with("exit code: 2\n"), "{shown}");
}
