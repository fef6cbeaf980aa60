//! The side that asks.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use withe_rpc::codec::{Decode, DecodeError, Encode, Reader, Writer};
use withe_rpc::{BoxFuture, CallContext, CallError, Payload, Route};

use super::names;
use super::values::Function;
use crate::http_wire::body::{self, Pump, Received, beside};
use crate::{
    Blob, BlobError, BlobErrorKind, BlobStore, Body, CallTarget, ContainerInfo, ObjectId,
    ObjectInfo, ObjectNames, Written,
};

/// Where the calls of a [`BlobsOver`] go.
pub trait BlobSession: Send + Sync + 'static {
    /// Where the next one goes, found by `deadline`.
    fn session(&self, deadline: Instant) -> BoxFuture<'_, Result<Arc<dyn CallTarget>, CallError>>;
}

/// Each call goes where there is least to do.
impl BlobSession for Arc<Route> {
    fn session(&self, _: Instant) -> BoxFuture<'_, Result<Arc<dyn CallTarget>, CallError>> {
        let session: Arc<dyn CallTarget> = Arc::new(Route::session(self));
        Box::pin(std::future::ready(Ok(session)))
    }
}

/// Objects that are kept at the other side of a link.
pub struct BlobsOver<S>(pub S);

impl<S: BlobSession> BlobsOver<S> {
    /// Calls a function of values.
    async fn ask<T: Decode>(
        &self,
        function: Function,
        params: &impl Encode,
        context: CallContext,
    ) -> Result<T, BlobError> {
        let session = self.0.session(context.deadline).await?;
        let answer = session.call(function as usize, Payload::of(params), context);
        let answer = answer.await?;
        answer.read::<Result<T, BlobError>>().map_err(malformed)?
    }

    /// Calls a function that returns a body, behind what `head` reads.
    async fn stream<T>(
        &self,
        function: Function,
        (params, mut upload): (Payload, Option<Pump>),
        head: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
        context: CallContext,
    ) -> Result<(T, Body), BlobError> {
        let session = self.0.session(context.deadline).await?;
        let answer = session.call(function as usize, params, context);
        let answer = beside(&mut upload, answer).await?;
        let all = Bytes::from(answer.bytes);
        let mut r = Reader::from_bytes(&all);
        if r.bool().map_err(malformed)? {
            let error = BlobError::decode(&mut r).map_err(malformed)?;
            r.finish().map_err(malformed)?;
            return Err(error);
        }
        let head = head(&mut r).map_err(malformed)?;
        let received = Received::read(&mut r, &all, answer.streams);
        let received = received.map_err(|why| not_an_answer(&why))?;
        Ok((head, received.into_body(Some(session), upload)))
    }
}

fn malformed(why: DecodeError) -> BlobError {
    not_an_answer(&why)
}

fn not_an_answer(why: &dyn std::error::Error) -> BlobError {
    let text = format!("what came over the link is no answer of an object store: {why}");
    BlobError::new(BlobErrorKind::Internal, text)
}

/// Parameters without a body.
fn plain(params: &impl Encode) -> (Payload, Option<Pump>) {
    (Payload::of(params), None)
}

#[async_trait::async_trait]
impl<S: BlobSession> BlobStore for BlobsOver<S> {
    async fn create_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        self.ask(Function::CreateContainer, &name, context).await
    }

    async fn container_exists(&self, name: &str, context: CallContext) -> Result<bool, BlobError> {
        self.ask(Function::ContainerExists, &name, context).await
    }

    async fn delete_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        self.ask(Function::DeleteContainer, &name, context).await
    }

    async fn clear_container(&self, name: &str, context: CallContext) -> Result<(), BlobError> {
        self.ask(Function::ClearContainer, &name, context).await
    }

    async fn container_info(
        &self,
        name: &str,
        context: CallContext,
    ) -> Result<ContainerInfo, BlobError> {
        let created_at = self.ask(Function::ContainerInfo, &name, context).await?;
        Ok(ContainerInfo { created_at })
    }

    async fn list_objects(
        &self,
        container: &str,
        context: CallContext,
    ) -> Result<ObjectNames, BlobError> {
        let params = plain(&container);
        let listed = self.stream(Function::ListObjects, params, |_| Ok(()), context);
        let ((), body) = listed.await?;
        Ok(names::of_body(body))
    }

    async fn has_object(&self, id: &ObjectId, context: CallContext) -> Result<bool, BlobError> {
        self.ask(Function::HasObject, id, context).await
    }

    async fn object_info(
        &self,
        id: &ObjectId,
        context: CallContext,
    ) -> Result<ObjectInfo, BlobError> {
        let (created_at, size) = self.ask(Function::ObjectInfo, id, context).await?;
        Ok(ObjectInfo { created_at, size })
    }

    async fn delete_objects(
        &self,
        container: &str,
        objects: Vec<String>,
        context: CallContext,
    ) -> Result<(), BlobError> {
        let params = (container, objects);
        self.ask(Function::DeleteObjects, &params, context).await
    }

    async fn copy_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        self.ask(Function::CopyObject, &(from, to), context).await
    }

    async fn move_object(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        context: CallContext,
    ) -> Result<(), BlobError> {
        self.ask(Function::MoveObject, &(from, to), context).await
    }

    async fn read(
        &self,
        id: &ObjectId,
        range: Range<u64>,
        context: CallContext,
    ) -> Result<Blob, BlobError> {
        let params = plain(&(id, range.start, range.end));
        let read = self.stream(Function::Read, params, u64::decode, context);
        let (size, body) = read.await?;
        Ok(Blob { size, body })
    }

    async fn write(
        &self,
        id: &ObjectId,
        body: Body,
        context: CallContext,
    ) -> Result<Written, BlobError> {
        let mut w = Writer::default();
        id.encode(&mut w);
        let params = body::write(w, body).await;
        let written = self.stream(Function::Write, params, |_| Ok(()), context);
        let ((), body) = written.await?;
        Ok(Box::pin(ended(body)))
    }
}

/// Waits for the end of what answers a write, which says that the object is kept and has no bytes: whoever sends some
/// is not listened to further, for they would be kept until it ends.
async fn ended(mut body: Body) -> Result<(), BlobError> {
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(BlobError::from)?.into_data();
        if data.is_ok_and(|data| !data.is_empty()) {
            let text = "what came over the link is no answer to a write: it has bytes; the object may or may not be kept";
            return Err(BlobError::new(BlobErrorKind::Internal, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test]
    async fn what_answers_a_write_has_no_bytes() {
        let body = |sent: Vec<&'static [u8]>| {
            let frames = sent
                .into_iter()
                .map(|data| Ok(Frame::data(Bytes::from_static(data))));
            StreamBody::new(stream::iter(frames.collect::<Vec<_>>())).boxed_unsync()
        };
        ended(body(vec![])).await.unwrap();
        ended(body(vec![b"", b""])).await.unwrap();
        let endless = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(b"x"))));
        let endless = StreamBody::new(endless).boxed_unsync();
        let why = ended(endless).await.unwrap_err();
        assert!(why.message.contains("no answer to a write"), "{why}");
    }
}
