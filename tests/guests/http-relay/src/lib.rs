//! Sends requests on for other components, but for those for `/denied`.

wit_bindgen::generate!({ world: "http-relay", path: "../wit", generate_all });

use exports::wasi::http::outgoing_handler::{
    ErrorCode, FutureIncomingResponse, Guest, OutgoingRequest, RequestOptions,
};
use wasi::http::outgoing_handler;

struct Relay;
export!(Relay);

impl Guest for Relay {
    fn handle(
        request: OutgoingRequest,
        options: Option<RequestOptions>,
    ) -> Result<FutureIncomingResponse, ErrorCode> {
        if request.path_with_query().as_deref() == Some("/denied") {
            return Err(ErrorCode::HttpRequestDenied);
        }
        outgoing_handler::handle(request, options)
    }
}
