//! Streams and futures between components and a provider that runs in the host, in both directions.

use std::fs;
use std::path::Path;
use std::time::Duration;

use withe_host::{Host, Runnable, Running};

const LONG: Duration = Duration::from_secs(120);

/// The bytes of a component of `tests/guests`.
fn guest(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/build");
    let path = folder.join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|e| {
        panic!("{}: {e}: run `cargo xtask guests`", path.display());
    })
}

/// A component that uses the provider `pipe` over a link with these properties; what is `behind` is the provider's own
/// link.
async fn running(to_provider: &str, behind: &str) -> Running {
    let manifest = format!(
        "apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: app}}
spec:
  components:
    - name: user
      type: component
      properties: {{image: file://user.wasm}}
      traits: [{{type: link, properties: {{target: pipe, {to_provider}}}}}]
    - name: pipe
      type: capability
      properties: {{image: withe:pipe}}
      traits: [{behind}]
    - name: answers
      type: component
      properties: {{image: file://answers.wasm}}
"
    );
    let runnable = Runnable::text(manifest, ".")
        .component("user", guest("async-p3-user"))
        .component("answers", guest("async-p3"))
        .providers(&[pipe_provider::DESCRIPTOR])
        .calling("user")
        .link()
        .unwrap_or_else(|e| panic!("{e}"));
    let host = Host::builder().instances(20).grace(Duration::from_secs(1));
    host.build().unwrap().run(&runnable).await.unwrap()
}

/// The provider answers by itself, in the host and over a wire of its own host; then a component answers, which it calls.
const ENDS: [[&str; 2]; 4] = [
    ["", ""],
    ["binding: tcp", ""],
    ["", "{type: link, properties: {target: answers}}"],
    [
        "binding: tcp",
        "{type: link, properties: {target: answers, binding: tcp}}",
    ],
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_futures_and_async_functions_cross_to_a_provider_and_from_it() {
    for [to_provider, behind] in ENDS {
        let running = running(to_provider, behind).await;
        let call = async |function: &str, args: &str| {
            let path = format!("t:streams/run#{function}");
            let called = running
                .call("user", &path.as_str().into(), args, LONG)
                .await;
            called.unwrap_or_else(|e| panic!("{to_provider} {behind}: {e}"))
        };
        assert_eq!(call("run", "()").await, "ok", "{to_provider} {behind}");
        // 64 MiB, of which a piece is under way at a time.
        let flowed = call("flow", "(64)").await;
        assert_eq!(flowed, (64 << 20).to_string(), "{to_provider} {behind}");
        running.shutdown().await;
    }
}
