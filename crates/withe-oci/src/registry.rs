//! One repository of one registry: the six requests of the distribution protocol that are needed, and who one is there.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::timeout;

use crate::challenge::{self, Challenge};
use crate::credentials::{self, Credentials};
use crate::digest_of;
use crate::error::OciError;
use crate::http::{
    ANSWER, AnsweredAt, Attempts, BodyError, Call, Http, HttpError, body, is_passing,
    is_same_server, join, next_link, next_page,
};
use crate::settings::Place;

/// The most bytes of a manifest; registries take no more.
pub(crate) const MOST_MANIFEST: u64 = 4 << 20;
/// The most bytes of an answer that is only read for its message, or of a token.
const MOST_ANSWER: u64 = 256 << 10;
/// How much of what a registry says is repeated, in characters.
const SAID: usize = 300;
/// The most pages of a list of tags.
const MOST_PAGES: usize = 100;
/// How long a blob may take to come or go, with all attempts.
const MOST_TIME: Duration = Duration::from_secs(30 * 60);

/// How long all pages of a list of tags may take, with all attempts.
const MOST_LISTING: Duration = Duration::from_secs(5 * 60);

/// The media types of manifests.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

/// The media type of lists of manifests.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The access to a repository that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// A repository.
#[derive(Debug)]
pub(crate) struct Repository {
    http: Http,
    place: Place,
    access: Access,
    /// The folder of Docker's configuration.
    docker: Option<PathBuf>,
    /// The header that says who one is, once the registry has asked.
    authorization: Mutex<Option<HeaderValue>>,
}

/// A token as servers of tokens give it.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

/// A page of a repository's tags.
#[derive(Deserialize)]
struct TagList {
    tags: Option<Vec<String>>,
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Refusal {
    errors: Vec<RefusalEntry>,
}

#[derive(Deserialize)]
struct RefusalEntry {
    code: Option<String>,
    message: Option<String>,
}

impl Repository {
    pub(crate) fn new(http: Http, place: Place, access: Access, docker: Option<PathBuf>) -> Self {
        Self {
            http,
            place,
            access,
            docker,
            authorization: Mutex::default(),
        }
    }

    /// The manifest under a tag or a digest.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be had.
    pub(crate) async fn manifest(&self, name: &str) -> Result<Vec<u8>, OciError> {
        let what = format!("`{}` under `{name}`", self.place.repository);
        let url = self.url(&format!("manifests/{name}"));
        let call = Call::new(Method::GET, url).header(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let bytes = self.get(&call, &what, MOST_MANIFEST, |_| {}).await?;
        match name.contains(':') {
            true => checked(bytes, name, &what),
            false => Ok(bytes),
        }
    }

    /// The manifest under a tag or a digest; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    pub(crate) async fn manifest_if_any(&self, name: &str) -> Result<Option<Vec<u8>>, OciError> {
        if_any(self.manifest(name).await)
    }

    /// The first page of the list of the artefacts whose subject a digest is; `None` if the registry has no such lists.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    pub(crate) async fn referrers(&self, digest: &str) -> Result<Option<Referrers>, OciError> {
        let url = self.url(&format!("referrers/{digest}"));
        match self.more_referrers(digest, url).await {
            // Registries that are older than the request have many ways to say so.
            Err(OciError::Status {
                status: 400 | 405 | 501,
                ..
            }) => Ok(None),
            answer => if_any(answer),
        }
    }

