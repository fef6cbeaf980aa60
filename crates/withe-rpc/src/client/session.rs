//! Links and sessions on the caller's side: they outlive connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::time::timeout_at;

use super::call::{Begun, NoResult};
use super::connection::Connection;
use super::endpoint::Client;
use super::placed::{PlacedLink, PlacedSession};
use crate::clock;
use crate::frame::CallHead;
use crate::{CallContext, CallError, LinkRequest, Payload};

/// A link to what a client's endpoint serves.
pub struct RemoteLink {
    client: Arc<Client>,
    request: LinkRequest,
    /// Where it was made last.
    made: Mutex<Option<(Arc<Connection>, Arc<PlacedLink>)>>,
}

impl Client {
    /// A link to what is served there. The first call sends the request for the link.
    pub fn link(self: &Arc<Self>, request: LinkRequest) -> Arc<RemoteLink> {
        RemoteLink::new(self.clone(), request)
    }
}

impl RemoteLink {
    fn new(client: Arc<Client>, request: LinkRequest) -> Arc<Self> {
        Arc::new(Self {
            client,
            request,
            made: Mutex::default(),
        })
    }

    /// The client that it is a link of.
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The request that asks the server for the link.
    pub(super) fn request(&self) -> &LinkRequest {
        &self.request
    }

