//! Plans of which other hosts carry out a part, for a host that is a member of a lattice.
//!
//! A host alone replaces one plan by another in one step ([`crate::Running::replace`]). A member prepares its part of
//! a plan with the ways to the others, and commits it when it may.

pub use crate::away::Away;
pub use crate::request::is_elsewhere;
pub use crate::run::{LinkKey, Prepared};
pub use crate::serve::{Served, ping_request};
pub use crate::units::LinkEnd;
pub use crate::v1::ids;
