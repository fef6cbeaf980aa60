//! One table of cases that everything that serves `wasi:keyvalue` must pass: each backend of the provider, and each of
//! the provider that is a component.
//!
//! A store under test implements [`KeyValue`], by whatever way calls go there, and [`keyvalue_table!`](crate::keyvalue_table) makes a
//! test of each case. A case begins with a store that has nothing.

use std::fmt::Debug;
use std::future::Future;

/// The versions of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draft {
    /// `0.2.0-draft`
    One,
    /// `0.2.0-draft2`
    Two,
}

impl Draft {
    /// As names of interfaces have it.
    pub fn version(self) -> &'static str {
        match self {
            Self::One => "0.2.0-draft",
            Self::Two => "0.2.0-draft2",
        }
    }
}

/// A cursor, as its draft has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// Of the first draft.
    Number(u64),
    /// Of the second.
    Text(String),
}

/// Why nothing was swapped.
#[derive(Debug)]
pub enum NotSwapped<C> {
    /// `cas-error.store-error`
    Store(String),
    /// `cas-error.cas-failed`
    Changed(C),
}

/// The result of an operation. Its error is the text of `error.other`: no other error is ever returned.
pub type Answer<T> = Result<T, String>;

/// The interface as one component has it, in one draft.
pub trait KeyValue: Clone + Send + Sync + 'static {
    /// `store.bucket`
    type Bucket: Clone + Send + Sync;
    /// `atomics.cas`
    type Cas: Debug + Send + Sync;

    /// The draft.
    fn draft(&self) -> Draft;
    /// `store.open`
    fn open(&self, name: &str) -> impl Future<Output = Answer<Self::Bucket>> + Send;
    /// `bucket.get`
    fn get(
        &self,
        bucket: &Self::Bucket,
        key: &str,
    ) -> impl Future<Output = Answer<Option<Vec<u8>>>> + Send;
    /// `bucket.set`
    fn set(
        &self,
        bucket: &Self::Bucket,
        key: &str,
        value: &str,
    ) -> impl Future<Output = Answer<()>> + Send;
    /// `bucket.delete`
    fn delete(&self, bucket: &Self::Bucket, key: &str) -> impl Future<Output = Answer<()>> + Send;
    /// `bucket.exists`
    fn exists(&self, bucket: &Self::Bucket, key: &str)
    -> impl Future<Output = Answer<bool>> + Send;
    /// `bucket.list-keys`
    fn list(
        &self,
        bucket: &Self::Bucket,
        cursor: Option<Cursor>,
    ) -> impl Future<Output = Answer<(Vec<String>, Option<Cursor>)>> + Send;
    /// `atomics.increment` of the first draft, where `by` has no sign
    fn increment(
        &self,
        bucket: &Self::Bucket,
        key: &str,
        by: u64,
    ) -> impl Future<Output = Answer<u64>> + Send;
    /// `atomics.increment` of the second
    fn increment_signed(
        &self,
        bucket: &Self::Bucket,
        key: &str,
        by: i64,
    ) -> impl Future<Output = Answer<i64>> + Send;
    /// `batch.get-many`; the first draft has nothing in the place of a pair whose key is missing
    #[expect(clippy::type_complexity, reason = "as the interface has it")]
    fn get_many(
        &self,
        bucket: &Self::Bucket,
        keys: &[&str],
    ) -> impl Future<Output = Answer<Vec<(Option<String>, Option<Vec<u8>>)>>> + Send;
    /// `batch.set-many`
    fn set_many(
        &self,
        bucket: &Self::Bucket,
        pairs: &[(String, String)],
    ) -> impl Future<Output = Answer<()>> + Send;
    /// `batch.delete-many`
    fn delete_many(
        &self,
        bucket: &Self::Bucket,
        keys: &[String],
    ) -> impl Future<Output = Answer<()>> + Send;
    /// `cas.new`
    fn cas(
        &self,
        bucket: &Self::Bucket,
        key: &str,
    ) -> impl Future<Output = Answer<Self::Cas>> + Send;
    /// `cas.current`
    fn current(&self, cas: &Self::Cas) -> impl Future<Output = Answer<Option<Vec<u8>>>> + Send;
    /// `atomics.swap`
    fn swap(
        &self,
        cas: Self::Cas,
        value: &str,
    ) -> impl Future<Output = Result<(), NotSwapped<Self::Cas>>> + Send;
}