    /// A session for one instance of the caller. Nothing is sent before its first call.
    pub fn session(self: &Arc<Self>) -> Session {
        Session {
            link: self.clone(),
            placed: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Arc<Connection>, Arc<PlacedLink>)>> {
        // Nothing panics while the lock is held.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link on a connection, made if need be. One that was refused is asked for again: what was
    /// not there may be there now.
    fn on(&self, connection: &Arc<Connection>) -> Result<Arc<PlacedLink>, CallError> {
        let mut made = self.lock();
        if let Some((at, link)) = &*made {
            if Arc::ptr_eq(at, connection) && !link.is_refused() {
                return Ok(link.clone());
            }
            at.unlink(link);
            *made = None;
        }
        let link = connection.link(&self.request)?;
        *made = Some((connection.clone(), link.clone()));
        Ok(link)
    }
}

impl Drop for RemoteLink {
    fn drop(&mut self) {
        if let Some((connection, link)) = self.lock().take() {
            connection.unlink(&link);
        }
    }
}

/// The session between one instance of a caller and its callee over a link. Dropped, it ends: calls are cancelled,
/// streams end, resources that it holds are dropped.
pub struct Session {
    link: Arc<RemoteLink>,
    placed: Mutex<Places>,
}

/// Where a session is.
#[derive(Default)]
struct Places {
    /// From its first call on.
    current: Option<Placed>,
    /// Where it was, and where calls and streams may still be under way.
    former: Vec<Placed>,
}

/// A session on a connection.
type Placed = (Arc<Connection>, Arc<PlacedSession>);

impl Session {
    fn lock(&self) -> MutexGuard<'_, Places> {
        // Nothing panics while the lock is held.
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the function with this index in the link's request. Dropped, it cancels the call.
    ///
    /// # Errors
    ///
    /// How the callee failed; [`CallError::Deadline`]; [`CallError::Unreachable`] if the connection was lost, which
    /// says so if the call may have taken place, and if resources of the session were lost with it.
    pub async fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError> {
        let function = function_index(function)?;
        let mut params = params;
        loop {
            let placed = match self.place()? {
                Some(placed) => placed,
                None => {
                    let connection = self.link.client.connection(context.deadline).await?;
                    self.take_place(connection)?
                }
            };
            params = match self.call_at(placed, function, params, &context).await {
                Ok(result) => return Ok(result),
                Err(NoResult {
                    begun: Begun::No,
                    again: Some(params),
                    ..
                }) => params,
                Err(no_result) => return Err(no_result.why),
            };
        }
    }

    /// As [`Session::call`], for who can go elsewhere: if there is no connection, waits for one attempt to
    /// make one, and for no longer than `until`.
    pub(super) async fn try_call(
        &self,
        function: u32,
        params: Payload,
        context: &CallContext,
        until: impl FnOnce() -> Instant,
    ) -> Result<Payload, NoResult> {
        let placed = match self.place()? {
            Some(placed) => placed,
            None => match self.link.client.try_connection(until()).await {
                Ok(connection) => self.take_place(connection)?,
                Err(why) => return Err(NoResult::not_begun(why, params)),
            },
        };
        self.call_at(placed, function, params, context).await
    }

    async fn call_at(
        &self,
        (connection, place): Placed,
        function: u32,
        params: Payload,
        context: &CallContext,
    ) -> Result<Payload, NoResult> {
        let head = CallHead {
            link: 0,
            function,
            session: 0,
            remaining: context.deadline.saturating_duration_since(clock::now()),
            trace: context.trace,
        };
        if head.remaining.is_zero() {
            return Err(CallError::Deadline.into());
        }
        let call = connection.call(&place, &head, params);
        match timeout_at(context.deadline.into(), call).await {
            Err(_) => Err(CallError::Deadline.into()),
            Ok(Ok(result)) => Ok(self.keep(result, &connection, &place)?),
            Ok(Err(no_result)) => Err(no_result),
        }
    }

    /// Passes on a result, if the resources in it can be used.
    fn keep(
        &self,
        result: Payload,
        connection: &Connection,
        place: &Arc<PlacedSession>,
    ) -> Result<Payload, CallError> {
        if result.handles.is_empty() {
            return Ok(result);
        }
        let current = self.lock().current.as_ref().map(|(_, place)| place.clone());
        if current.is_some_and(|current| Arc::ptr_eq(&current, place)) {
            return Ok(result);
        }
        // The server was stopping, so a later call has gone to another.
        let ids: Vec<u32> = result.handles.iter().map(|h| h.id).collect();
        connection.drop_handles(place, &ids);
        Err(CallError::Unreachable(
            "the resources that the call returned were lost, for the target has stopped".into(),
        ))
    }

    /// Drops a resource that a result has given to this session. Does not wait.
    pub fn drop_handle(&self, id: u32) {
        let current = self.lock().current.clone();
        if let Some((connection, place)) = current {
            connection.drop_handles(&place, &[id]);
        }
    }

    /// Where the session is, if calls can be made there, or if it cannot be elsewhere.
    fn place(&self) -> Result<Option<Placed>, CallError> {
        let mut placed = self.lock();
        let Some((connection, place)) = &placed.current else {
            return Ok(None);
        };
        if connection.takes_calls() && !place.is_refused() {
            return Ok(placed.current.clone());
        }
        if place.held() > 0 {
            return Err(CallError::Unreachable(format!(
                "{}; resources that the caller holds were lost with it",
                connection.why_not()
            )));
        }
        // The session begins anew on another connection; calls and streams under way finish on the old one.
        placed.former.retain(|(former, _)| !former.has_ended());
        let former = placed.current.take();
        placed.former.extend(former);
        Ok(None)
    }

    /// Whether calls cannot be made any more where it is, and nothing keeps it there.
    pub(super) fn is_adrift(&self) -> bool {
        let placed = self.lock();
        placed.current.as_ref().is_some_and(|(connection, place)| {
            (!connection.takes_calls() || place.is_refused()) && place.held() == 0
        })
    }

    /// Whether the caller holds resources.
    pub(super) fn holds(&self) -> bool {
        let placed = self.lock();
        let current = placed.current.as_ref();
        current.is_some_and(|(_, place)| place.held() > 0)
    }

    /// Whether streams of it are open.
    pub(super) fn has_streams(&self) -> bool {
        let placed = self.lock();
        let all = placed.current.iter().chain(&placed.former);
        all.into_iter()
            .any(|(connection, place)| connection.has_streams(place))
    }

    /// Puts the session on a connection, unless another call did meanwhile.
    fn take_place(&self, connection: Arc<Connection>) -> Result<Placed, CallError> {
        let mut placed = self.lock();
        if let Some(placed) = &placed.current {
            return Ok(placed.clone());
        }
        let link = self.link.on(&connection)?;
        let place = connection.session(&link)?;
        Ok(placed.current.insert((connection, place)).clone())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let placed = std::mem::take(&mut *self.lock());
        for (connection, place) in placed.current.into_iter().chain(placed.former) {
            connection.end_session(&place);
        }
    }
}

/// A function's index, as it is on the wire.
pub(super) fn function_index(function: usize) -> Result<u32, CallError> {
    u32::try_from(function)
        .map_err(|_| CallError::TypeMismatch(format!("there is no function {function}")))
}
