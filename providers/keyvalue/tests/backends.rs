//! One table of cases that every backend must pass.

mod support;

use std::future::Future;

use support::{CasError, Component, Other, link};
use withe_provider::codec::{ByteList, Handle};
use withe_provider::{CallError, Provider};
use withe_testing::nats::NatsServer;
use withe_testing::redis::RedisServer;
use withe_testing::seaweedfs::{ACCESS_KEY, SECRET_KEY, SeaweedServer};

const ONE: &str = "0.2.0-draft";
const TWO: &str = "0.2.0-draft2";

/// Runs `case` on each backend, for a component that imports draft `version`.
async fn everywhere<F: Future<Output = ()>>(version: &str, case: impl Fn(Component) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/data.redb");
    let redis = RedisServer::start().unwrap();
    let url = redis.url();
    let nats = NatsServer::start().unwrap();
    let nats_url = nats.url();
    let seaweed = SeaweedServer::start().unwrap();
    let endpoint = seaweed.endpoint();
    let backends = [
        vec![("backend", "memory")],
        vec![("path", path.to_str().unwrap())],
        vec![("URL", url.as_str())],
        vec![("url", nats_url.as_str())],
        vec![
            ("s3_bucket", "keys"),
            ("s3_folder", "of/tests"),
            ("endpoint", endpoint.as_str()),
            ("access_key_id", ACCESS_KEY),
            ("secret_access_key", SECRET_KEY),
        ],
    ];
    for pairs in backends {
        println!("with {pairs:?}");
        let component = Component::linked(link(1, version, &pairs)).await;
        case(component.clone()).await;
        component.provider.shutdown(support::PATIENCE).await;
    }
}

#[tokio::test]
async fn values_are_kept() {
    everywhere(ONE, async |c| {
        let b = c.open("").await;
        assert_eq!(c.get(b, "k").await, Ok(None));
        assert_eq!(c.exists(b, "k").await, Ok(false));
        c.set(b, "k", "one").await.unwrap();
        c.set(b, "k", "two").await.unwrap();
        assert_eq!(c.get(b, "k").await, Ok(Some(b"two".to_vec())));
        assert_eq!(c.exists(b, "k").await, Ok(true));
        c.set(b, "empty", "").await.unwrap();
        assert_eq!(c.get(b, "empty").await, Ok(Some(vec![])));
        c.set(b, "", "no name").await.unwrap();
        assert_eq!(c.get(b, "").await, Ok(Some(b"no name".to_vec())));
        c.delete(b, "k").await.unwrap();
        c.delete(b, "k").await.unwrap();
        assert_eq!(c.get(b, "k").await, Ok(None));
    })
    .await;
}

#[tokio::test]
async fn buckets_are_apart() {
    everywhere(ONE, async |c| {
        let (a, ab) = (c.open("a").await, c.open("a:b").await);
        c.set(a, "b:c", "in a").await.unwrap();
        c.set(ab, "c", "in a:b").await.unwrap();
        c.set(a, "*", "star").await.unwrap();
        assert_eq!(c.get(a, "b:c").await, Ok(Some(b"in a".to_vec())));
        assert_eq!(c.get(a, "c").await, Ok(None));
        assert_eq!(c.keys(a).await, ["*", "b:c"]);
        assert_eq!(c.keys(ab).await, ["c"]);
        assert!(c.keys(c.open("*").await).await.is_empty());
        // The same bucket under both of its names, and through another handle.
        c.set(c.open("default").await, "k", "v").await.unwrap();
        assert_eq!(c.get(c.open("").await, "k").await, Ok(Some(b"v".to_vec())));
    })
    .await;
}

