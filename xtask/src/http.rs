//! One HTTP request at a time, for the demo's check.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The name of this client: something that must not get into a page as it is.
pub(crate) const USER_AGENT: &str = "<xtask>";

/// The longest a request may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("this is not JSON: {}", self.body))
    }
}

/// Sends a request without a body, on a connection of its own.
///
/// # Errors
///
/// There is no connection, or no whole answer in time.
pub(crate) async fn send(server: SocketAddr, method: &str, path: &str) -> Result<Answer> {
    timeout(DEADLINE, exchange(server, method, path))
        .await
        .map_err(|_| anyhow::anyhow!("no answer in {} s", DEADLINE.as_secs()))
        .and_then(|answer| answer)
        .with_context(|| format!("{method} http://{server}{path}"))
}

async fn exchange(server: SocketAddr, method: &str, path: &str) -> Result<Answer> {
    let stream = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", server.to_string())
        .header("user-agent", USER_AGENT)
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().into())?;
        // The connection ends when there is nobody left to send on it.
        drop(sender);
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    };
    let (answer, connection) = tokio::join!(answer, connection);
    connection?;
    answer
}
