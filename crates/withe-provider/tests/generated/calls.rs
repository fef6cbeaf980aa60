//! Functions that a provider calls, by the clients that are generated for them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use withe_provider::{
    BoxFuture, CallContext, CallError, CallTarget, Callee, FunctionName, Payload,
};

use crate::generated::test::all::types::Colour;
use crate::generated::test::all::watcher::Client;

/// The component: notes what is called, and answers what it is told to.
struct Component {
    called: Mutex<Vec<(usize, Payload)>>,
    answer: fn() -> Result<Payload, CallError>,
}

impl CallTarget for Component {
    fn call(
        &self,
        function: usize,
        params: Payload,
        _: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        self.called.lock().unwrap().push((function, params));
        Box::pin(std::future::ready((self.answer)()))
    }
}

/// A link's component with these functions of the interface, behind one of another.
fn linked(
    functions: &[&str],
    answer: fn() -> Result<Payload, CallError>,
) -> (Callee, Arc<Component>) {
    let of = |interface: &str, function: &str| FunctionName {
        interface: interface.into(),
        function: function.into(),
    };
    let mut names = vec![of("test:other/more", "changed")];
    let watched = functions
        .iter()
        .map(|name| of("test:all/watcher@1.2.0", name));
    names.extend(watched);
    let component = Arc::new(Component {
        called: Mutex::default(),
        answer,
    });
    (Callee::new(names.into(), component.clone()), component)
}

fn context() -> CallContext {
    CallContext {
        deadline: Instant::now() + Duration::from_secs(60),
        trace: None,
    }
}

#[tokio::test]
async fn functions_are_called_by_their_places_with_their_types() {
    let colour = || Ok(Payload::of(&(Ok::<_, ()>(Colour::LightGreen),)));
    // As the link has them, which need not be the interface's order.
    let (callee, component) = linked(&["gone", "changed"], colour);
    let client = Client::of(&callee).expect("the link has the interface");
    let now = Some(b"blue".to_vec());
    let answer = client.changed(context(), "sky".into(), now).await.unwrap();
    assert_eq!(answer, Ok(Colour::LightGreen));
    let called = component.called.lock().unwrap();
    let [(2, params)] = &called[..] else {
        panic!("the second function of the interface, the third of the link: {called:?}");
    };
    let params: (String, Option<Vec<u8>>) = params.read().unwrap();
    assert_eq!(params, ("sky".into(), Some(b"blue".to_vec())));
}

#[tokio::test]
async fn failures_and_strange_results_are_errors() {
    let (callee, _) = linked(&["changed", "gone"], || Err(CallError::Deadline));
    let client = Client::of(&callee).unwrap();
    let gone = client.gone(context(), "sky".into()).await;
    assert_eq!(gone, Err(CallError::Deadline));
    let (callee, _) = linked(&["changed", "gone"], || Ok(Payload::of(&(7_u8,))));
    let client = Client::of(&callee).unwrap();
    let strange = client.gone(context(), "sky".into()).await.unwrap_err();
    let CallError::TypeMismatch(why) = strange else {
        panic!("{strange:?}");
    };
    assert!(
        why.starts_with("the result of `gone` of `test:all/watcher@1.2.0`"),
        "{why}"
    );
}

#[test]
fn a_link_without_the_interface_has_no_client() {
    let nothing = || Ok(Payload::default());
    assert!(Client::of(&linked(&[], nothing).0).is_none());
    assert!(Client::of(&linked(&["changed"], nothing).0).is_none());
}
