//! What `generate!` makes of WIT: types as the codec has them, and functions that are called as a host calls them.

#[path = "generated/calls.rs"]
mod calls;
#[path = "generated/functions.rs"]
mod functions;
#[path = "generated/resources.rs"]
mod resources;
#[path = "generated/types.rs"]
mod types;

use std::time::{Duration, Instant};

use withe_provider::codec::{Decode, Encode};
use withe_provider::{
    Call, CallError, ConfigMap, FunctionName, Link, LinkId, Payload, Peer, Provider,
};

/// The generated code.
mod generated {
    withe_provider::generate!("tests/generated/wit");
}

/// A link to a component that imports `functions`, each an interface and a function of it.
fn link(functions: &[(&str, &str)]) -> Link {
    let names = functions.iter().map(|(interface, function)| FunctionName {
        interface: (*interface).into(),
        function: (*function).into(),
    });
    Link {
        id: LinkId(1),
        name: "default".into(),
        application: "app".into(),
        component: "caller".into(),
        config: ConfigMap::new(),
        peer: Peer::Importer(names.collect()),
    }
}

/// Calls a function of the link by its number.
async fn call<R: Decode>(
    provider: &impl Provider,
    function: usize,
    params: impl Encode,
) -> Result<R, CallError> {
    let call = Call {
        link: LinkId(1),
        function,
        params: Payload::of(&params),
        deadline: Instant::now() + Duration::from_secs(60),
        trace: None,
        caller: "caller",
    };
    let result = provider.call(call).await?;
    Ok(result.read().expect("a result of the function's type"))
}
