//! The links, sessions and calls of a connection, on the server's side.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::served::ServedLink;
use super::session::Session;
use crate::assembly::Partial;
use crate::frame::{CallHead, Violation};
use crate::table::Table;
use crate::{CallError, Limits};

pub(super) struct ServerState {
    pub(super) links: Table<LinkEntry>,
    pub(super) sessions: Table<SessionEntry>,
    pub(super) calls: Table<CallEntry>,
    /// The request for a link that has come in part.
    pub(super) request: Option<(u32, Vec<u8>)>,
    /// How many calls there ever were.
    pub(super) count: u64,
    pub(super) draining: bool,
}

impl ServerState {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            links: Table::new(limits.links),
            sessions: Table::new(limits.sessions),
            calls: Table::new(limits.calls),
            request: None,
            count: 0,
            draining: false,
        }
    }

    /// The part of a call's parameters that has arrived, if more is to come.
    pub(super) fn coming(&mut self, id: u32) -> Option<&mut Partial> {
        match &mut self.calls.get_mut(id)?.stage {
            Stage::Coming {
                partial,
                complete: false,
                ..
            } => Some(partial),
            _ => None,
        }
    }
}

pub(super) struct LinkEntry {
    pub(super) served: Result<Arc<dyn ServedLink>, CallError>,
    pub(super) functions: usize,
}

pub(super) struct SessionEntry {
    pub(super) session: Arc<Session>,
    /// Steps that wait because the first of them is a call that has not arrived in full.
    pub(super) waiting: VecDeque<Step>,
}

impl SessionEntry {
    /// Has handles dropped when what waits has begun; no more of them than there can be.
    pub(super) fn drop_later(&mut self, ids: Vec<u32>, limit: usize) -> Result<(), Violation> {
        let waiting = self.waiting.iter().map(|step| match step {
            Step::Call(_) => 0,
            Step::Drop(ids) => ids.len(),
        });
        if waiting.sum::<usize>() + ids.len() > limit {
            return Err(Violation::exhausted(format!(
                "more than {limit} handles wait to be dropped"
            )));
        }
        match self.waiting.back_mut() {
            Some(Step::Drop(earlier)) => earlier.extend(ids),
            _ => self.waiting.push_back(Step::Drop(ids)),
        }
        Ok(())
    }
}

pub(super) enum Step {
    Call(u32),
    Drop(Vec<u32>),
}

pub(super) struct CallEntry {
    pub(super) key: Key,
    pub(super) session: u32,
    pub(super) stage: Stage,
}

/// Tells a call from another that had, or will have, the same number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: u32,
    pub(super) count: u64,
}

pub(super) enum Stage {
    /// Some of it has come, or all but it has to wait.
    Coming {
        head: CallHead,
        deadline: Instant,
        partial: Partial,
        complete: bool,
    },
    /// Being polled for the first time.
    Beginning,
    /// In a task, which ends when this is dropped.
    Running(#[allow(dead_code, reason = "dropped to cancel")] oneshot::Sender<()>),
}