/// Makes a test of each case: `keyvalue_table!(everywhere)`, where `everywhere(draft, case)` runs `case` on each of what is
/// tested.
#[macro_export]
macro_rules! keyvalue_table {
    ($everywhere:path) => {
        $crate::keyvalue_table! { $everywhere:
            values_are_kept One,
            buckets_are_apart One,
            no_bucket_sees_the_keys_of_another One,
            a_number_is_a_cursor_of_its_bucket One,
            a_text_is_a_cursor_of_its_bucket Two,
            numbers_are_added One,
            an_increment_that_fails_changes_nothing One,
            an_increment_with_a_sign_that_fails_changes_nothing Two,
            what_is_too_large_changes_nothing Two,
            no_increment_is_lost One,
            many_keys_at_once One,
            keys_come_in_pages One,
            the_second_draft_differs Two,
            a_swap_happens_only_if_nothing_changed Two,
        }
    };
    ($everywhere:path: $($case:ident $draft:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let draft = $crate::keyvalue::Draft::$draft;
            $everywhere(draft, stringify!($case), async |c| $crate::keyvalue::$case(&c).await).await;
        }
    )*};
}

const OVERFLOW: &str = "the number would not fit in 64 bits";
const NOT_A_NUMBER: &str = "the value is not a number";

async fn open<K: KeyValue>(c: &K, name: &str) -> K::Bucket {
    c.open(name).await.unwrap()
}

/// All keys of a bucket, sorted.
async fn keys<K: KeyValue>(c: &K, bucket: &K::Bucket) -> Vec<String> {
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let (page, next) = c.list(bucket, cursor).await.unwrap();
        keys.extend(page);
        cursor = next;
        if cursor.is_none() {
            keys.sort();
            return keys;
        }
    }
}

/// All that is in a bucket.
async fn contents<K: KeyValue>(c: &K, bucket: &K::Bucket) -> Vec<(String, Vec<u8>)> {
    let mut contents = Vec::new();
    for key in keys(c, bucket).await {
        let value = c.get(bucket, &key).await.unwrap().unwrap();
        contents.push((key, value));
    }
    contents
}

/// Sets a key, or removes it.
async fn store<K: KeyValue>(c: &K, bucket: &K::Bucket, key: &str, value: Option<&str>) {
    match value {
        Some(value) => c.set(bucket, key, value).await.unwrap(),
        None => c.delete(bucket, key).await.unwrap(),
    }
}

fn text(value: &str) -> Answer<Option<Vec<u8>>> {
    Ok(Some(value.into()))
}

#[expect(missing_docs, reason = "each case is named for what it shows")]
mod cases {
    use super::*;

    pub async fn values_are_kept<K: KeyValue>(c: &K) {
        let b = &open(c, "").await;
        assert_eq!(c.get(b, "k").await, Ok(None));
        assert_eq!(c.exists(b, "k").await, Ok(false));
        c.set(b, "k", "one").await.unwrap();
        c.set(b, "k", "two").await.unwrap();
        assert_eq!(c.get(b, "k").await, text("two"));
        assert_eq!(c.exists(b, "k").await, Ok(true));
        c.set(b, "empty", "").await.unwrap();
        assert_eq!(c.get(b, "empty").await, text(""));
        c.set(b, "", "no name").await.unwrap();
        assert_eq!(c.get(b, "").await, text("no name"));
        c.delete(b, "k").await.unwrap();
        c.delete(b, "k").await.unwrap();
        assert_eq!(c.get(b, "k").await, Ok(None));
    }

    pub async fn buckets_are_apart<K: KeyValue>(c: &K) {
        let (a, ab) = (&open(c, "a").await, &open(c, "a:b").await);
        c.set(a, "b:c", "in a").await.unwrap();
        c.set(ab, "c", "in a:b").await.unwrap();
        c.set(a, "*", "star").await.unwrap();
        assert_eq!(c.get(a, "b:c").await, text("in a"));
        assert_eq!(c.get(a, "c").await, Ok(None));
        assert_eq!(keys(c, a).await, ["*", "b:c"]);
        assert_eq!(keys(c, ab).await, ["c"]);
        assert!(keys(c, &open(c, "*").await).await.is_empty());
        // The same bucket under both of its names, and through another handle.
        c.set(&open(c, "default").await, "k", "v").await.unwrap();
        assert_eq!(c.get(&open(c, "").await, "k").await, text("v"));
    }

