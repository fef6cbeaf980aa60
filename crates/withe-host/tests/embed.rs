//! A host within a program: applications that are read from text, called with types and values, and served.

use std::path::Path;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use tower_service::Service as _;
use withe_host::wave::{Argument, RowCall, Written};
use withe_host::{FunctionPath, Host, InvokeError, Runnable, RunnableBuilder, RunnableError, Val};
use withe_wit::World;

const LONG: Duration = Duration::from_secs(30);

/// Exports `add` of two numbers, and `echo` of an enum.
const MATHS: &str = r#"(component
    (core module $code
        (func (export "add") (param i32 i32) (result i32)
            (i32.add (local.get 0) (local.get 1)))
        (func (export "echo") (param i32) (result i32) (local.get 0)))
    (core instance $instance (instantiate $code))
    (func (export "add") (param "a" u32) (param "b" u32) (result u32)
        (canon lift (core func $instance "add")))
    (type $colour (enum "red" "green"))
    (export $named "colour" (type $colour))
    (func (export "echo") (param "c" $named) (result $named)
        (canon lift (core func $instance "echo"))))"#;

/// An application of one component, `one`, and what else the manifest says of it.
fn one(bytes: &[u8], more: &str) -> RunnableBuilder {
    let manifest = format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: app}}\nspec:\n  components:\n    \
         - name: one\n      type: component\n      properties: {{image: file://one.wasm}}\n{more}"
    );
    Runnable::text(manifest, ".")
        .component("one", bytes)
        .calling("one")
}

fn guest(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/guests/build")
        .join(format!("{name}.wasm"));
    std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; `cargo xtask guests` builds it", path.display()))
}

fn host() -> Host {
    let host = Host::builder().instances(10).grace(Duration::from_secs(1));
    host.build().unwrap()
}

#[tokio::test]
async fn functions_of_a_resource_are_called_in_a_row() {
    let bytes = guest("resources");
    let world = World::read(&bytes).unwrap();
    let counters = world.export("t:resources/counters").unwrap();
    let resources = one(&bytes, "").link().unwrap();
    let running = host().run(&resources).await.unwrap();
    let read = |function: &str, first: Option<Argument>, arguments: &str| {
        let mut functions = counters.functions().iter();
        let function = functions.find(|f| f.name == function).unwrap().clone();
        let places: Vec<_> = (usize::from(first.is_some())..function.params.len()).collect();
        let values = Written::read(arguments, &function, &places)?;
        Ok::<_, InvokeError>(RowCall {
            path: FunctionPath {
                interface: Some("t:resources/counters".into()),
                function: function.name.clone(),
            },
            arguments: first
                .into_iter()
                .chain(values.into_iter().map(Argument::Value))
                .collect(),
            function,
        })
    };
    let call = |function: &str, arguments: &str| read(function, None, arguments).unwrap();
    let on = |of: usize, function: &str, arguments: &str| {
        read(function, Some(Argument::Resource(of)), arguments).unwrap()
    };
    let new = |start: u32| call("[constructor]counter", &format!("(\"a\", {start})"));
    for (row, text) in [
        (vec![call("made", "()")], "0"),
        (
            vec![
                new(5),
                on(0, "[method]counter.add", "(3)"),
                on(0, "[method]counter.value", "()"),
            ],
            "8",
        ),
        (vec![new(5), on(0, "consume", "()")], "5"),
        // Each row has an instance of its own.
        (vec![new(1), on(0, "describe", "()")], "\"a = 1\""),
        // A resource that nobody needs is dropped when another one comes.
        (vec![new(1), new(2), call("dropped", "()")], "1"),
        (
            vec![
                new(1),
                new(2),
                on(0, "consume", "()"),
                call("dropped", "()"),
            ],
            "1",
        ),
    ] {
        let last = row.len() - 1;
        let result = running.call_in_row("one", row, LONG).await.unwrap();
        let value = result.returned.value.map(|value| value.text());
        assert_eq!((result.call, value.as_deref()), (last, Some(text)));
        assert!(result.returned.streams.is_empty());
    }
    let mut none = new(5);
    none.path.function = "[method]counter.sub".into();
    for (row, at, says) in [
        (vec![new(5)], 0, "returns a resource"),
        (vec![on(0, "[method]counter.value", "()")], 0, "no resource"),
        (
            vec![new(5), on(0, "consume", "()"), on(0, "describe", "()")],
            2,
            "no resource",
        ),
        (vec![new(5), none], 1, "exports no"),
        (vec![], 0, "no function"),
    ] {
        let failed = running.call_in_row("one", row, LONG).await.unwrap_err();
        assert_eq!(failed.call, at, "{failed}");
        assert!(failed.to_string().contains(says), "{failed}");
    }
    let held = Some(Argument::Resource(0));
    let refused = read("[method]counter.add", held, "(true)").unwrap_err();
    let says = "[method]counter.add: func(self: borrow<counter>, by: u32) -> u32";
    assert!(refused.to_string().contains(says), "{refused}");
    running.shutdown().await;
}

