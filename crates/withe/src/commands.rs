//! The subcommands: one file each. `application`, `settle` and those that end in `_args` are what several share.

mod application;
pub(crate) mod call;
pub(crate) mod check;
pub(crate) mod compile_component;
pub(crate) mod completions;
pub(crate) mod compose;
mod config_args;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod host;
mod input_args;
pub(crate) mod inspect;
mod key_args;
pub(crate) mod lattice;
mod lattice_args;
mod limit_args;
pub(crate) mod link;
mod link_args;
pub(crate) mod ping;
pub(crate) mod plan;
mod policy_args;
pub(crate) mod provider;
mod settle;
pub(crate) mod up;
pub(crate) mod worker;
