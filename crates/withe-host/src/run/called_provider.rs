//! A part that others run on a lattice of wasmCloud v1, called by a provider here. The part may be a component there; here a
//! provider stands for it, and has a link that starts at another provider.
//!
//! As calls of components, its calls end with the link's `timeout` and carry no more than a call may. They are not counted: the
//! counts of links are the graph's, and nothing of this link is in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use withe_provider::{
    BoxFuture, Call, CallContext, CallError, CallTarget, LinkId, Payload, Provider,
};
use withe_rpc::{max_payload, payload_exceeded};

/// A provider as the target of another's calls.
pub(crate) struct CalledProvider {
    pub(crate) provider: Arc<dyn Provider>,
    /// The link between the two, as the called one knows it.
    pub(crate) link: LinkId,
    /// The name of the one that calls.
    pub(crate) caller: String,
    /// The longest that a call may take.
    pub(crate) timeout: Duration,
}

impl CallTarget for CalledProvider {
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        let deadline = context.deadline.min(Instant::now() + self.timeout);
        Box::pin(async move {
            check_size("parameters", &params)?;
            let call = Call {
                link: self.link,
                function,
                params,
                deadline,
                caller: &self.caller,
                trace: context.trace,
            };
            let called = timeout_at(deadline.into(), self.provider.call(call)).await;
            let results = called.map_err(|_| CallError::Deadline)??;
            check_size("results", &results)?;
            Ok(results)
        })
    }
}

/// Bounds what one call carries, as links to components do.
fn check_size(what: &str, payload: &Payload) -> Result<(), CallError> {
    let len = payload.bytes.len();
    if len > max_payload() {
        return Err(payload_exceeded(what, len, max_payload() as u64));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use withe_provider::{Link, ProviderError};

    use super::*;

    /// Never answers if `hangs`; otherwise answers with this many bytes.
    struct Answers {
        hangs: bool,
        bytes: usize,
    }

    #[async_trait]
    impl Provider for Answers {
        async fn link_put(&self, _: Link) -> Result<(), ProviderError> {
            Ok(())
        }

        async fn link_deleted(&self, _: LinkId, _: Duration) {}

        async fn call(&self, _: Call<'_>) -> Result<Payload, CallError> {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            Ok(payload(self.bytes))
        }

        async fn shutdown(&self, _: Duration) {}
    }

    fn payload(len: usize) -> Payload {
        Payload {
            bytes: vec![0; len],
            ..Payload::default()
        }
    }

    async fn called(hangs: bool, sent: usize, bytes: usize) -> Result<usize, CallError> {
        let called = CalledProvider {
            provider: Arc::new(Answers { hangs, bytes }),
            link: LinkId(1),
            caller: "caller".into(),
            timeout: Duration::from_millis(20),
        };
        let context = CallContext {
            deadline: Instant::now() + Duration::from_secs(3600),
            trace: None,
        };
        let results = called.call(0, payload(sent), context).await?;
        Ok(results.bytes.len())
    }

    #[tokio::test]
    async fn calls_end_with_the_links_timeout_and_carry_no_more_than_they_may() {
        assert_eq!(called(true, 0, 0).await, Err(CallError::Deadline));
        for (sent, bytes) in [(max_payload() + 1, 0), (0, max_payload() + 1)] {
            called(false, sent, bytes).await.unwrap_err();
        }
    }
}
