//! A provider of streams and futures for tests, which answers by itself, or, where it is linked to a component that
//! exports the same interface, by that one: all that comes then goes on over another link, in both directions.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use t::streams::pipe::{self, Client, Item};
use withe_provider::{
    Call, CallContext, CallError, Context, Descriptor, FutureReader, Link, LinkId, Linked, Payload,
    Peer, Provider, ProviderError, StreamReader,
};

withe_provider::generate!("../guests/wit-0.3/deps/t-streams.wit", "wit");

/// The provider.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "pipe",
    version: env!("CARGO_PKG_VERSION"),
    summary: "streams and futures, for tests",
    wit: WIT,
    aliases: &[],
    paths: &[],
    check_config: |_, _| Vec::new(),
    create: |_| Arc::new(Pipes::default()),
};

/// How many bytes are asked for at a time.
const PIECE: usize = 64 << 10;

/// The component that answers, and its link.
type Answering = Arc<RwLock<Option<(LinkId, Client)>>>;

#[derive(Default)]
struct Pipes {
    links: RwLock<HashMap<LinkId, Arc<Linked<Pipe>>>>,
    answering: Answering,
}

#[async_trait]
impl Provider for Pipes {
    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        if let Peer::Callee(callee) = &link.peer {
            let no_client = || ProviderError("the component has no `t:streams/pipe`".into());
            let client = Client::of(callee).ok_or_else(no_client)?;
            let mut answering = (self.answering.write()).unwrap_or_else(PoisonError::into_inner);
            *answering = Some((link.id, client));
            return Ok(());
        }
        let linked = functions().of(&link)?.with(Pipe(self.answering.clone()));
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        links.insert(link.id, Arc::new(linked));
        Ok(())
    }

    async fn link_deleted(&self, id: LinkId, _: Duration) {
        let mut answering = (self.answering.write()).unwrap_or_else(PoisonError::into_inner);
        answering.take_if(|(link, _)| *link == id);
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        links.remove(&id);
    }

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let linked = {
            let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
            links.get(&call.link).cloned()
        };
        let linked = linked.ok_or_else(|| CallError::Unlinked("the link was removed".into()))?;
        linked.call(call).await
    }

    async fn shutdown(&self, _: Duration) {}
}

/// The state of a link.
struct Pipe(Answering);

impl Pipe {
    /// The component that answers, and how it is called.
    fn component(&self, cx: &Context<'_>) -> Option<(Client, CallContext)> {
        let answering = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (_, client) = answering.as_ref()?;
        let context = CallContext {
            deadline: cx.deadline,
            trace: cx.trace,
        };
        Some((client.clone(), context))
    }
}

/// Says in the log that what it is part of has ended, however it did.
struct Ends(&'static str);

impl Drop for Ends {
    fn drop(&mut self) {
        tracing::info!("`{}` has ended", self.0);
    }
}

impl pipe::Interface for Pipe {
    async fn add(&self, cx: &Context<'_>, a: u32, b: u32) -> Result<u32, CallError> {
        match self.component(cx) {
            Some((client, context)) => client.add(context, a, b).await,
            None => Ok(a.wrapping_add(b)),
        }
    }

    async fn upper(
        &self,
        cx: &Context<'_>,
        mut input: StreamReader<u8>,
    ) -> Result<StreamReader<u8>, CallError> {
        if let Some((client, context)) = self.component(cx) {
            return client.upper(context, input).await;
        }
        let ends = Ends("upper");
        Ok(StreamReader::written_by(|mut writer| async move {
            let _ends = ends;
            while let Some(mut bytes) = input.read(PIECE).await? {
                bytes.make_ascii_uppercase();
                writer.write(bytes).await?;
            }
            Ok(())
        }))
    }

    async fn count(&self, cx: &Context<'_>, mut input: StreamReader<u8>) -> Result<u64, CallError> {
        if let Some((client, context)) = self.component(cx) {
            return client.count(context, input).await;
        }
        let mut count = 0;
        while let Some(bytes) = input.read(PIECE).await? {
            count += bytes.len() as u64;
        }
        Ok(count)
    }

    async fn items(&self, cx: &Context<'_>, n: u32) -> Result<StreamReader<Item>, CallError> {
        if let Some((client, context)) = self.component(cx) {
            return client.items(context, n).await;
        }
        let ends = Ends("items");
        Ok(StreamReader::written_by(move |mut writer| async move {
            let _ends = ends;
            for id in 0..n {
                let name = format!("item {id}");
                writer.write(vec![Item { id, name }]).await?;
            }
            Ok(())
        }))
    }

    async fn later(
        &self,
        cx: &Context<'_>,
        text: String,
    ) -> Result<FutureReader<String>, CallError> {
        match self.component(cx) {
            Some((client, context)) => client.later(context, text).await,
            None => Ok(FutureReader::resolved_by(async move {
                Ok(format!("done: {text}"))
            })),
        }
    }

    async fn twice(
        &self,
        cx: &Context<'_>,
        text: FutureReader<String>,
    ) -> Result<String, CallError> {
        match self.component(cx) {
            Some((client, context)) => client.twice(context, text).await,
            None => Ok(text.await?.repeat(2)),
        }
    }

    async fn nested(
        &self,
        cx: &Context<'_>,
        text: String,
    ) -> Result<FutureReader<StreamReader<u8>>, CallError> {
        match self.component(cx) {
            Some((client, context)) => client.nested(context, text).await,
            None => Ok(FutureReader::resolved_by(async move {
                Ok(StreamReader::of(text.into_bytes()))
            })),
        }
    }
}
