//! The interfaces that v1 has under other names on the wire, because components' versions of them have
//! resources.

mod blobs;
pub(crate) mod blobstore;
pub(crate) mod http;
pub(crate) mod http_body;
pub(crate) mod http_error;
pub(crate) mod http_messages;
pub(crate) mod keyvalue;
pub(crate) mod resources;
pub(crate) mod watcher;
