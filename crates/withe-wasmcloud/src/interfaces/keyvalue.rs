//! `wasi:keyvalue` for components, `wrpc:keyvalue` on the wire.
//!
//! On the wire a bucket is its name, the first parameter of each function; `open` never crosses. Everything
//! else is encoded alike on both sides.

use withe_provider::FunctionName;
use withe_rpc::codec::{Encode as _, Writer};
use withe_rpc::{CallError, Payload, Reader};

use super::resources::{Resource, Resources, unknown};
use crate::values::mismatch;

/// A function of `wasi:keyvalue@0.2.0-draft` as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyValue {
    /// `store.open`: stays here.
    Open,
    /// A function whose first parameter is a bucket.
    OnBucket {
        /// The interface on the wire.
        instance: String,
        /// The function on the wire.
        function: String,
    },
}

impl KeyValue {
    /// The function of that name, if it is one of them.
    pub(crate) fn named(name: &FunctionName) -> Option<Self> {
        let interface = name.interface.strip_prefix("wasi:keyvalue/")?;
        let function = match (interface, name.function.as_str()) {
            ("store@0.2.0-draft", "open") => return Some(Self::Open),
            ("store@0.2.0-draft", function) => function.strip_prefix("[method]bucket.")?,
            ("atomics@0.2.0-draft" | "batch@0.2.0-draft", function) => function,
            _ => return None,
        };
        Some(Self::OnBucket {
            instance: format!("wrpc:keyvalue/{interface}"),
            function: function.to_owned(),
        })
    }
}

/// Serves `store.open`.
///
/// # Errors
///
/// If the parameters are not its, or too much is open.
pub(crate) fn open(resources: &Resources, params: &Payload) -> Result<Payload, CallError> {
    let (name,): (String,) = params.read().map_err(mismatch)?;
    let bucket = resources.add(Resource::Bucket(name.into()))?;
    Ok(Payload::of(&Ok::<_, ()>(bucket)))
}

/// The parameters as they go over the wire: the bucket's name instead of its number.
///
/// # Errors
///
/// If they do not begin with an open bucket.
pub(crate) fn lower(resources: &Resources, params: &Payload) -> Result<Vec<u8>, CallError> {
    let mut r = Reader::new(params);
    let bucket = r.handle().map_err(mismatch)?;
    let Some(Resource::Bucket(name)) = resources.get(bucket.id) else {
        return Err(unknown("bucket"));
    };
    let rest = r.raw(r.remaining()).map_err(mismatch)?;
    let mut w = Writer::with_capacity(name.len() + 5 + rest.len());
    (*name).encode(&mut w);
    w.raw(rest);
    Ok(w.finish().bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use withe_rpc::codec::Handle;

    fn named(interface: &str, function: &str) -> Option<KeyValue> {
        KeyValue::named(&FunctionName {
            interface: interface.into(),
            function: function.into(),
        })
    }

    #[test]
    fn functions_are_renamed_as_v1_does() {
        let on_bucket = |instance: &str, function: &str| {
            Some(KeyValue::OnBucket {
                instance: instance.into(),
                function: function.into(),
            })
        };
        assert_eq!(
            named(
                "wasi:keyvalue/store@0.2.0-draft",
                "[method]bucket.list-keys"
            ),
            on_bucket("wrpc:keyvalue/store@0.2.0-draft", "list-keys")
        );
        assert_eq!(
            named("wasi:keyvalue/atomics@0.2.0-draft", "increment"),
            on_bucket("wrpc:keyvalue/atomics@0.2.0-draft", "increment")
        );
        assert_eq!(
            named("wasi:keyvalue/store@0.2.0-draft", "open"),
            Some(KeyValue::Open)
        );
        assert_eq!(named("wasi:keyvalue/store@0.2.0-draft2", "open"), None);
        assert_eq!(named("wasi:keyvalue/watcher@0.2.0-draft", "on-set"), None);
        assert_eq!(named("a:b/c", "open"), None);
    }

    #[test]
    fn buckets_go_by_name() {
        let resources = Resources::default();
        let opened = open(&resources, &Payload::of(&("default",))).unwrap();
        let bucket: Result<Handle, ()> = opened.read().unwrap();
        let bucket = bucket.unwrap();
        // Recorded from wasmCloud v1.9.2.
        let params = Payload::of(&(bucket, "counter", 1u64));
        assert_eq!(
            lower(&resources, &params).unwrap(),
            b"\x07default\x07counter\x01"
        );
        resources.remove(bucket.0);
        let why = lower(&resources, &params).unwrap_err();
        assert!(matches!(why, CallError::TypeMismatch(_)), "{why}");
    }
}
