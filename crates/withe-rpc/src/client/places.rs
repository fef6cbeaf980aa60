//! Where links and sessions are: on one connection, under a number.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::connection::Connection;
use crate::codec::put_unsigned;
use crate::frame::{self, Kind, MAX_REFS};
use crate::{CallError, HandleRef, LinkRequest};

/// A link, as it is on this connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: u32,
    /// That the server has refused it.
    pub(super) refused: AtomicBool,
}

impl Link {
    /// Whether the server has refused it.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}

/// A session, as it is on this connection.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: u32,
    pub(super) link: Arc<Link>,
    /// How many resource handles the caller holds.
    pub(super) held: AtomicU64,
    pub(super) ended: AtomicBool,
}

impl Place {
    /// How many resource handles the caller holds.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }

    /// Whether the caller has ended it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether the server has refused its link.
    pub(super) fn is_refused(&self) -> bool {
        self.link.is_refused()
    }

    pub(super) fn came(&self, handles: &[HandleRef]) {
        let n = handles.iter().filter(|h| h.own).count();
        self.held.fetch_add(n as u64, Ordering::AcqRel);
    }

    pub(super) fn went(&self, n: usize) {
        let update = |held: u64| Some(held.saturating_sub(n as u64));
        // The closure always has a value.
        _ = self
            .held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }
}

impl Connection {
    /// Asks for a link.
    pub(super) fn link(&self, request: &LinkRequest) -> Result<Arc<Link>, CallError> {
        let mut frames = Vec::new();
        let mut state = self.lock();
        let link = |id| {
            Arc::new(Link {
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
    pub(super) fn unlink(&self, link: &Link) {
        let mut state = self.lock();
        state.links.remove(link.id);
        self.core.out.push_empty(Kind::Unlink, link.id);
        drop(state);
        self.core.out.flush_soon();
    }

    /// Begins a session. The server learns of it with its first call.
    pub(super) fn session(&self, link: &Arc<Link>) -> Result<Arc<Place>, CallError> {
        let place = |id| {
            Arc::new(Place {
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
    pub(super) fn end_session(&self, place: &Place) {
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
    pub(super) fn has_streams(&self, place: &Place) -> bool {
        !place.has_ended() && self.core.streams.has(place.id)
    }

    /// Drops handles of a session.
    pub(super) fn drop_handles(&self, place: &Place, ids: &[u32]) {
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