#[tokio::test]
async fn functions_are_called_with_types_and_with_values() {
    let maths = one(&wat::parse_str(MATHS).unwrap(), "").link().unwrap();
    let running = host().run(&maths).await.unwrap();

    let (sum,): (u32,) = running
        .call_typed("one", "add", (1u32, 2u32), LONG)
        .await
        .unwrap();
    assert_eq!(sum, 3);
    let values = [Val::U32(3), Val::U32(4)];
    let sum = running.call_values("one", "add", &values, LONG).await;
    assert_eq!(sum.unwrap(), Some(Val::U32(7)));
    let green = Val::Enum("green".into());
    let echoed = running.call_values("one", "echo", std::slice::from_ref(&green), LONG);
    assert_eq!(echoed.await.unwrap(), Some(green));

    for (function, values, says) in [
        ("add", vec![Val::U32(1)], "expected 2 arguments, found 1"),
        (
            "add",
            vec![Val::U32(1), Val::String("2".into())],
            "argument `b`: expected a u32, found a string",
        ),
        (
            "echo",
            vec![Val::Enum("blue".into())],
            "argument `c`: there is no case `blue`",
        ),
        ("sub", vec![], "exports no function `sub`"),
    ] {
        let called = running.call_values("one", function, &values, LONG).await;
        let error = called.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let wrong = running.call_typed::<(String,), (u32,)>("one", "add", ("1".into(),), LONG);
    let error = wrong.await.unwrap_err();
    assert!(matches!(error, InvokeError::Types(_)), "{error}");
    let error = running.call_typed::<(), ()>("two", "add", (), LONG).await;
    assert_eq!(error, Err(InvokeError::NoComponent("two".into())));
    let no_handler = running.http_service("one").map(drop).unwrap_err();
    assert!(
        matches!(no_handler, InvokeError::NoFunction(_)),
        "{no_handler}"
    );
    running.shutdown().await;
}

#[test]
fn all_that_is_wrong_is_said_with_its_place() {
    let traits = "      traits:\n        - {type: link, properties: {target: two}}\n        \
                  - {type: link, properties: {target: three}}\n";
    let wrong = one(&wat::parse_str(MATHS).unwrap(), traits).link();
    let Err(RunnableError::Wrong(problems)) = wrong else {
        panic!("two targets that are not there were found");
    };
    let text = problems.to_string();
    for line in ["manifest:10:", "manifest:11:"] {
        assert!(text.contains(line), "{text}");
    }
    // Nobody would take these bytes.
    let bytes = wat::parse_str(MATHS).unwrap();
    let unused = one(&bytes, "").component("two", bytes.clone()).link();
    let text = unused.map(drop).unwrap_err().to_string();
    assert!(text.ends_with("given for `two`"), "{text}");
    let missing = Runnable::manifest("/no/such/file.yaml").link();
    assert!(matches!(missing, Err(RunnableError::Read(_))));
}

#[tokio::test]
async fn a_handler_is_a_service_that_outlives_its_plan() {
    let hello = one(&guest("hello"), "").link().unwrap();
    let mut running = host().run(&hello).await.unwrap();
    let mut service = running.http_service("one").unwrap().with_timeout(LONG);
    let mut get = async |uri: &str| {
        let request = Request::get(uri).body(Empty::new()).unwrap();
        let response = service.call(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, withe_provider::HttpError>((head.status, body.len()))
    };
    let (status, length) = get("/").await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(length > 0);

    // Another plan, in which the same component has another setting.
    let changed = one(
        &guest("hello"),
        "      traits:\n        - {type: spreadscaler, properties: {instances: 2}}\n",
    );
    running.run(&changed.link().unwrap()).await.unwrap();
    assert_eq!(
        get("http://shop.example/a").await.unwrap().0,
        StatusCode::OK
    );

    running.shutdown().await;
    let gone = get("/").await.unwrap_err();
    assert!(gone.to_string().contains("`one` has stopped"), "{gone}");
}
