//! Where a cloud's containers are: one bucket that has all of them, or a bucket for each, as wasmCloud v1 has it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, StatusCode};
use object_store::aws::{AmazonS3Builder, AwsAuthorizer};
use object_store::azure::{AzureAuthorizer, MicrosoftAzureBuilder};
use object_store::client::{HttpRequest, HttpService as _};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::sender::Sender;

/// Stores of buckets that are kept at hand.
const KEPT: usize = 256;
/// How often a request is sent again if nobody says.
const RETRIES: usize = 4;
/// How long to wait at most before a request is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Which cloud, and who asks there.
#[derive(Clone, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon S3, and what speaks its protocol.
    S3(S3),
    /// Azure Blob Storage.
    Azure(Azure),
    /// Google Cloud Storage.
    Gcs(Gcs),
}

/// Amazon S3, and what speaks its protocol.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct S3 {
    /// Where it is, if it is not Amazon's.
    pub endpoint: Option<String>,
    /// Where the buckets are, or what the server calls that.
    pub region: String,
    /// The key of whoever asks; without one, the rights of the machine that this runs on.
    pub access_key_id: Option<String>,
    /// Never printed, as the next.
    pub secret_access_key: Option<String>,
    /// The token that belongs to keys which are good for a while.
    pub session_token: Option<String>,
}

/// Azure Blob Storage.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Azure {
    /// Whose the containers are.
    pub account: String,
    /// Never printed.
    pub access_key: Option<String>,
    /// Where it is, if it is not Microsoft's.
    pub endpoint: Option<String>,
}

/// Google Cloud Storage.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Gcs {
    /// A file of a service account.
    pub account_file: Option<String>,
    /// Where it is, if it is not Google's.
    pub endpoint: Option<String>,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(S3 {
                endpoint: Some(endpoint),
                ..
            }) => write!(f, "S3 at `{endpoint}`"),
            Self::S3(s3) => write!(f, "S3 in `{}`", s3.region),
            Self::Azure(azure) => write!(f, "Azure's account `{}`", azure.account),
            Self::Gcs(_) => f.write_str("Google Cloud Storage"),
        }
    }
}

/// A bucket cannot be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The store's configuration is of no use, or who asks cannot be shown.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// There was no answer.
    #[error(transparent)]
    Request(#[from] object_store::client::HttpError),
    /// The bucket's name, or the endpoint, is no part of a URL.
    #[error("the request cannot be made: {0}")]
    Invalid(#[from] http::Error),
    /// The store does not do it.
    #[error("{what} was refused ({status}){}", detail(.text))]
    Refused {
        /// The request.
        what: &'static str,
        /// The store's answer.
        status: StatusCode,
        /// The store's message, if it has one.
        text: String,
    },
    /// There is no request for it here.
    #[error(
        "buckets of Google Cloud Storage are not made here: make one, and name it in `bucket`, in which containers are folders"
    )]
    NotMade,
}

fn detail(text: &str) -> String {
    match text.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

impl BucketError {
    /// Whether who asks may not do it.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                *status == StatusCode::FORBIDDEN || *status == StatusCode::UNAUTHORIZED
            }
            _ => false,
        }
    }

    /// Whether the bucket is there and is that of who asks. A conflict alone does not say so: on S3 a bucket may be
    /// somebody else's, or just being removed.
    fn is_there(&self) -> bool {
        let codes = ["BucketAlreadyOwnedByYou", "ContainerAlreadyExists"];
        match self {
            Self::Refused { status, text, .. } => {
                *status == StatusCode::CONFLICT && codes.iter().any(|code| text.contains(code))
            }
            _ => false,
        }
    }
}

