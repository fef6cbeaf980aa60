//! A program that has a host within it: it links two components, calls one of them with Rust's types, and ends.
//!
//! `cargo run -p withe-host --example embed`

use std::error::Error;
use std::time::Duration;

use withe_host::{Host, Runnable};

const MANIFEST: &str = "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: sums}
spec:
  components:
    - name: squares
      type: component
      properties: {image: file://squares.wasm}
      traits:
        - {type: link, properties: {target: products}}
    - name: products
      type: component
      properties: {image: file://products.wasm}
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sums = Runnable::text(MANIFEST, ".")
        .component("squares", wat::parse_str(SQUARES)?)
        .component("products", wat::parse_str(PRODUCTS)?)
        .calling("squares")
        .link()?;
    let host = Host::builder().instances(100).build()?;
    let running = host.run(&sums).await?;
    let timeout = Duration::from_secs(5);
    let (square,): (u32,) = (running.call_typed("squares", "square", (7u32,), timeout)).await?;
    println!("7 squared is {square}");
    running.shutdown().await;
    Ok(())
}

/// Exports `square`, imports `multiply`.
const SQUARES: &str = r#"(component
    (import "multiply" (func $multiply (param "a" u32) (param "b" u32) (result u32)))
    (core func $lowered (canon lower (func $multiply)))
    (core module $code
        (import "" "multiply" (func $multiply (param i32 i32) (result i32)))
        (func (export "square") (param i32) (result i32)
            (call $multiply (local.get 0) (local.get 0))))
    (core instance $instance (instantiate $code
        (with "" (instance (export "multiply" (func $lowered))))))
    (func (export "square") (param "n" u32) (result u32)
        (canon lift (core func $instance "square"))))"#;

/// Exports `multiply`.
const PRODUCTS: &str = r#"(component
    (core module $code
        (func (export "multiply") (param i32 i32) (result i32)
            (i32.mul (local.get 0) (local.get 1))))
    (core instance $instance (instantiate $code))
    (func (export "multiply") (param "a" u32) (param "b" u32) (result u32)
        (canon lift (core func $instance "multiply"))))"#;

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
