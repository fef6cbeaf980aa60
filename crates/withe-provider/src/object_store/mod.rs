//! Object stores in a cloud, for providers that keep something there: S3 and what speaks it, Azure, and Google Cloud
//! Storage.
//!
//! The protocols are those of the crate `object_store`; here is how a provider reaches a store: requests go through hyper
//! and rustls, as everything else of Withe does, and buckets are made where the crate has no request for it.

mod buckets;
mod sender;

pub use buckets::{Azure, BucketError, Buckets, Cloud, Gcs, S3};
pub use sender::{Sender, TlsError};

/// The status of the response by which a store said that it failed. The crate gives it away in its words only, where
/// the failure is not one of an object.
pub fn status(why: &object_store::Error) -> Option<u16> {
    if let object_store::Error::NotFound { .. } = why {
        return Some(404);
    }
    let text = why.to_string();
    let (_, status) = text.split_once("status code: ")?;
    status.get(..3)?.parse().ok()
}
