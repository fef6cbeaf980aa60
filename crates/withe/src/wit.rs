//! WIT for components: the standard interfaces, those of providers, and those of parts of applications, put into a
//! component's `wit/deps`.
//!
//! The files follow from the requests alone: each is read to a tree of packages, these are made one, and what the requests
//! name is printed with all that it uses. So it does not depend on the order of requests, and two that use one package share it.
//! WASI 0.2 is one set of interfaces whose last number grows: all of it is printed with one version, the one that the tools of a
//! language take. Two releases of it in what somebody else built are one then, of which the newest has all. `wkg` keeps each in a folder of its
//! own, which gives a component two sets of types that do not go together.
//!
//! What Withe serves and links comes with it. Any other package is fetched from the registry of its namespace, as `wkg` does: which
//! one that is stands in [`registries`], and [`fetch`] has the version and the bytes.

pub(crate) mod fetch;
pub(crate) mod lock;
pub(crate) mod packages;
pub(crate) mod registries;
pub(crate) mod sources;
#[cfg(test)]
mod tests;
mod views;
