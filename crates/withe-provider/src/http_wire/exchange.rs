//! The one function of links that carry HTTP, which both sides name.

use withe_rpc::LinkFunction;

/// The number of the function in [`functions`].
pub const HANDLE: usize = 0;

/// Raised when what is written of a request or a response changes.
const VERSION: u64 = 1;

/// The function that links which carry HTTP ask for.
pub fn functions() -> Vec<LinkFunction> {
    vec![LinkFunction {
        interface: "withe:http/exchange".into(),
        function: "handle".into(),
        digest: VERSION,
    }]
}

/// Whether a link with these functions carries HTTP, in the version that is spoken here.
pub fn is_http(functions: &[LinkFunction]) -> bool {
    functions == self::functions()
}