    /// The page of that list at a URL, which is the `next` of the page before.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    pub(crate) async fn more_referrers(
        &self,
        digest: &str,
        url: String,
    ) -> Result<Referrers, OciError> {
        let what = format!("the artefacts beside `{digest}`");
        let call = Call::new(Method::GET, url).header(ACCEPT, HeaderValue::from_static(INDEX));
        let (headers, list) = self.read(&call, &what, MOST_MANIFEST, |_| {}).await?;
        let next = self.next(&call, &headers, &what)?;
        Ok(Referrers { list, next })
    }

    /// The URL of the page that comes after the answer to a call.
    fn next(
        &self,
        call: &Call,
        headers: &HeaderMap,
        what: &str,
    ) -> Result<Option<String>, OciError> {
        let Some(link) = next_link(headers) else {
            return Ok(None);
        };
        let next = next_page(&call.url, &link).map_err(|_| {
            self.protocol(&format!(
                "the list of {what} goes on at `{}`, which cannot be followed",
                shown(&link)
            ))
        })?;
        Ok(Some(next))
    }

    /// The tags of the repository.
    ///
    /// # Errors
    ///
    /// If it is not there, or they cannot be had.
    pub(crate) async fn tags(&self) -> Result<Vec<String>, OciError> {
        let what = format!("the tags of `{}`", self.place.repository);
        within(MOST_LISTING, &what, self.pages_of_tags(&what)).await
    }

    async fn pages_of_tags(&self, what: &str) -> Result<Vec<String>, OciError> {
        let mut tags = Vec::new();
        let mut url = self.url("tags/list");
        for _ in 0..MOST_PAGES {
            let call = Call::new(Method::GET, url);
            let (headers, page) = self.read(&call, what, MOST_MANIFEST, |_| {}).await?;
            let page: TagList = serde_json::from_slice(&page)
                .map_err(|error| self.protocol(&format!("{what} are none: {error}")))?;
            // A repository without tags has `null` there.
            tags.extend(page.tags.unwrap_or_default());
            match self.next(&call, &headers, what)? {
                Some(next) => url = next,
                None => return Ok(tags),
            }
        }
        Err(self.protocol(&format!("{what} are on more than {MOST_PAGES} pages")))
    }

    /// The blob of a digest, of exactly `size` bytes. `seen` is told of each piece how many bytes there were.
    ///
    /// # Errors
    ///
    /// If there is none, it cannot be had, or it is another one.
    pub(crate) async fn blob(
        &self,
        digest: &str,
        size: u64,
        seen: impl FnMut(usize),
    ) -> Result<Vec<u8>, OciError> {
        let what = format!("the blob `{digest}` of `{}`", self.place.repository);
        let call = Call::new(Method::GET, self.url(&format!("blobs/{digest}")));
        let bytes = match self.get(&call, &what, size, seen).await {
            Err(OciError::TooLarge { what, most }) => {
                return Err(OciError::Damaged {
                    what,
                    wanted: format!("{most} bytes"),
                    found: "more".into(),
                });
            }
            bytes => bytes?,
        };
        if bytes.len() as u64 != size {
            return Err(OciError::Damaged {
                what,
                wanted: format!("{size} bytes"),
                found: format!("{} bytes", bytes.len()),
            });
        }
        checked(bytes, digest, &what)
    }

    /// Puts a blob where it is not there yet; returns whether it was not.
    ///
    /// # Errors
    ///
    /// If the registry does not take it.
    pub(crate) async fn put_blob(&self, digest: &str, bytes: Bytes) -> Result<bool, OciError> {
        let what = format!("the upload of `{digest}`");
        let putting = async {
            let mut attempts = Attempts::default();
            let mut is_new = false;
            loop {
                // An upload whose answer was lost may have been taken.
                if self.has_blob(digest, &what).await? {
                    return Ok(is_new);
                }
                is_new = true;
                let error = match self.upload(digest, bytes.clone(), &what).await? {
                    Upload::Done => return Ok(true),
                    Upload::Broken(error) => error,
                };
                match attempts.pause(None) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                }
            }
        };
        in_time(&what, putting).await
    }

    async fn has_blob(&self, digest: &str, what: &str) -> Result<bool, OciError> {
        let there = Call::new(Method::HEAD, self.url(&format!("blobs/{digest}")));
        let answer = self.call(&there).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(answer, what).await),
        }
    }

    /// Uploads a blob. Nobody can go on with an upload of which a part may have come, so each attempt begins a new one.
    async fn upload(&self, digest: &str, bytes: Bytes, what: &str) -> Result<Upload, OciError> {
        let begun = self
            .call(&Call::new(Method::POST, self.url("blobs/uploads/")))
            .await?;
        if begun.status() != StatusCode::ACCEPTED {
            return Err(self.refused(begun, what).await);
        }
        let location = begun.headers().get(LOCATION).map(HeaderValue::to_str);
        let Some(Ok(location)) = location else {
            return Err(self.protocol("it says not where an upload goes"));
        };
        let (url, _) = join(&self.url(""), location).map_err(|e| self.unreachable(e))?;
        let separator = if url.contains('?') { '&' } else { '?' };
        let digest = utf8_percent_encode(digest, NON_ALPHANUMERIC);
        let url = format!("{url}{separator}digest={digest}");
        let put = Call::new(Method::PUT, url)
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            )
            .body(bytes)
            .once();
        match self.call(&put).await {
            Ok(answer) if answer.status() == StatusCode::CREATED => Ok(Upload::Done),
            Ok(answer) if is_passing(answer.status()) => {
                Ok(Upload::Broken(self.refused(answer, what).await))
            }
            Ok(answer) => Err(self.refused(answer, what).await),
            Err(error @ OciError::Unreachable { .. }) => Ok(Upload::Broken(error)),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest under a tag or its digest.
    ///
    /// # Errors
    ///
    /// If the registry does not take it.
    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        media_type: &'static str,
        bytes: Bytes,
    ) -> Result<(), OciError> {
        let put = Call::new(Method::PUT, self.url(&format!("manifests/{name}")))
            .header(CONTENT_TYPE, HeaderValue::from_static(media_type))
            .body(bytes);
        let what = format!("the manifest `{name}`");
        let putting = async {
            let answer = self.call(&put).await?;
            match answer.status().is_success() {
                true => Ok(()),
                false => Err(self.refused(answer, &what).await),
            }
        };
        in_time(&what, putting).await
    }

    async fn get(
        &self,
        call: &Call,
        what: &str,
        most: u64,
        seen: impl FnMut(usize),
    ) -> Result<Vec<u8>, OciError> {
        let (_, bytes) = self.read(call, what, most, seen).await?;
        Ok(bytes)
    }

    /// Reads something with its headers, again if its connection breaks.
    async fn read(
        &self,
        call: &Call,
        what: &str,
        most: u64,
        mut seen: impl FnMut(usize),
    ) -> Result<(HeaderMap, Vec<u8>), OciError> {
        let reading = async {
            let mut attempts = Attempts::default();
            loop {
                let answer = self.call(call).await?;
                if answer.status() != StatusCode::OK {
                    return Err(self.refused(answer, what).await);
                }
                let headers = answer.headers().clone();
                match body(answer, most, &mut seen).await {
                    Ok(bytes) => return Ok((headers, bytes)),
                    Err(BodyError::TooLarge) => {
                        return Err(OciError::TooLarge {
                            what: what.into(),
                            most,
                        });
                    }
                    Err(BodyError::Http(error)) => match attempts.pause(None) {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => return Err(self.unreachable(error)),
                    },
                }
            }
        };
        in_time(what, reading).await
    }

    /// Makes a request; says who one is if the registry asks.
    async fn call(&self, call: &Call) -> Result<Response<Incoming>, OciError> {
        let known = self.authorization();
        let answer = self.send(call, known.clone()).await?;
        // Another server that a redirect or an upload leads to could name its own server of tokens, and have the password.
        let asked_by_registry = (answer.extensions().get::<AnsweredAt>())
            .is_some_and(|AnsweredAt(url)| self.is_own(url));
        if answer.status() != StatusCode::UNAUTHORIZED || !asked_by_registry {
            return Ok(answer);
        }
        let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter();
        let Some(challenge) = challenge::read(headers.filter_map(|h| h.to_str().ok())) else {
            return Err(self.protocol("it refuses entry, and asks for nothing that would grant it"));
        };
        let said = said(answer).await;
        let (authorization, from) = self.answer(&challenge, said.clone()).await?;
        let answer = self.send(call, Some(authorization.clone())).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let registry = self.place.registry.clone();
            return Err(match from {
                Some(from) => OciError::Unauthorized {
                    registry,
                    from,
                    said,
                },
                None => OciError::NoCredentials { registry, said },
            });
        }
        // A header that a panicking holder left behind is still one.
        let mut known = (self.authorization.lock()).unwrap_or_else(PoisonError::into_inner);
        *known = Some(authorization);
        Ok(answer)
    }

    /// Whether a URL is one of this registry.
    fn is_own(&self, url: &str) -> bool {
        match (self.url("").parse(), url.parse()) {
            (Ok(own), Ok(url)) => is_same_server(&own, &url),
            _ => false,
        }
    }

    fn authorization(&self) -> Option<HeaderValue> {
        let known = self.authorization.lock();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send(
        &self,
        call: &Call,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, OciError> {
        let mut call = call.clone();
        // An upload may go to another server, which is not to know who one is at this one.
        if let Some(authorization) = authorization
            && self.is_own(&call.url)
        {
            call.headers.insert(AUTHORIZATION, authorization);
        }
        let answer = self.http.send(&call).await;
        answer.map_err(|error| self.unreachable(error))
    }

    /// The header that answers a challenge, and where its credentials come from.
    async fn answer(
        &self,
        challenge: &Challenge,
        said: String,
    ) -> Result<(HeaderValue, Option<String>), OciError> {
        let found = self.credentials().await?;
        let (credentials, from) = found.unzip();
        let registry = || self.place.registry.clone();
        let header = match (challenge, &credentials) {
            (Challenge::Basic, Some(Credentials::Password { user, password })) => {
                basic(user, password)
            }
            (Challenge::Basic, Some(Credentials::IdentityToken(token))) => {
                format!("Bearer {token}")
            }
            (Challenge::Basic, None) => {
                return Err(OciError::NoCredentials {
                    registry: registry(),
                    said,
                });
            }
            (
                Challenge::Bearer {
                    realm,
                    service,
                    scope,
                },
                credentials,
            ) => {
                let service = service.as_deref();
                let token = self.token(realm, service, scope.as_deref(), credentials.as_ref());
                match token.await? {
                    Some(token) => format!("Bearer {token}"),
                    None => {
                        return Err(match from {
                            Some(from) => OciError::Unauthorized {
                                registry: registry(),
                                from,
                                said,
                            },
                            None => OciError::NoCredentials {
                                registry: registry(),
                                said,
                            },
                        });
                    }
                }
            }
        };
        let mut header = HeaderValue::try_from(header)
            .map_err(|_| self.protocol("what proves who one is fits into no header"))?;
        header.set_sensitive(true);
        Ok((header, from))
    }

    /// The credentials for this registry.
    async fn credentials(&self) -> Result<Option<(Credentials, String)>, OciError> {
        let Some(folder) = self.docker.clone() else {
            return Ok(None);
        };
        let registry = self.place.registry.clone();
        // A helper is a program that is waited for.
        let finding =
            tokio::task::spawn_blocking(move || credentials::find(&folder, &registry)).await;
        match finding {
            Ok(found) => Ok(found?),
            Err(error) => Err(OciError::Setup(std::io::Error::other(error))),
        }
    }

    /// A token of the server of tokens `realm`; `None` if it refuses one.
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
        credentials: Option<&Credentials>,
    ) -> Result<Option<String>, OciError> {
        if !realm.starts_with("https://") && self.place.scheme == "https" {
            return Err(self.protocol("it has passwords sent without TLS"));
        }
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let own_scope = format!("repository:{}:{actions}", self.place.repository);
        // A registry may ask for less than is needed next: the first request of a push only looks.
        let mut parameters = vec![("scope", own_scope.as_str())];
        let others = scope.filter(|scope| *scope != own_scope);
        parameters.extend(others.map(|scope| ("scope", scope)));
        parameters.extend(service.map(|service| ("service", service)));
        let call = match credentials {
            Some(Credentials::IdentityToken(token)) => {
                parameters.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "withe"),
                    ("refresh_token", token),
                ]);
                Call::new(Method::POST, realm.into())
                    .header(
                        CONTENT_TYPE,
                        HeaderValue::from_static("application/x-www-form-urlencoded"),
                    )
                    .body(form(&parameters).into())
            }
            other => {
                let separator = if realm.contains('?') { '&' } else { '?' };
                let url = format!("{realm}{separator}{}", form(&parameters));
                let mut call = Call::new(Method::GET, url);
                if let Some(Credentials::Password { user, password }) = other {
                    let mut value = HeaderValue::try_from(basic(user, password))
                        .map_err(|_| self.protocol("a name and password fit into no header"))?;
                    value.set_sensitive(true);
                    call = call.header(AUTHORIZATION, value);
                }
                call
            }
        };
        let answer = self
            .http
            .send(&call)
            .await
            .map_err(|e| self.unreachable(e))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            _ => return Err(self.refused(answer, "a question for a token").await),
        }
        let bytes = match timeout(ANSWER, body(answer, MOST_ANSWER, |_| {})).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(BodyError::Http(error))) => return Err(self.unreachable(error)),
            Ok(Err(BodyError::TooLarge)) => return Err(self.protocol("its token is too large")),
            Err(_) => return Err(self.unreachable(HttpError::Silent(ANSWER))),
        };
        let token: TokenAnswer = serde_json::from_slice(&bytes)
            .map_err(|error| self.protocol(&format!("its token is none: {error}")))?;
        match token.token.or(token.access_token) {
            Some(token) => Ok(Some(token)),
            None => Err(self.protocol("its server of tokens gives none")),
        }
    }

    fn url(&self, rest: &str) -> String {
        let Place {
            scheme,
            address,
            repository,
            ..
        } = &self.place;
        format!("{scheme}://{address}/v2/{repository}/{rest}")
    }

    fn unreachable(&self, source: HttpError) -> OciError {
        OciError::Unreachable {
            registry: self.place.registry.clone(),
            source,
        }
    }

    fn protocol(&self, why: &str) -> OciError {
        OciError::Protocol {
            registry: self.place.registry.clone(),
            why: why.into(),
        }
    }

    async fn refused(&self, answer: Response<Incoming>, what: &str) -> OciError {
        let registry = self.place.registry.clone();
        let status = answer.status();
        let said = said(answer).await;
        match status {
            StatusCode::NOT_FOUND => OciError::NotFound {
                registry,
                what: what.into(),
                said,
            },
            StatusCode::FORBIDDEN => OciError::Denied {
                registry,
                repository: self.place.repository.clone(),
                said,
            },
            status => OciError::Status {
                registry,
                status: status.as_u16(),
                what: what.into(),
                said,
            },
        }
    }
}

