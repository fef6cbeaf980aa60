//! Opening buckets, alike for all that JetStream keeps of a lattice.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{Config, Store};

use crate::LatticeError;
use crate::error::{Cause, Unreachable};

/// Opens a bucket, or makes it. Others may be making it too.
pub(super) async fn open(jetstream: &Context, config: &Config) -> Result<Store, LatticeError> {
    if let Ok(store) = jetstream.get_key_value(&config.bucket).await {
        return Ok(store);
    }
    let error = match jetstream.create_key_value(config.clone()).await {
        Ok(store) => return Ok(store),
        Err(e) => e,
    };
    // Another host may have made it this moment, and otherwise.
    let store = jetstream.get_key_value(&config.bucket).await;
    store.map_err(|_| no_bucket(&config.bucket, error))
}

/// A bucket that is not there and cannot be made.
pub(super) fn no_bucket(
    bucket: &str,
    why: impl std::error::Error + Send + Sync + 'static,
) -> LatticeError {
    let (bucket, why) = (bucket.into(), Cause::new(why));
    Unreachable::Bucket { bucket, why }.into()
}

/// How much longer than other operations one with so many bytes may take.
pub(super) fn time_for(bytes: usize) -> Duration {
    Duration::from_secs((bytes >> 20) as u64)
}
