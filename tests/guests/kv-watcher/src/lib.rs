//! Hears of changes, and notes them in the bucket that it is given: the key `seen/KEY` has what KEY was set to last, or
//! `(gone)`, and a key `trap` makes it trap.
//!
//! The component opens no bucket itself, so it imports no function for that.

wit_bindgen::generate!({ world: "kv-watcher", path: "../wit", generate_all });

use exports::wasi::keyvalue::watcher::{Bucket, Guest};

struct KvWatcher;
export!(KvWatcher);

fn note(bucket: &Bucket, key: &str, what: &[u8]) {
    assert_ne!(key, "trap", "as was asked for");
    let noted = bucket.set(&format!("seen/{key}"), what);
    noted.expect("the bucket takes what it is given");
}

impl Guest for KvWatcher {
    fn on_set(bucket: Bucket, key: String, value: Vec<u8>) {
        note(&bucket, &key, &value);
    }

    fn on_delete(bucket: Bucket, key: String) {
        note(&bucket, &key, b"(gone)");
    }
}
