//! The state that the instance keeps from call to call.

use std::cell::RefCell;

use crate::backend::Store;
use crate::config::{self, Backend};
use crate::cursors::Cursors;
use crate::memory::MemoryStore;
use crate::redis::RedisStore;
use crate::store::StoreError;

/// The store, and what belongs to it.
pub(crate) struct State {
    pub(crate) store: Box<dyn Store>,
    /// The bucket that the identifiers `default` and the empty one open.
    pub(crate) default_bucket: String,
    pub(crate) cursors: Cursors,
}

thread_local! {
    /// Made at the first call: before, there is nobody to be told what is wrong with the configuration.
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Does something with the state. Calls come one after the other, and none comes while one is under way.
pub(crate) fn with<T>(
    doing: impl FnOnce(&mut State) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    STATE.with_borrow_mut(|state| match state {
        Some(state) => doing(state),
        None => doing(state.insert(opened()?)),
    })
}

fn opened() -> Result<State, StoreError> {
    let config = config::read().map_err(|why| StoreError::Failed(why.to_string()))?;
    Ok(State {
        store: match config.backend {
            Backend::Memory => Box::new(MemoryStore::default()),
            Backend::Redis(config) => Box::new(RedisStore::new(config)),
        },
        default_bucket: config.bucket,
        cursors: Cursors::default(),
    })
}