/// A page of the list of the artefacts beside a digest.
#[derive(Debug)]
pub(crate) struct Referrers {
    /// The list: an image index.
    pub(crate) list: Vec<u8>,
    /// The URL of the next page.
    pub(crate) next: Option<String>,
}

/// Nothing, where there is nothing.
fn if_any<T>(answer: Result<T, OciError>) -> Result<Option<T>, OciError> {
    match answer {
        Ok(bytes) => Ok(Some(bytes)),
        Err(OciError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A digest that can be checked, in lower case.
pub(crate) fn of_sha256(digest: &str) -> Result<String, OciError> {
    let digits = digest.strip_prefix("sha256:");
    let is_one = |d: &&str| d.len() == 64 && d.bytes().all(|d| d.is_ascii_hexdigit());
    match digits.filter(is_one) {
        Some(digits) => Ok(format!("sha256:{}", digits.to_ascii_lowercase())),
        None => Err(OciError::Algorithm(digest.into())),
    }
}

/// The outcome of an upload.
enum Upload {
    Done,
    /// Another attempt may have another outcome.
    Broken(OciError),
}

/// The outcome of something that takes no longer than anything may.
async fn in_time<T>(
    what: &str,
    work: impl Future<Output = Result<T, OciError>>,
) -> Result<T, OciError> {
    within(MOST_TIME, what, work).await
}

async fn within<T>(
    most: Duration,
    what: &str,
    work: impl Future<Output = Result<T, OciError>>,
) -> Result<T, OciError> {
    match timeout(most, work).await {
        Ok(result) => result,
        Err(_) => Err(OciError::TooLong {
            what: what.into(),
            seconds: most.as_secs(),
        }),
    }
}

/// The message of an answer, as the end of one of our own.
async fn said(answer: Response<Incoming>) -> String {
    let Ok(Ok(bytes)) = timeout(ANSWER, body(answer, MOST_ANSWER, |_| {})).await else {
        return String::new();
    };
    let text = match serde_json::from_slice::<Refusal>(&bytes) {
        Ok(refusal) => {
            let entries = refusal.errors.into_iter();
            let texts = entries.filter_map(|entry| entry.message.or(entry.code));
            texts.collect::<Vec<_>>().join("; ")
        }
        // Pages for browsers say nothing here.
        Err(_) => String::new(),
    };
    match shown(&text).trim() {
        "" => String::new(),
        shown => format!(" (it says: {shown})"),
    }
}

/// As much of a text of the registry as messages repeat.
fn shown(text: &str) -> String {
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(SAID).collect()
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn form(parameters: &[(&str, &str)]) -> String {
    let parameters = parameters.iter().map(|(key, value)| {
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        format!("{key}={value}")
    });
    parameters.collect::<Vec<_>>().join("&")
}

/// The bytes, if they have the digest.
pub(crate) fn checked(bytes: Vec<u8>, digest: &str, what: &str) -> Result<Vec<u8>, OciError> {
    match digest_of(&bytes) {
        found if found == digest => Ok(bytes),
        found => Err(OciError::Damaged {
            what: what.into(),
            wanted: digest.into(),
            found,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tls;
    use crate::shelf::{Shelf, block_on};

    #[test]
    fn only_digests_that_can_be_checked_are_taken() {
        let digits = "AB".repeat(32);
        let lower = format!("sha256:{}", digits.to_lowercase());
        assert_eq!(of_sha256(&format!("sha256:{digits}")).unwrap(), lower);
        assert!(of_sha256(&format!("sha512:{digits}")).is_err());
        assert!(of_sha256("sha256:ab").is_err());
    }

    /// The tags of a repository of a server.
    fn tags(shelf: Shelf) -> Result<Vec<String>, OciError> {
        let (place, _) = shelf.serve("shop");
        block_on(async {
            let http = Http::new(tls().unwrap());
            Repository::new(http, place, Access::Pull, None)
                .tags()
                .await
        })
    }

    #[test]
    fn tags_are_read_from_all_pages_and_not_for_ever() {
        let path = "/v2/shop/tags/list";
        let mut shelf = Shelf::default();
        let second = format!("{path}?last=b");
        let page = |tags: &str| format!("{{\"name\": \"shop\", \"tags\": {tags}}}").into_bytes();
        shelf.put(path, page("[\"a\", \"b\"]"), Some(&second));
        shelf.put(&second, page("[\"c\"]"), None);
        assert_eq!(tags(shelf).unwrap(), ["a", "b", "c"]);

        let mut none = Shelf::default();
        none.put(path, page("null"), None);
        assert!(tags(none).unwrap().is_empty());
        assert!(matches!(
            tags(Shelf::default()),
            Err(OciError::NotFound { .. })
        ));

        let mut round = Shelf::default();
        round.put(path, page("[]"), Some(path));
        assert!(matches!(tags(round), Err(OciError::Protocol { .. })));
        let mut other = Shelf::default();
        other.put(path, b"<html>".to_vec(), None);
        assert!(matches!(tags(other), Err(OciError::Protocol { .. })));
    }
}
