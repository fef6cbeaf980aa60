//! v1's side of the tests.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::future::{Future, poll_fn};
use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::task::JoinHandle;
use withe_rpc::{CallError, PipeReader, Reader};
use withe_testing::nats::NatsServer;

use crate::support::within;

/// A stream as v1 has it.
pub type Numbers = Pin<Box<dyn Stream<Item = Vec<u32>> + Send>>;

/// v1's transport over a connection of its own.
pub struct V1 {
    pub rpc: wrpc_transport_nats::Client,
    nats: async_nats_v1::Client,
}

/// v1's transport, for what has the id `id`.
pub async fn client(broker: &NatsServer, id: &str) -> V1 {
    let nats = async_nats_v1::connect(broker.url()).await.unwrap();
    let prefix = format!("default.{id}");
    let group = Some(prefix.clone().into());
    let rpc = wrpc_transport_nats::Client::new(nats.clone(), prefix, group);
    V1 {
        rpc: rpc.await.unwrap(),
        nats,
    }
}

impl V1 {
    /// Waits until the broker has taken what was sent before, such as subscriptions.
    pub async fn settle(&self) {
        let inbox = self.nats.new_inbox();
        let mut back = self.nats.subscribe(inbox.clone()).await.unwrap();
        self.nats.publish(inbox, Bytes::new()).await.unwrap();
        let back = within("a message to ourselves", back.next()).await;
        back.expect("the connection is open");
    }
}

/// All of a stream.
pub async fn read_numbers(mut reader: PipeReader) -> Result<Vec<u32>, CallError> {
    let mut numbers = Vec::new();
    loop {
        let chunk = poll_fn(|cx| reader.poll_chunk(cx, 64));
        let Some(chunk) = within("numbers of a stream, or its end", chunk).await else {
            return Ok(numbers);
        };
        let chunk = chunk?;
        let mut r = Reader::from_bytes(&chunk.payload.bytes);
        for _ in 0..chunk.count {
            numbers.push(r.unsigned(32).unwrap() as u32);
        }
        r.finish().unwrap();
    }
}

/// A task that ends with this.
pub struct Task(JoinHandle<()>);

impl Task {
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