#[tokio::test]
async fn no_bucket_sees_the_keys_of_another() {
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
    let keys = [
        "k",
        "",
        "a:k",
        "b:k",
        "withe:k",
        "withe:bucket:a:k",
        "withe:default:k",
        "withe:default:withe:k",
    ];
    let mut sorted = keys.map(str::to_owned);
    sorted.sort();
    everywhere(ONE, async |c| {
        for (n, name) in names.iter().enumerate() {
            let b = c.open(name).await;
            assert!(c.keys(b).await.is_empty(), "{name}");
            for key in keys {
                assert_eq!(c.exists(b, key).await, Ok(false), "{key} in {name}");
                assert_eq!(c.get(b, key).await, Ok(None), "{key} in {name}");
                c.set(b, key, &n.to_string()).await.unwrap();
            }
        }
        for (n, name) in names.iter().enumerate() {
            let b = c.open(name).await;
            assert_eq!(c.keys(b).await, sorted, "{name}");
            for key in keys {
                let value = c.get(b, key).await.unwrap().unwrap();
                assert_eq!(value, n.to_string().as_bytes(), "{key} in {name}");
            }
            c.delete_many(b, &keys.map(str::to_owned)).await.unwrap();
            assert!(c.keys(b).await.is_empty(), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_cursor_is_for_the_bucket_that_gave_it() {
    fn refused<T: std::fmt::Debug>(page: Result<T, Other>) {
        let text = "the cursor is not known; start again from the first page";
        assert_eq!(page.unwrap_err().0, text);
    }
    let pairs: Vec<_> = (0..2500).map(|n| (format!("{n}"), String::new())).collect();
    everywhere(ONE, async |c| {
        let (b, other) = (c.open("a").await, c.open("b").await);
        c.set_many(b, &pairs).await.unwrap();
        let (_, next) = c.list::<u64>(b, None).await.unwrap();
        refused(c.list(other, next).await);
        refused(c.list(b, next.map(|n| n + 1)).await);
        refused(c.list(b, Some(0)).await);
        c.list(b, next).await.unwrap();
    })
    .await;
    everywhere(TWO, async |c| {
        let (b, other) = (c.open("a").await, c.open("").await);
        c.set_many(b, &pairs).await.unwrap();
        let (_, next) = c.list::<String>(b, None).await.unwrap();
        refused(c.list(other, next.clone()).await);
        for made_up in ["", "0", "7", "a", "a/", "a/7", "a/x", "default/7"] {
            refused(c.list(b, Some(made_up.to_owned())).await);
        }
        c.list(b, next).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn numbers_are_added() {
    everywhere(ONE, async |c| {
        let b = c.open("n").await;
        assert_eq!(c.increment(b, "k", 1).await, Ok(1));
        assert_eq!(c.increment(b, "k", 41).await, Ok(42));
        assert_eq!(c.increment(b, "k", 0).await, Ok(42));
        assert_eq!(c.get(b, "k").await, Ok(Some(b"42".to_vec())));
        let overflow = Err(Other("the number would not fit in 64 bits".into()));
        assert_eq!(c.increment(b, "k", u64::MAX).await, overflow);
        assert_eq!(c.increment(b, "k", i64::MAX as u64).await, overflow);
        c.set(b, "text", "forty-two").await.unwrap();
        let not_a_number = Err(Other("the value is not a number".into()));
        assert_eq!(c.increment(b, "text", 1).await, not_a_number);
        assert_eq!(c.get(b, "text").await, Ok(Some(b"forty-two".to_vec())));
        c.set(b, "set", "7").await.unwrap();
        assert_eq!(c.increment(b, "set", 1).await, Ok(8));
    })
    .await;
}

/// All that is in a bucket.
async fn contents(c: &Component, bucket: Handle) -> Vec<(String, Vec<u8>)> {
    let mut contents = Vec::new();
    for key in c.keys(bucket).await {
        let value = c.get(bucket, &key).await.unwrap().unwrap();
        contents.push((key, value));
    }
    contents
}

#[tokio::test]
async fn an_increment_that_fails_changes_nothing() {
    const OVERFLOW: &str = "the number would not fit in 64 bits";
    const NOT_A_NUMBER: &str = "the value is not a number";
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
    everywhere(ONE, async |c| {
        for bucket in ["default", "n"] {
            let b = c.open(bucket).await;
            for (stored, by, want) in cases {
                match stored {
                    Some(text) => c.set(b, "k", text).await.unwrap(),
                    None => c.delete(b, "k").await.unwrap(),
                }
                let before = contents(&c, b).await;
                let sum = c.increment(b, "k", by).await;
                let what = format!("{stored:?} + {by} in {bucket}");
                assert_eq!(sum, want.map_err(|text| Other(text.into())), "{what}");
                let after = contents(&c, b).await;
                match want {
                    Ok(sum) => assert_eq!(after, [("k".into(), sum.to_string().into())], "{what}"),
                    Err(_) => assert_eq!(after, before, "{what}"),
                }
            }
        }
    })
    .await;
    // With a sign there is more that fits.
    let cases = [
        (Some("-5"), 3, Ok(-2)),
        (None, i64::MIN, Ok(i64::MIN)),
        (Some("-1"), i64::MIN, Err(OVERFLOW)),
        (Some(max.as_str()), 1, Err(OVERFLOW)),
        (Some("text"), -1, Err(NOT_A_NUMBER)),
    ];
    everywhere(TWO, async |c| {
        let b = c.open("n").await;
        for (stored, by, want) in cases {
            match stored {
                Some(text) => c.set(b, "k", text).await.unwrap(),
                None => c.delete(b, "k").await.unwrap(),
            }
            let sum = c.increment_signed(b, "k", by).await;
            let what = format!("{stored:?} + {by}");
            assert_eq!(sum, want.map_err(|text| Other(text.into())), "{what}");
            let left = match want {
                Ok(sum) => Some(sum.to_string().into()),
                Err(_) => stored.map(|text| text.as_bytes().to_vec()),
            };
            assert_eq!(c.get(b, "k").await, Ok(left), "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_too_large_changes_nothing() {
    const KEY: usize = 64 << 10;
    const VALUE: usize = 64 << 20;
    let too_long = "k".repeat(KEY + 1);
    let longest = "k".repeat(KEY);
    let too_large = "v".repeat(VALUE + 1);
    everywhere(TWO, async |c| {
        let name: Result<Handle, Other> = c.call("open", (too_long.as_str(),)).await.unwrap();
        assert!(
            name.unwrap_err()
                .0
                .contains("the bucket's name has 65537 bytes")
        );
        let b = c.open("large").await;
        c.set(b, &longest, "as long as can be").await.unwrap();
        c.set(b, "a", "1").await.unwrap();
        c.delete(b, &longest).await.unwrap();
        let before = contents(&c, b).await;
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let cas: Result<Handle, Other> = c.call("cas.new", (b, "a")).await.unwrap();
        let swap: Result<(), CasError> = {
            let value = ByteList(too_large.clone().into());
            c.call("swap", (cas.unwrap(), value)).await.unwrap()
        };
        let Err(CasError::Store(swap)) = swap else {
            panic!("{swap:?}")
        };
        let many = c.set_many(b, &[pair("a", "2"), pair(&too_long, "")]).await;
        let values = c
            .set_many(b, &[pair("a", "2"), pair("b", &too_large)])
            .await;
        let failures = [
            (c.set(b, &too_long, "").await.unwrap_err(), "the key"),
            (c.set(b, "a", &too_large).await.unwrap_err(), "the value"),
            (c.get(b, &too_long).await.unwrap_err(), "the key"),
            (c.exists(b, &too_long).await.unwrap_err(), "the key"),
            (c.delete(b, &too_long).await.unwrap_err(), "the key"),
            (
                c.increment_signed(b, &too_long, 1).await.unwrap_err(),
                "the key",
            ),
            (many.unwrap_err(), "the key"),
            (values.unwrap_err(), "the value"),
            (
                c.delete_many(b, &["a".into(), too_long.clone()])
                    .await
                    .unwrap_err(),
                "the key",
            ),
            (swap, "the value"),
        ];
        for (error, what) in failures {
            let (bytes, most) = match what {
                "the key" => (KEY + 1, KEY),
                _ => (VALUE + 1, VALUE),
            };
            let want = format!("{what} has {bytes} bytes, and may have {most}");
            assert_eq!(error.0, want);
        }
        assert_eq!(contents(&c, b).await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_is_lost() {
    everywhere(ONE, async |c| {
        let b = c.open("n").await;
        let callers: Vec<_> = (0..32)
            .map(|_| {
                let c = c.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        c.increment(b, "k", 1).await.unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!(c.increment(b, "k", 0).await, Ok(320));
    })
    .await;
}

#[tokio::test]
async fn many_keys_at_once() {
    everywhere(ONE, async |c| {
        let b = c.open("m").await;
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        c.set_many(b, &[pair("a", "1"), pair("b", "2"), pair("a", "3")])
            .await
            .unwrap();
        c.set_many(b, &[]).await.unwrap();
        let keys = vec!["b", "missing", "a", "b"];
        let many: Result<Vec<Option<(String, ByteList)>>, Other> =
            c.call("get-many", (b, keys)).await.unwrap();
        let value = |k: &str, v: &str| Some((k.to_owned(), ByteList(v.into())));
        assert_eq!(
            many,
            Ok(vec![
                value("b", "2"),
                None,
                value("a", "3"),
                value("b", "2")
            ])
        );
        let none: Result<Vec<Option<(String, ByteList)>>, Other> =
            c.call("get-many", (b, Vec::<String>::new())).await.unwrap();
        assert_eq!(none, Ok(vec![]));
        c.delete_many(b, &["a".into(), "missing".into()])
            .await
            .unwrap();
        c.delete_many(b, &[]).await.unwrap();
        assert_eq!(c.keys(b).await, ["b"]);
    })
    .await;
}

#[tokio::test]
async fn keys_come_in_pages() {
    everywhere(ONE, async |c| {
        let b = c.open("pages").await;
        let pairs: Vec<_> = (0..2500)
            .map(|n| (format!("key{n:05}"), n.to_string()))
            .collect();
        c.set_many(b, &pairs).await.unwrap();
        c.set(c.open("pagesx").await, "other", "").await.unwrap();
        let mut seen = Vec::new();
        let mut cursor: Option<u64> = None;
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
        assert!(
            seen.iter().eq(pairs.iter().map(|(key, _)| key)),
            "{} keys",
            seen.len()
        );
        assert!(c.keys(b).await.is_empty());
        let unknown = c.list(b, Some(u64::MAX)).await.unwrap_err();
        assert!(unknown.0.contains("cursor"), "{unknown:?}");
    })
    .await;
}

#[tokio::test]
async fn the_second_draft_differs() {
    everywhere(TWO, async |c| {
        let b = c.open("two").await;
        assert_eq!(c.increment_signed(b, "n", -5).await, Ok(-5));
        let pairs: Vec<_> = (0..1500)
            .map(|n| (format!("{n:04}"), String::new()))
            .collect();
        c.set_many(b, &pairs).await.unwrap();
        let (mut count, mut cursor) = (0, None::<String>);
        loop {
            let (page, next) = c.list(b, cursor).await.unwrap();
            count += page.len();
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(count, 1501);
        let many: Result<Vec<(String, Option<ByteList>)>, Other> =
            c.call("get-many", (b, vec!["n", "x"])).await.unwrap();
        assert_eq!(
            many,
            Ok(vec![
                ("n".into(), Some(ByteList(b"-5".into()))),
                ("x".into(), None)
            ])
        );
    })
    .await;
}

#[tokio::test]
async fn a_swap_happens_only_if_nothing_changed() {
    everywhere(TWO, async |c| {
        let b = c.open("cas").await;
        let new = async |key: &str| -> Handle {
            c.call::<Result<Handle, Other>>("cas.new", (b, key))
                .await
                .unwrap()
                .unwrap()
        };
        let swap = async |cas: Handle, value: &str| -> Result<(), CasError> {
            c.call("swap", (cas, ByteList(value.into()))).await.unwrap()
        };
        let current = async |cas: Handle| -> Option<Vec<u8>> {
            let now: Result<Option<ByteList>, Other> = c.call("cas.current", (cas,)).await.unwrap();
            now.unwrap().map(|v| v.0)
        };
        let missing = new("k").await;
        assert_eq!(current(missing).await, None);
        assert_eq!(swap(missing, "first").await, Ok(()));
        // The handle was given away.
        let again = c
            .call::<Result<(), CasError>>("swap", (missing, ByteList(vec![])))
            .await;
        assert!(
            matches!(again, Err(CallError::TypeMismatch(_))),
            "{again:?}"
        );

        let stale = new("k").await;
        c.set(b, "k", "changed").await.unwrap();
        assert_eq!(current(stale).await, Some(b"first".to_vec()));
        let Err(CasError::Failed(fresh)) = swap(stale, "lost").await else {
            panic!("swapped")
        };
        assert_eq!(current(fresh).await, Some(b"changed".to_vec()));
        assert_eq!(swap(fresh, "second").await, Ok(()));
        assert_eq!(c.get(b, "k").await, Ok(Some(b"second".to_vec())));
    })
    .await;
}
