//! Objects over the invocation protocol: a function for each thing that a [`BlobStore`](crate::BlobStore) does.
//!
//! The alternative was to call `wasi:blobstore` itself, as other interfaces are called. Its resources would then be the
//! provider's, with a session behind each, and its streams would be refused. With names in place of resources every
//! call stands for itself, so that calls are spread over replicas, and what streams is a body as HTTP's are
//! ([`http_wire`](crate::http_wire)): what is there of it at once goes along, the rest follows as it is wanted.
//!
//! In the codec's terms:
//!
//! ```wit
//! create-container, delete-container, clear-container: func(name: string) -> result<_, error>;
//! container-exists: func(name: string) -> result<bool, error>;
//! container-info: func(name: string) -> result<u64, error>;                       // created at
//! list-objects: func(container: string) -> result<body, error>;                   // names, see `names`
//! has-object: func(id: object-id) -> result<bool, error>;
//! object-info: func(id: object-id) -> result<tuple<u64, u64>, error>;             // created at, size
//! delete-objects: func(container: string, objects: list<string>) -> result<_, error>;
//! copy-object, move-object: func(from: object-id, to: object-id) -> result<_, error>;
//! read: func(id: object-id, start: u64, end: u64) -> result<tuple<u64, body>, error>;
//! write: func(id: object-id, body: body) -> result<body, error>;                  // ends when the object is kept
//!
//! type object-id = tuple<string, string>;
//! record error { kind: u8, message: string }
//! ```

mod client;
mod names;
mod server;
#[cfg(test)]
mod tests;
mod values;

pub use client::{BlobSession, BlobsOver};
pub use server::serve;
pub use values::{functions, is_blobs};
