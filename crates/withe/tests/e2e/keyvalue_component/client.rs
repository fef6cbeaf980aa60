//! An application with the provider, and what one does with it: requests to the component `kv-table`, which makes the
//! calls.

use std::path::{Path, PathBuf};

use withe_testing::keyvalue::{Answer, Cursor, Draft, KeyValue, NotSwapped};

use crate::support::Folder;
use crate::support::client::Exchange;
use crate::support::guest;
use crate::support::manifest::{application, entry, http_servers};
use crate::support::process::Up;

/// One instance for all requests, which keeps what it was given.
const KEPT: &str = ", reuse: 1000000";
const ONE: &str = "{type: spreadscaler, properties: {instances: 1}}";

/// The provider's component.
pub(crate) fn image() -> PathBuf {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let image = tree.join("providers/keyvalue-component/build/keyvalue.wasm");
    assert!(
        image.is_file(),
        "{} is not built: run `cargo xtask guests`",
        image.display()
    );
    image
}

/// The entry of the provider, with these properties besides its image.
pub(crate) fn kv(properties: &str) -> String {
    let image = image().display().to_string();
    entry(
        "kv",
        "capability",
        &format!("image: {image:?}, {properties}"),
        &[],
    )
}

/// A configuration of the provider.
pub(crate) fn configured(pairs: &str) -> String {
    format!("config: [{{name: data, properties: {{{pairs}}}}}]")
}

/// A component that calls the provider over `link`, with one instance or as many as there are requests.
pub(crate) fn table(name: &str, link: &str, is_one: bool) -> String {
    let image = guest("kv-table").display().to_string();
    let kept = if is_one { KEPT } else { "" };
    let link = format!("target: kv{link}");
    let entry = entry(
        name,
        "component",
        &format!("image: {image:?}{kept}"),
        &[&link],
    );
    match is_one {
        true => entry.replace("traits: [", &format!("traits: [{ONE}, ")),
        false => entry,
    }
}

/// An application of one caller, over `link`, and the provider.
pub(crate) fn app(link: &str, is_one: bool, provider: &str) -> String {
    let callers = [http_servers(&["table"]), table("table", link, is_one)];
    application(&[callers.concat(), kv(provider)])
}

/// A running application.
pub(crate) struct Running {
    pub(crate) up: Up,
    pub(crate) folder: Folder,
}

impl Running {
    pub(crate) fn start(manifest: &str, options: &[&str]) -> Self {
        let folder = Folder::with(manifest);
        let mut command = folder.command(&[&["up", "app.yaml"], options].concat());
        // So that what is too large reaches the provider.
        command.env("WITHE_MAX_PAYLOAD", "256MiB");
        let up = Up::start(command);
        Self { up, folder }
    }

    /// The one caller.
    pub(crate) fn client(&self, draft: Draft) -> Client {
        let [address] = self.up.addresses(["table"]);
        Client { address, draft }
    }
}

/// One caller, in one draft.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: String,
    pub(crate) draft: Draft,
}

impl Client {
    /// Has a function called; returns the status and the fields of the answer.
    pub(crate) fn post(&self, fields: &[&[u8]]) -> (u16, Vec<Vec<u8>>) {
        let mut bytes = Vec::new();
        for field in fields {
            let length = u32::try_from(field.len()).unwrap();
            bytes.extend(length.to_le_bytes());
            bytes.extend(*field);
        }
        let mut exchange = Exchange::start(&self.address, "POST /", bytes.len()).unwrap();
        exchange.send(&bytes).unwrap();
        let status = exchange.status().unwrap();
        let mut body = Vec::new();
        while let Some(part) = exchange.part().unwrap() {
            body.extend(part);
        }
        let answer = match status {
            200 => split(&body),
            _ => vec![body],
        };
        (status, answer)
    }

    /// The same, of a function of a bucket that is to answer.
    fn ask(&self, function: &str, bucket: &str, params: &[&[u8]]) -> Answer<Vec<Vec<u8>>> {
        let draft = match self.draft {
            Draft::One => "1",
            Draft::Two => "2",
        };
        let head = [function, draft, bucket].map(str::as_bytes);
        let (status, mut answer) = self.post(&[&head, params].concat());
        assert_eq!(status, 200, "{function}: {answer:?}");
        let results = answer.split_off(1);
        match text(&answer[0]).as_str() {
            "ok" => Ok(results),
            "cas-failed" => Err(format!("cas-failed {}", text(&results[0]))),
            _ => Err(text(&results[0])),
        }
    }

    /// The default bucket's value of a key.
    pub(crate) fn value(&self, key: &str) -> Answer<Option<String>> {
        let got = self.ask("get", "", &[key.as_bytes()])?;
        Ok(optional(&got[0]).map(|value| text(&value)))
    }

