//! Links whose target has replicas that come and go.
//!
//! A session chooses its replica with its first call, and stays there: what an instance of the callee
//! knows of its caller is on one replica only. So load is spread by sessions: of two replicas drawn at
//! random the one with fewer calls in flight is taken, which keeps the load even without anybody knowing all
//! of it. Replicas that fail are passed over, and tried again by tasks that connect, not by calls.

mod draw;
mod replica;
mod replicas;
mod session;

pub use replica::{Distance, Proximity, Replica};
pub use replicas::{Route, RouteRules};
pub use session::RouteSession;
