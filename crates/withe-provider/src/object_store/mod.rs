//! Object stores in a cloud, for providers that keep something there: S3 and what speaks it, Azure, and Google Cloud
//! Storage.
//!
//! The protocols are those of the crate `object_store`; here is how a provider reaches a store: requests go through hyper
//! and rustls, as everything else of Withe does, and buckets are made where the crate has no request for it.

use object_store::client::{HttpError, HttpErrorKind};

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

/// Whether a request that failed has certainly not been carried out: there was no connection to send it over, or the store
/// said that it had no time for it. Sent again, such a request is not carried out twice.
pub fn is_unsent(why: &object_store::Error) -> bool {
    if status(why) == Some(503) {
        return why.to_string().contains("<Code>SlowDown</Code>");
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(why);
    while let Some(why) = cause {
        if let Some(error) = why.downcast_ref::<HttpError>() {
            return error.kind() == HttpErrorKind::Connect;
        }
        cause = why.source();
    }
    false
}
