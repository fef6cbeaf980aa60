//! One call of something on a v1 lattice.

use async_nats::HeaderMap;
use bytes::Bytes;
use tokio::time::Instant;
use withe_rpc::CallError;

use crate::wire::V1Wire;
use crate::wire::client::{Reply, Request, closed};
use crate::wire::connection::OutgoingValues;

/// The callee, the headers and the deadline of a call.
pub(crate) struct Caller<'a> {
    pub(crate) wire: &'a V1Wire,
    /// The callee: `{lattice}.{id}`.
    pub(crate) prefix: &'a str,
    /// The headers of the call.
    pub(crate) headers: HeaderMap,
    pub(crate) deadline: Instant,
}

impl Caller<'_> {
    /// Calls `function` of `instance` with what v1 takes. `results` are where the results may have streams.
    pub(crate) async fn invoke(
        &self,
        instance: &str,
        function: &str,
        params: OutgoingValues,
        results: &[String],
    ) -> Result<Reply, CallError> {
        let request = Request {
            prefix: self.prefix,
            instance,
            function,
            headers: self.headers.clone(),
            params,
            results,
            deadline: self.deadline,
        };
        let reply = self.wire.invoke(request).await;
        reply.map_err(|why| match why {
            CallError::Unreachable(why) => {
                CallError::Unreachable(format!("`{}`: {why}", self.prefix))
            }
            why => why,
        })
    }

    /// As [`invoke`](Self::invoke), of a function that always returns something.
    pub(crate) async fn result(
        &self,
        instance: &str,
        function: &str,
        params: impl Into<Bytes>,
        results: &[String],
    ) -> Result<Reply, CallError> {
        let params = OutgoingValues::plain(params);
        let reply = self.invoke(instance, function, params, results).await?;
        if reply.bytes.is_empty() {
            return Err(closed(self.prefix));
        }
        Ok(reply)
    }
}
