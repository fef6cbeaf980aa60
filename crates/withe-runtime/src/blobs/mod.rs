//! `wasi:blobstore`: objects that a component keeps over its links to providers.
//!
//! The interface's resources (containers, values, lists of names) and the streams of `wasi:io` that values are read and
//! written by are of the component's own host, and cross no link. So they are here, in the store's table, and a
//! provider is asked for what they stand for ([`withe_provider::BlobStore`]): names, and bytes that stream.
//!
//! * `link`: a call over a link: its deadline, its count, its span.
//! * `early`: bytes written before their destination is known;
//! * `conduit`: the bytes of a value that is being written, between the component and the provider.
//! * `incoming`: the bytes of a value that is read, and names that are listed.
//! * `define`: the functions.

mod conduit;
mod define;
pub(crate) mod early;
mod incoming;
mod link;

pub(crate) use define::{define, is_blobs};