    pub async fn no_bucket_sees_the_keys_of_another<K: KeyValue>(c: &K) {
        // Names and keys that might be put together to the same.
        let names = [
            "default",
            "a",
            "a:b",
            "a%3Ab",
            "a/b",
            "*",
            "withe",
            "withe:",
            "withe:bucket:a",
            "withe:default:",
        ];
        let all = [
            "k",
            "",
            "a:k",
            "b:k",
            "withe:k",
            "withe:bucket:a:k",
            "withe:default:k",
            "withe:default:withe:k",
        ];
        let mut sorted = all.map(str::to_owned);
        sorted.sort();
        for (n, name) in names.iter().enumerate() {
            let b = &open(c, name).await;
            assert!(keys(c, b).await.is_empty(), "{name}");
            for key in all {
                assert_eq!(c.exists(b, key).await, Ok(false), "{key} in {name}");
                assert_eq!(c.get(b, key).await, Ok(None), "{key} in {name}");
                c.set(b, key, &n.to_string()).await.unwrap();
            }
        }
        for (n, name) in names.iter().enumerate() {
            let b = &open(c, name).await;
            assert_eq!(keys(c, b).await, sorted, "{name}");
            for key in all {
                let value = c.get(b, key).await.unwrap().unwrap();
                assert_eq!(value, n.to_string().as_bytes(), "{key} in {name}");
            }
            c.delete_many(b, &all.map(str::to_owned)).await.unwrap();
            assert!(keys(c, b).await.is_empty(), "{name}");
        }
    }

    fn refused<T: Debug>(page: Answer<T>) {
        let why = "the cursor is not known; start again from the first page";
        assert_eq!(page.unwrap_err(), why);
    }

    /// As many pairs.
    fn many(count: usize) -> Vec<(String, String)> {
        (0..count).map(|n| (n.to_string(), String::new())).collect()
    }

    pub async fn a_number_is_a_cursor_of_its_bucket<K: KeyValue>(c: &K) {
        let (b, other) = (&open(c, "a").await, &open(c, "b").await);
        c.set_many(b, &many(2500)).await.unwrap();
        let (_, next) = c.list(b, None).await.unwrap();
        let Some(Cursor::Number(number)) = next else {
            panic!("{next:?}")
        };
        refused(c.list(other, next.clone()).await);
        for made_up in [number + 1, 0, u64::MAX] {
            refused(c.list(b, Some(Cursor::Number(made_up))).await);
        }
        c.list(b, next).await.unwrap();
    }

    pub async fn a_text_is_a_cursor_of_its_bucket<K: KeyValue>(c: &K) {
        let (b, other) = (&open(c, "a").await, &open(c, "").await);
        c.set_many(b, &many(2500)).await.unwrap();
        let (_, next) = c.list(b, None).await.unwrap();
        refused(c.list(other, next.clone()).await);
        for made_up in ["", "0", "7", "a", "a/", "a/7", "a/x", "default/7"] {
            refused(c.list(b, Some(Cursor::Text(made_up.to_owned()))).await);
        }
        c.list(b, next).await.unwrap();
    }

    pub async fn numbers_are_added<K: KeyValue>(c: &K) {
        let b = &open(c, "n").await;
        assert_eq!(c.increment(b, "k", 1).await, Ok(1));
        assert_eq!(c.increment(b, "k", 41).await, Ok(42));
        assert_eq!(c.increment(b, "k", 0).await, Ok(42));
        assert_eq!(c.get(b, "k").await, text("42"));
        let overflow = Err(OVERFLOW.into());
        assert_eq!(c.increment(b, "k", u64::MAX).await, overflow);
        assert_eq!(c.increment(b, "k", i64::MAX as u64).await, overflow);
        c.set(b, "text", "forty-two").await.unwrap();
        let not_a_number = Err(NOT_A_NUMBER.into());
        assert_eq!(c.increment(b, "text", 1).await, not_a_number);
        assert_eq!(c.get(b, "text").await, text("forty-two"));
        c.set(b, "set", "7").await.unwrap();
        assert_eq!(c.increment(b, "set", 1).await, Ok(8));
    }

