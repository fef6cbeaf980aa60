//! Which applications a host accepts, and what it lets them have.
//!
//! A lattice gives a host applications that its operator has never seen, with grants that the deployer has written. So
//! the operator says what the host accepts, and the host looks at all that an application asks of it before it makes
//! anything of it. The answer is a function of data: a [policy](AdmissionPolicy) and a request in, a list of refusals
//! out. Making the request from a plan, and looking at the disk for it, is the business of `admission`.
//!
//! Leaving the choice to the controller was rejected: a host that is told what it may run by others trusts them. A
//! language of conditions was, too: the reader of a policy must see what it lets through.
//!
//! * `accepted`: the names that a rule accepts.
//! * `rules`: the policy, as an operator wrote it or by default.
//! * `request`: what an application asks of a host.
//! * `check`: the refusals that follow.

mod accepted;
mod check;
mod request;
mod rules;

pub(crate) use check::{RefusedByPolicy, UnlistedProgram};
pub(crate) use request::{AdmissionRequest, RequestedCode, RequestedDirectory, RequestedPart};
pub use rules::AdmissionPolicy;
