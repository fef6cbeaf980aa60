//! Payloads that come in several frames.

use crate::budget::Budget;
use crate::inbox::GLIMPSE;
use crate::{CallError, HandleRef, Limits, Payload, PipeReader};

/// The size of a handle, in bytes.
const HANDLE: usize = size_of::<HandleRef>();

impl Payload {
    /// The bytes that the payload counts against a budget. Its streams count for themselves.
    pub(crate) fn cost(&self) -> usize {
        self.bytes.len() + HANDLE * self.handles.len()
    }
}

/// The part of a payload that has arrived so far. Its bytes count against a [`Budget`] until it is
/// [taken](Partial::take).
#[derive(Debug, Default)]
pub(crate) struct Partial {
    payload: Payload,
    /// Bytes taken from the budget.
    charged: usize,
}

impl Partial {
    /// Adds the part in one frame. Memory grows with the bytes that arrived, never by those still to come.
    ///
    /// # Errors
    ///
    /// [`CallError::Exhausted`] if it is more than the limits allow or the budget has left; the part is
    /// dropped then.
    pub(crate) fn add(
        &mut self,
        budget: &Budget,
        limits: &Limits,
        handles: Vec<HandleRef>,
        streams: Vec<PipeReader>,
        bytes: &[u8],
    ) -> Result<(), CallError> {
        let payload = &mut self.payload;
        if payload.handles.len() + handles.len() > limits.handles {
            return Err(CallError::Exhausted(format!(
                "a payload has more than {} handles",
                limits.handles
            )));
        }
        if payload.streams.len() + streams.len() > limits.streams as usize {
            return Err(CallError::Exhausted(format!(
                "a payload has more than {} streams",
                limits.streams
            )));
        }
        self.charge(budget, limits, bytes.len(), handles.len())?;
        self.grow(bytes.len());
        let payload = &mut self.payload;
        payload.bytes.extend_from_slice(bytes);
        payload.handles.extend(handles);
        payload.streams.extend(streams);
        Ok(())
    }

    fn charge(
        &mut self,
        budget: &Budget,
        limits: &Limits,
        bytes: usize,
        handles: usize,
    ) -> Result<(), CallError> {
        if self.payload.bytes.len() + bytes > limits.payload {
            return Err(CallError::Exhausted(format!(
                "a payload has more than {} bytes",
                limits.payload
            )));
        }
        let cost = bytes + HANDLE * handles;
        let taken = budget.take(cost);
        taken.map_err(|full| CallError::Exhausted(format!("the unfinished payloads of {full}")))?;
        self.charged += cost;
        Ok(())
    }

    /// Makes room for `n` more bytes: up to four times what there is, so that a large payload is moved
    /// only a few times while it grows.
    fn grow(&mut self, n: usize) {
        let bytes = &mut self.payload.bytes;
        if bytes.capacity() - bytes.len() < n && !bytes.is_empty() {
            bytes.reserve_exact(n.max(3 * bytes.len()));
        }
    }

    /// Hands out the bytes that came, with room for `n` more to be read straight to their place, and to be
    /// [restored](Partial::restore) then. `None` if there may not be as many.
    pub(crate) fn lend(&mut self, budget: &Budget, limits: &Limits, n: usize) -> Option<Vec<u8>> {
        self.charge(budget, limits, n, 0).ok()?;
        self.grow(n + GLIMPSE);
        self.payload.bytes.reserve(n + GLIMPSE);
        Some(std::mem::take(&mut self.payload.bytes))
    }

    /// Takes back the bytes that were lent.
    pub(crate) fn restore(&mut self, bytes: Vec<u8>) {
        self.payload.bytes = bytes;
    }

    /// Returns the payload and gives its bytes back to the budget.
    pub(crate) fn take(self, budget: &Budget) -> Payload {
        budget.give_back(self.charged);
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_and_bounded() {
        let limits = Limits {
            payload: 5,
            handles: 1,
            ..Limits::default()
        };
        let budget = Budget::new(7, None);
        let mut a = Partial::default();
        a.add(&budget, &limits, vec![], vec![], b"abc").unwrap();
        a.add(&budget, &limits, vec![], vec![], b"de").unwrap();
        assert!(a.add(&budget, &limits, vec![], vec![], b"f").is_err());
        let two = vec![HandleRef { id: 1, own: true }; 2];
        assert!(a.add(&budget, &limits, two, vec![], b"").is_err());

        let mut b = Partial::default();
        b.add(&budget, &limits, vec![], vec![], b"xy").unwrap();
        assert!(b.add(&budget, &limits, vec![], vec![], b"z").is_err());
        assert_eq!(a.take(&budget).bytes, b"abcde");
        b.add(&budget, &limits, vec![], vec![], b"z").unwrap();
        assert!(b.lend(&budget, &limits, 3).is_none());
        let mut bytes = b.lend(&budget, &limits, 2).unwrap();
        assert_eq!(budget.held(), 5);
        bytes.extend_from_slice(b"!!");
        b.restore(bytes);
        assert_eq!(b.take(&budget).bytes, b"xyz!!");
        assert_eq!(budget.held(), 0);
    }
}
