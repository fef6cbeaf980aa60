//! The keyvalue provider as a component: `wasi:keyvalue` in memory or in Redis, within the sandbox.
//!
//! One instance serves all callers, one call after the other, for as long as the application runs. A call's way:
//!
//! * [`interface`]: what the function asks of the store, in both drafts of the interface;
//! * [`backend`]: what every store can do, and [`memory`] and [`redis`], which do it.
//!
//! The meaning of a store is the provider's (`providers/keyvalue`): limits, numbers, cursors, the names of keys in Redis and the
//! scripts that it runs are compiled from the same files, and one table of tests holds both to the same behaviour.
//! Rejected: building the provider's own crate for both, for its stores are tasks of Tokio, which a component has none of.

mod backend;
mod config;
#[path = "../../keyvalue/src/cursors.rs"]
mod cursors;
mod interface;
mod memory;
mod redis;
mod state;
#[path = "../../keyvalue/src/store/common.rs"]
#[allow(dead_code, reason = "the provider's stores need more of it")]
mod store;

/// The interfaces and their types.
mod wit {
    wit_bindgen::generate!({ path: "wit", generate_all });
}

use interface::Component;

wit::export!(Component with_types_in wit);
