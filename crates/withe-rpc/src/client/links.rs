//! Links and sessions of a connection: begun, and ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::connection::Connection;
use super::placed::{PlacedLink, PlacedSession};
use crate::codec::put_unsigned;
use crate::frame::{self, Kind, MAX_REFS};
use crate::{CallError, LinkRequest};

impl Connection {
    /// Asks for a link.
    pub(super) fn link(&self, request: &LinkRequest) -> Result<Arc<PlacedLink>, CallError> {
        let mut frames = Vec::new();
        let mut state = self.lock();
        let link = |id| {
            Arc::new(PlacedLink {
                id,
                refused: AtomicBool::new(false),
            })
        };
        let id = state.links.insert(link(0)).map_err(|_| {
            CallError::Exhausted(format!(
                "{} takes no more links on a connection",
                self.endpoint
            ))
        })?;
        if let Err(excess) = request.put(&mut frames, id) {
            state.links.remove(id);
            return Err(CallError::Exhausted(format!(
                "the functions of the link to `{}` take {excess} bytes more than a link may have",
                request.target
            )));
        }
        let link = link(id);
        if let Some(slot) = state.links.get_mut(id) {
            *slot = link.clone();
        }
        // Appended before another can ask, for requests are not to be mixed.
        self.core.out.push(|out| out.extend_from_slice(&frames));
        Ok(link)
    }

    /// Lets go of a link.
    pub(super) fn unlink(&self, link: &PlacedLink) {
        let mut state = self.lock();
        state.links.remove(link.id);
        self.core.out.push_empty(Kind::Unlink, link.id);
        drop(state);
        self.core.out.flush_soon();
    }

    /// Begins a session. The server learns of it with its first call.
    pub(super) fn session(&self, link: &Arc<PlacedLink>) -> Result<Arc<PlacedSession>, CallError> {
        let place = |id| {
            Arc::new(PlacedSession {
                id,
                link: link.clone(),
                held: AtomicU64::new(0),
                ended: AtomicBool::new(false),
            })
        };
        let mut state = self.lock();
        let id = state.sessions.insert(place(0)).map_err(|_| {
            CallError::Exhausted(format!(
                "{} takes no more sessions on a connection",
                self.endpoint
            ))
        })?;
        let place = place(id);
        if let Some(slot) = state.sessions.get_mut(id) {
            *slot = place.clone();
        }
        Ok(place)
    }

    /// Ends a session. Its streams end with it, and what it holds is dropped.
    pub(super) fn end_session(&self, place: &PlacedSession) {
        if place.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        self.core.streams.end_session(place.id, &self.core.out);
        let mut state = self.lock();
        // Appended before the number can be used again.
        self.core.out.push_empty(Kind::SessionEnd, place.id);
        state.sessions.remove(place.id);
        drop(state);
        self.core.out.flush_soon();
    }

    /// Whether streams of a session are open.
    pub(super) fn has_streams(&self, place: &PlacedSession) -> bool {
        !place.has_ended() && self.core.streams.has(place.id)
    }

    /// Drops handles of a session.
    pub(super) fn drop_handles(&self, place: &PlacedSession, ids: &[u32]) {
        place.went(ids.len());
        if ids.is_empty() || place.ended.load(Ordering::Acquire) {
            return;
        }
        for ids in ids.chunks(MAX_REFS) {
            self.core.out.push(|out| {
                frame::write(out, Kind::Drop, 0, place.id, |body| {
                    put_unsigned(body, ids.len() as u64);
                    ids.iter().for_each(|id| put_unsigned(body, u64::from(*id)));
                });
            });
        }
        self.core.out.flush_soon();
    }
}
