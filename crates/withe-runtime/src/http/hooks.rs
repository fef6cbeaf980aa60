//! Requests out of a component, once it is known over which link they go.

use futures::future::BoxFuture;
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions as WasiRequestOptions, WasiBody, WasiHttpHooks};
use withe_provider::{Body, HttpError, RequestOptions};

use super::errors;

/// Where the requests of the instance go.
#[derive(Default)]
pub(crate) struct OutgoingHooks {
    /// The link of the call under way.
    chosen: Option<Chosen>,
}

/// Sends a request over the link that was chosen for it.
pub(super) type SendRequest = Box<
    dyn FnOnce(
            http::Request<Body>,
            RequestOptions,
        ) -> BoxFuture<'static, Result<http::Response<Body>, HttpError>>
        + Send,
>;

pub(super) struct Chosen {
    pub(super) send: SendRequest,
    /// Whether the component did not say whom it asks, for which something stands in the request.
    pub(super) is_relative: bool,
}

impl OutgoingHooks {
    /// The next request goes as `chosen` says.
    pub(super) fn choose(&mut self, chosen: Chosen) {
        self.chosen = Some(chosen);
    }

    /// No request goes before another link is chosen. One that Wasmtime refused as it is was not sent, and what goes along
    /// with it counts as under way, and keeps the graph, until it is forgotten.
    pub(super) fn forget(&mut self) {
        self.chosen = None;
    }
}

type Finished = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Finished), Error>> + Send>;

impl WasiHttpHooks for OutgoingHooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<WasiRequestOptions>,
        _finished: Finished,
    ) -> Sent {
        let Some(chosen) = self.chosen.take() else {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        let Chosen { send, is_relative } = chosen;
        Box::new(async move {
            let mut request = request.map(|body| body.map_err(errors::from_wasi).boxed_unsync());
            if is_relative {
                make_relative(&mut request)?;
            }
            let options = options.map_or_else(RequestOptions::default, |o| RequestOptions {
                connect_timeout: o.connect_timeout,
                first_byte_timeout: o.first_byte_timeout,
                between_bytes_timeout: o.between_bytes_timeout,
            });
            let response = send(request, options).await.map_err(errors::to_wasi)?;
            let finished: Finished = Box::new(std::future::ready(Ok(())));
            Ok((
                response.map(|body| body.map_err(errors::to_wasi).boxed_unsync()),
                finished,
            ))
        })
    }
}

/// Takes out of a request whom it asks.
fn make_relative(request: &mut http::Request<Body>) -> Result<(), Error> {
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = request.uri().path_and_query().cloned();
    let uri = http::Uri::from_parts(parts).map_err(|_| Error::HttpRequestUriInvalid)?;
    *request.uri_mut() = uri;
    request.headers_mut().remove(http::header::HOST);
    Ok(())
}