/// Buckets of a cloud.
pub struct Buckets {
    cloud: Cloud,
    sender: Sender,
    limit: Duration,
    /// How often a request is sent again.
    retries: usize,
    /// Other names of buckets.
    aliases: BTreeMap<String, String>,
    stores: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl Buckets {
    /// The buckets of `cloud`, which `sender` asks for. A request that failed for no fault of its own is sent again until
    /// `limit` has passed since it was first sent, so one whose answer is late is not.
    pub fn new(
        cloud: Cloud,
        sender: Sender,
        limit: Duration,
        aliases: BTreeMap<String, String>,
    ) -> Self {
        Self {
            cloud,
            sender,
            limit,
            retries: RETRIES,
            aliases,
            stores: Mutex::default(),
        }
    }

    /// Has a request that failed be sent again so often. One that may have been carried out is sent again too, so those
    /// that must not be carried out twice need 0.
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// Where they are.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The bucket that a container is.
    pub fn name<'a>(&'a self, container: &'a str) -> &'a str {
        self.aliases
            .get(container)
            .map_or(container, String::as_str)
    }

    /// The store of a bucket, whether or not it is there.
    ///
    /// # Errors
    ///
    /// If the configuration is of no use for it.
    pub fn store(&self, container: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
        let name = self.name(container);
        // Nothing panics while the lock is held.
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(name) {
            return Ok(store.clone());
        }
        if stores.len() >= KEPT {
            stores.clear();
        }
        let store = self.open(name)?;
        stores.insert(name.to_owned(), store.clone());
        Ok(store)
    }

    fn retries(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: LONGEST_PAUSE,
                base: 2.,
            },
            max_retries: self.retries,
            retry_timeout: self.limit,
        }
    }

    fn open(&self, name: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
        Ok(match &self.cloud {
            Cloud::S3(s3) => Arc::new(self.s3(s3, name)?),
            Cloud::Azure(azure) => Arc::new(self.azure(azure, name)?),
            Cloud::Gcs(gcs) => {
                let mut builder = GoogleCloudStorageBuilder::new()
                    .with_bucket_name(name)
                    .with_http_connector(self.sender.clone())
                    .with_retry(self.retries());
                if let Some(path) = &gcs.account_file {
                    builder = builder.with_service_account_path(path);
                }
                if let Some(endpoint) = &gcs.endpoint {
                    builder = builder.with_base_url(endpoint);
                }
                Arc::new(builder.build()?)
            }
        })
    }

    fn s3(&self, s3: &S3, name: &str) -> object_store::Result<object_store::aws::AmazonS3> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(&s3.region)
            // A server under an endpoint of one's own rarely has names for its buckets.
            .with_virtual_hosted_style_request(false)
            .with_allow_http(true)
            .with_http_connector(self.sender.clone())
            .with_retry(self.retries());
        if let Some(endpoint) = &s3.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        if let (Some(id), Some(secret)) = (&s3.access_key_id, &s3.secret_access_key) {
            builder = builder
                .with_access_key_id(id)
                .with_secret_access_key(secret);
        }
        if let Some(token) = &s3.session_token {
            builder = builder.with_token(token);
        }
        builder.build()
    }

    fn azure(
        &self,
        azure: &Azure,
        name: &str,
    ) -> object_store::Result<object_store::azure::MicrosoftAzure> {
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(&azure.account)
            .with_container_name(name)
            .with_allow_http(true)
            .with_http_connector(self.sender.clone())
            .with_retry(self.retries());
        if let Some(key) = &azure.access_key {
            builder = builder.with_access_key(key);
        }
        if let Some(endpoint) = &azure.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        builder.build()
    }

    /// Makes a bucket; one that is there stays.
    ///
    /// # Errors
    ///
    /// If the store does not make it, or does not answer.
    pub async fn make(&self, container: &str) -> Result<(), BucketError> {
        let what = "making the bucket";
        match self.ask(Method::PUT, container, what, &[]).await {
            Err(error) if error.is_there() => Ok(()),
            made => made,
        }
    }

    /// Removes a bucket that has no objects.
    ///
    /// # Errors
    ///
    /// If the store does not remove it, or does not answer.
    pub async fn remove(&self, container: &str) -> Result<(), BucketError> {
        let gone = [StatusCode::NOT_FOUND];
        let what = "removing the bucket";
        self.ask(Method::DELETE, container, what, &gone).await
    }

    async fn ask(
        &self,
        method: Method,
        container: &str,
        what: &'static str,
        fine: &[StatusCode],
    ) -> Result<(), BucketError> {
        let name = self.name(container);
        let request = match &self.cloud {
            Cloud::S3(s3) => self.s3_request(s3, &method, name).await?,
            Cloud::Azure(azure) => self.azure_request(azure, &method, name).await?,
            Cloud::Gcs(_) => return Err(BucketError::NotMade),
        };
        let response = self.sender.call(request).await?;
        let status = response.status();
        if status.is_success() || fine.contains(&status) {
            return Ok(());
        }
        let text = response.into_body().bytes().await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        Err(BucketError::Refused {
            what,
            status,
            text: text.chars().take(300).collect(),
        })
    }

    async fn s3_request(
        &self,
        s3: &S3,
        method: &Method,
        name: &str,
    ) -> Result<HttpRequest, BucketError> {
        let endpoint = match &s3.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://s3.{}.amazonaws.com", s3.region),
        };
        // In its own region a bucket is made without being told so, and elsewhere not.
        let body = match *method == Method::PUT && s3.endpoint.is_none() && s3.region != "us-east-1"
        {
            true => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
                s3.region
            ),
            false => String::new(),
        };
        let mut request = request(method, &format!("{endpoint}/{}", encoded(name)), body)?;
        let store = self.s3(s3, name)?;
        let credential = store.credentials().get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &s3.region).try_authorize(&mut request, None)?;
        Ok(request)
    }

    async fn azure_request(
        &self,
        azure: &Azure,
        method: &Method,
        name: &str,
    ) -> Result<HttpRequest, BucketError> {
        let endpoint = match &azure.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{}.blob.core.windows.net", azure.account),
        };
        let url = format!("{endpoint}/{}?restype=container", encoded(name));
        let mut request = request(method, &url, String::new())?;
        let store = self.azure(azure, name)?;
        let credential = store.credentials().get_credential().await?;
        AzureAuthorizer::new(&credential, &azure.account).try_authorize(&mut request)?;
        Ok(request)
    }
}

fn request(method: &Method, url: &str, body: String) -> Result<HttpRequest, http::Error> {
    let body = Bytes::from(body);
    http::Request::builder()
        .method(method)
        .uri(url)
        .header(CONTENT_LENGTH, HeaderValue::from(body.len()))
        .body(body.into())
}

fn encoded(name: &str) -> String {
    const PLAIN: &percent_encoding::AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(name, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bucket_of_ones_own_is_there() {
        let refused = |status, text: &str| BucketError::Refused {
            what: "making the bucket",
            status,
            text: text.into(),
        };
        let conflict = StatusCode::CONFLICT;
        assert!(refused(conflict, "<Code>BucketAlreadyOwnedByYou</Code>").is_there());
        assert!(refused(conflict, "<Code>ContainerAlreadyExists</Code>").is_there());
        assert!(!refused(conflict, "<Code>BucketAlreadyExists</Code>").is_there());
        assert!(!refused(conflict, "<Code>ContainerBeingDeleted</Code>").is_there());
        assert!(!refused(conflict, "").is_there());
        assert!(!refused(StatusCode::FORBIDDEN, "BucketAlreadyOwnedByYou").is_there());
    }
}