    pub async fn an_increment_that_fails_changes_nothing<K: KeyValue>(c: &K) {
        let max = i64::MAX.to_string();
        let cases = [
            // A result of the first draft has no sign.
            (Some("-5"), 3, Err(OVERFLOW)),
            (Some("-5"), 0, Err(OVERFLOW)),
            (Some("-5"), 5, Ok(0)),
            (Some("-5"), i64::MAX as u64, Ok(i64::MAX as u64 - 5)),
            (Some("-9223372036854775808"), 1, Err(OVERFLOW)),
            (Some("9007199254740993"), 2, Ok(9_007_199_254_740_995)),
            (Some(max.as_str()), 0, Ok(i64::MAX as u64)),
            (Some(max.as_str()), 1, Err(OVERFLOW)),
            (None, i64::MAX as u64 + 1, Err(OVERFLOW)),
            (None, u64::MAX, Err(OVERFLOW)),
            (Some("9223372036854775808"), 0, Err(NOT_A_NUMBER)),
            (Some("text"), 1, Err(NOT_A_NUMBER)),
            (Some(""), 1, Err(NOT_A_NUMBER)),
            (Some(" 1"), 1, Err(NOT_A_NUMBER)),
            (Some("1 "), 1, Err(NOT_A_NUMBER)),
            (Some("01"), 1, Err(NOT_A_NUMBER)),
            (Some("+1"), 1, Err(NOT_A_NUMBER)),
            (Some("-0"), 1, Err(NOT_A_NUMBER)),
            (Some("-"), 1, Err(NOT_A_NUMBER)),
            (Some("-x"), 1, Err(NOT_A_NUMBER)),
            (Some("1.5"), 1, Err(NOT_A_NUMBER)),
            (Some("1e3"), 1, Err(NOT_A_NUMBER)),
        ];
        for bucket in ["default", "n"] {
            let b = &open(c, bucket).await;
            for (stored, by, want) in cases {
                store(c, b, "k", stored).await;
                let before = contents(c, b).await;
                let sum = c.increment(b, "k", by).await;
                let what = format!("{stored:?} + {by} in {bucket}");
                assert_eq!(sum, want.map_err(str::to_owned), "{what}");
                let after = contents(c, b).await;
                match want {
                    Ok(sum) => assert_eq!(after, [("k".into(), sum.to_string().into())], "{what}"),
                    Err(_) => assert_eq!(after, before, "{what}"),
                }
            }
        }
    }

    pub async fn an_increment_with_a_sign_that_fails_changes_nothing<K: KeyValue>(c: &K) {
        let max = i64::MAX.to_string();
        let cases = [
            (Some("-5"), 3, Ok(-2)),
            (None, i64::MIN, Ok(i64::MIN)),
            (Some("-1"), i64::MIN, Err(OVERFLOW)),
            (Some(max.as_str()), 1, Err(OVERFLOW)),
            (Some("text"), -1, Err(NOT_A_NUMBER)),
        ];
        let b = &open(c, "n").await;
        for (stored, by, want) in cases {
            store(c, b, "k", stored).await;
            let sum = c.increment_signed(b, "k", by).await;
            let what = format!("{stored:?} + {by}");
            assert_eq!(sum, want.map_err(str::to_owned), "{what}");
            let left = match want {
                Ok(sum) => Some(sum.to_string().into()),
                Err(_) => stored.map(|text| text.as_bytes().to_vec()),
            };
            assert_eq!(c.get(b, "k").await, Ok(left), "{what}");
        }
    }

    pub async fn what_is_too_large_changes_nothing<K: KeyValue>(c: &K) {
        const KEY: usize = 64 << 10;
        const VALUE: usize = 64 << 20;
        let too_long = "k".repeat(KEY + 1);
        let longest = "k".repeat(KEY);
        let too_large = "v".repeat(VALUE + 1);
        let name = c.open(&too_long).await.err().unwrap();
        assert!(name.contains("the bucket's name has 65537 bytes"), "{name}");
        let b = &open(c, "large").await;
        c.set(b, &longest, "as long as can be").await.unwrap();
        c.set(b, "a", "1").await.unwrap();
        c.delete(b, &longest).await.unwrap();
        let before = contents(c, b).await;
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let cas = c.cas(b, "a").await.unwrap();
        let Err(NotSwapped::Store(swap)) = c.swap(cas, &too_large).await else {
            panic!("swapped")
        };
        let many = c.set_many(b, &[pair("a", "2"), pair(&too_long, "")]).await;
        let values = [pair("a", "2"), pair("b", &too_large)];
        let values = c.set_many(b, &values).await;
        let delete_many = c.delete_many(b, &["a".into(), too_long.clone()]).await;
        let increment = c.increment_signed(b, &too_long, 1).await;
        let failures = [
            (c.set(b, &too_long, "").await.unwrap_err(), "the key"),
            (c.set(b, "a", &too_large).await.unwrap_err(), "the value"),
            (c.get(b, &too_long).await.unwrap_err(), "the key"),
            (c.exists(b, &too_long).await.unwrap_err(), "the key"),
            (c.delete(b, &too_long).await.unwrap_err(), "the key"),
            (increment.unwrap_err(), "the key"),
            (many.unwrap_err(), "the key"),
            (values.unwrap_err(), "the value"),
            (delete_many.unwrap_err(), "the key"),
            (swap, "the value"),
        ];
        for (error, what) in failures {
            let (bytes, most) = match what {
                "the key" => (KEY + 1, KEY),
                _ => (VALUE + 1, VALUE),
            };
            let want = format!("{what} has {bytes} bytes, and may have {most}");
            assert_eq!(error, want);
        }
        assert_eq!(contents(c, b).await, before);
    }

