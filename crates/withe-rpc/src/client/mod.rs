//! The side that calls: [`Client`] keeps one connection to an endpoint, and makes it again when it is lost; links and
//! their sessions are of one client, or of a route that chooses among several.

mod attempts;
mod call;
mod calls;
mod connection;
mod endpoint;
mod links;
mod placed;
mod route;
mod session;

pub use endpoint::Client;
pub use route::{Distance, Proximity, Replica, Route, RouteRules, RouteSession};
pub use session::{RemoteLink, Session};