    /// Sets a key of the default bucket.
    pub(crate) fn put(&self, key: &str, value: &str) -> Answer<()> {
        let set = self.ask("set", "", &[key.as_bytes(), value.as_bytes()]);
        set.map(drop)
    }
}

fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (field, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        fields.push(field.to_vec());
        bytes = rest;
    }
    fields
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn optional(field: &[u8]) -> Option<Vec<u8>> {
    field.strip_prefix(b"+").map(<[u8]>::to_vec)
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(field: &[u8]) -> T {
    text(field).parse().unwrap()
}

impl KeyValue for Client {
    type Bucket = String;
    type Cas = String;

    fn draft(&self) -> Draft {
        self.draft
    }

    async fn open(&self, name: &str) -> Answer<String> {
        self.ask("open", name, &[]).map(|_| name.to_owned())
    }

    async fn get(&self, bucket: &String, key: &str) -> Answer<Option<Vec<u8>>> {
        let got = self.ask("get", bucket, &[key.as_bytes()])?;
        Ok(optional(&got[0]))
    }

    async fn set(&self, bucket: &String, key: &str, value: &str) -> Answer<()> {
        let set = self.ask("set", bucket, &[key.as_bytes(), value.as_bytes()]);
        set.map(drop)
    }

    async fn delete(&self, bucket: &String, key: &str) -> Answer<()> {
        self.ask("delete", bucket, &[key.as_bytes()]).map(drop)
    }

    async fn exists(&self, bucket: &String, key: &str) -> Answer<bool> {
        let exists = self.ask("exists", bucket, &[key.as_bytes()])?;
        Ok(number(&exists[0]))
    }

    async fn list(
        &self,
        bucket: &String,
        cursor: Option<Cursor>,
    ) -> Answer<(Vec<String>, Option<Cursor>)> {
        let cursor = match cursor {
            Some(Cursor::Number(number)) => format!("+{number}"),
            Some(Cursor::Text(text)) => format!("+{text}"),
            None => String::new(),
        };
        let page = self.ask("list", bucket, &[cursor.as_bytes()])?;
        let keys = page[1..].iter().map(|key| text(key)).collect();
        let next = optional(&page[0]).map(|next| match self.draft {
            Draft::One => Cursor::Number(number(&next)),
            Draft::Two => Cursor::Text(text(&next)),
        });
        Ok((keys, next))
    }

    async fn increment(&self, bucket: &String, key: &str, by: u64) -> Answer<u64> {
        let by = by.to_string();
        let sum = self.ask("increment", bucket, &[key.as_bytes(), by.as_bytes()])?;
        Ok(number(&sum[0]))
    }

    async fn increment_signed(&self, bucket: &String, key: &str, by: i64) -> Answer<i64> {
        let by = by.to_string();
        let sum = self.ask("increment", bucket, &[key.as_bytes(), by.as_bytes()])?;
        Ok(number(&sum[0]))
    }

    async fn get_many(
        &self,
        bucket: &String,
        keys: &[&str],
    ) -> Answer<Vec<(Option<String>, Option<Vec<u8>>)>> {
        let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
        let pairs = self.ask("get-many", bucket, &keys)?;
        let pairs = pairs.chunks(2).map(|pair| {
            let key = optional(&pair[0]).map(|key| text(&key));
            (key, optional(&pair[1]))
        });
        Ok(pairs.collect())
    }

    async fn set_many(&self, bucket: &String, pairs: &[(String, String)]) -> Answer<()> {
        let pairs = pairs.iter().flat_map(|(key, value)| [key, value]);
        let pairs: Vec<_> = pairs.map(|text| text.as_bytes()).collect();
        self.ask("set-many", bucket, &pairs).map(drop)
    }

    async fn delete_many(&self, bucket: &String, keys: &[String]) -> Answer<()> {
        let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
        self.ask("delete-many", bucket, &keys).map(drop)
    }

    async fn cas(&self, bucket: &String, key: &str) -> Answer<String> {
        let moment = self.ask("cas", bucket, &[key.as_bytes()])?;
        Ok(text(&moment[0]))
    }

    async fn current(&self, cas: &String) -> Answer<Option<Vec<u8>>> {
        let current = self.ask("current", "", &[cas.as_bytes()])?;
        Ok(optional(&current[0]))
    }

    async fn swap(&self, cas: String, value: &str) -> Result<(), NotSwapped<String>> {
        let swapped = self.ask("swap", "", &[cas.as_bytes(), value.as_bytes()]);
        swapped
            .map(drop)
            .map_err(|why| match why.strip_prefix("cas-failed ") {
                Some(moment) => NotSwapped::Changed(moment.to_owned()),
                None => NotSwapped::Store(why),
            })
    }
}
