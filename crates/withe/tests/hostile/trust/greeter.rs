//! The example's provider, which is a program, and what it takes to call it.

use std::path::Path;

use crate::support::Folder;
use crate::support::client::get;
use crate::support::process::Up;

/// A folder with the example's application on a free port, each part of which is a process of its own.
pub(super) fn folder() -> Folder {
    let program = Path::new(env!("CARGO_BIN_EXE_withe")).with_file_name("greeter");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/greeter-provider");
    let component = example.join("app/build/front.wasm");
    let listen = "source: {config: [{name: listen, properties: {address: \"127.0.0.1:0\"}}]}";
    Folder::with(&format!(
        "\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: app}}
spec:
  components:
    - name: http
      type: capability
      properties: {{image: \"withe:http-server\", process: true}}
      traits: [{{type: link, properties: {{target: front, binding: unix, {listen}}}}}]
    - name: front
      type: component
      properties: {{image: \"{}\"}}
      traits: [{{type: link, properties: {{target: greeter}}}}]
    - name: greeter
      type: capability
      properties: {{image: \"file://{}\"}}
",
        component.display(),
        program.display()
    ))
}

/// Waits until Ada is greeted so.
pub(super) fn greets(up: &Up, address: &str, greeting: &str) {
    super::support::eventually(&format!("{} says {greeting:?}", up.id()), || {
        let answer = get(address, "/Ada").ok()?;
        (answer.status == 200 && answer.body == greeting.as_bytes()).then_some(())
    });
}