    pub async fn no_increment_is_lost<K: KeyValue>(c: &K) {
        let b = open(c, "n").await;
        let callers: Vec<_> = (0..32)
            .map(|_| {
                let (c, b) = (c.clone(), b.clone());
                tokio::spawn(async move {
                    for _ in 0..10 {
                        c.increment(&b, "k", 1).await.unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!(c.increment(&b, "k", 0).await, Ok(320));
    }

    pub async fn many_keys_at_once<K: KeyValue>(c: &K) {
        let b = &open(c, "m").await;
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let pairs = [pair("a", "1"), pair("b", "2"), pair("a", "3")];
        c.set_many(b, &pairs).await.unwrap();
        c.set_many(b, &[]).await.unwrap();
        let many = c.get_many(b, &["b", "missing", "a", "b"]).await;
        let value = |k: &str, v: &str| (Some(k.to_owned()), Some(v.into()));
        let want = vec![
            value("b", "2"),
            (None, None),
            value("a", "3"),
            value("b", "2"),
        ];
        assert_eq!(many, Ok(want));
        assert_eq!(c.get_many(b, &[]).await, Ok(vec![]));
        let some = ["a".into(), "missing".into()];
        c.delete_many(b, &some).await.unwrap();
        c.delete_many(b, &[]).await.unwrap();
        assert_eq!(keys(c, b).await, ["b"]);
    }

    pub async fn keys_come_in_pages<K: KeyValue>(c: &K) {
        let b = &open(c, "pages").await;
        let pairs: Vec<_> = (0..2500)
            .map(|n| (format!("key{n:05}"), n.to_string()))
            .collect();
        c.set_many(b, &pairs).await.unwrap();
        c.set(&open(c, "pagesx").await, "other", "").await.unwrap();
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let (page, next) = c.list(b, cursor).await.unwrap();
            // Deleting a key on the way passes over no other.
            c.delete_many(b, &page).await.unwrap();
            seen.extend(page);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        seen.sort();
        seen.dedup();
        let all = pairs.iter().map(|(key, _)| key);
        assert!(seen.iter().eq(all), "{} keys", seen.len());
        assert!(keys(c, b).await.is_empty());
    }

    pub async fn the_second_draft_differs<K: KeyValue>(c: &K) {
        let b = &open(c, "two").await;
        assert_eq!(c.increment_signed(b, "n", -5).await, Ok(-5));
        c.set_many(b, &many(1500)).await.unwrap();
        assert_eq!(keys(c, b).await.len(), 1501);
        let both = c.get_many(b, &["n", "x"]).await;
        let want = vec![
            (Some("n".into()), Some(b"-5".into())),
            (Some("x".into()), None),
        ];
        assert_eq!(both, Ok(want));
    }

    pub async fn a_swap_happens_only_if_nothing_changed<K: KeyValue>(c: &K) {
        let b = &open(c, "cas").await;
        let missing = c.cas(b, "k").await.unwrap();
        assert_eq!(c.current(&missing).await, Ok(None));
        c.swap(missing, "first").await.unwrap();

        let stale = c.cas(b, "k").await.unwrap();
        c.set(b, "k", "changed").await.unwrap();
        assert_eq!(c.current(&stale).await, text("first"));
        let Err(NotSwapped::Changed(fresh)) = c.swap(stale, "lost").await else {
            panic!("swapped")
        };
        assert_eq!(c.current(&fresh).await, text("changed"));
        c.swap(fresh, "second").await.unwrap();
        assert_eq!(c.get(b, "k").await, text("second"));
    }
}

pub use cases::*;
