//! The version that a host and a provider say to each other first, in whichever way they meet.

/// The version of what [`process`](super) says. A host and a provider understand each other if it is the same.
pub const PROTOCOL: u32 = 3;
