//! The paths of the page's server, and what each answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use withe_host::FunctionPath;
use withe_node::calls::{CallableFunction, Calls};

use super::assets;
use super::guard::Guard;
use super::hub::{Following, Hub, Looker, Looks};
use crate::known_secrets::known_secrets;

/// The most pages that follow at a time.
const PAGES: usize = 24;
/// The longest that a page follows before it has to ask again.
const FOLLOWS: Duration = Duration::from_secs(900);
/// How often a page is told that the server is there, when nothing happens.
const ALIVE: Duration = Duration::from_secs(15);
/// The most bytes of a request's body.
const BODY: usize = 1 << 20;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The most calls at a time.
const CALLS: usize = 4;
/// How long a call may take.
const CALL_TIME: Duration = Duration::from_secs(30);

/// The sources that a page may load from: this server alone, and nothing that is written into the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers of all answers.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Answer = Response<Body>;

/// The server's side of the page.
pub(super) struct Api {
    hub: Hub,
    guard: Guard,
    calls: Option<Calls>,
    pages: Arc<Semaphore>,
    calling: Arc<Semaphore>,
}

/// Why a request is not answered as it was meant.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    why: String,
}

impl Failure {
    fn new(status: StatusCode, why: impl ToString) -> Self {
        let why = why.to_string();
        Self { status, why }
    }
}

#[derive(Serialize)]
struct About {
    version: &'static str,
    /// Whether exports can be called by this page.
    calls: bool,
}

#[derive(Serialize)]
struct Function {
    interface: Option<String>,
    name: String,
    wit: String,
    params: Vec<Param>,
    result: Option<String>,
}

#[derive(Serialize)]
struct Param {
    name: String,
    #[serde(rename = "type")]
    ty: String,
}

impl From<CallableFunction> for Function {
    fn from(function: CallableFunction) -> Self {
        let params = function.params.into_iter();
        Self {
            interface: function.interface,
            name: function.name,
            wit: function.wit,
            params: params.map(|(name, ty)| Param { name, ty }).collect(),
            result: function.result,
        }
    }
}

/// A call that a page wants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedCall {
    application: String,
    component: String,
    #[serde(default)]
    interface: Option<String>,
    function: String,
    /// In WAVE or JSON, without the parentheses around them.
    #[serde(default)]
    arguments: String,
}

/// The outcome of the call.
#[derive(Serialize)]
struct Called {
    /// The result in WAVE; empty if there is none.
    result: String,
    /// How long it took, in nanoseconds.
    nanos: u64,
}

impl Api {
    pub(super) fn new(hub: Hub, guard: Guard, calls: Option<Calls>) -> Self {
        Self {
            hub,
            guard,
            calls,
            pages: Arc::new(Semaphore::new(PAGES)),
            calling: Arc::new(Semaphore::new(CALLS)),
        }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let is_head = request.method() == Method::HEAD;
        let answered = self.routed(request).await;
        let mut answer = answered.unwrap_or_else(|Failure { status, why }| {
            #[derive(Serialize)]
            struct Problem {
                error: String,
            }
            let mut answer = json(&Problem { error: why });
            *answer.status_mut() = status;
            answer
        });
        for (name, value) in HEADERS {
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        if is_head {
            *answer.body_mut() = whole(Bytes::new());
        }
        answer
    }

    async fn routed(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        let refused = |why| Failure::new(StatusCode::FORBIDDEN, why);
        self.guard.check(request.headers()).map_err(refused)?;
        let (method, path) = (request.method(), request.uri().path());
        let query = Query::of(request.uri().query().unwrap_or_default());
        let asset = assets::find(path);
        if asset.is_none() {
            let secret = query.get("token");
            let checked = self.guard.check_secret(request.headers(), secret);
            checked.map_err(refused)?;
        }
        if path == "/api/call" {
            if method != Method::POST {
                return Err(Failure::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "a call is a POST",
                ));
            }
            self.guard.check_call(request.headers()).map_err(refused)?;
            return self.call(request).await;
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "only GET"));
        }
        if let Some(asset) = asset {
            return Ok(with_type(
                Bytes::from_static(asset.bytes.as_bytes()),
                asset.content_type,
            ));
        }
        let trace = path.strip_prefix("/api/traces/");
        Ok(match path {
            "/api/about" => json(&About {
                version: env!("CARGO_PKG_VERSION"),
                calls: self.guard.allows_calls(),
            }),
            "/api/live" => self.live()?,
            "/api/functions" => json(&self.functions(&query)?),
            "/api/lattice" => {
                let _looker = self.fresh(Looks::One).await?;
                json(&self.hub.memory().state)
            }
            "/api/rates" => {
                let _looker = self.fresh(Looks::ToCompare).await?;
                json(&self.hub.memory().rates)
            }
            "/api/lines" => {
                let _looker = self.fresh(Looks::One).await?;
                let memory = self.hub.memory();
                let (application, part) = (query.get("application"), query.get("part"));
                let is_wanted = |given: &Option<String>, wanted: Option<&str>| {
                    wanted.is_none_or(|wanted| given.as_deref() == Some(wanted))
                };
                let lines = memory.lines.iter().filter(|one| {
                    is_wanted(&one.line.application, application) && is_wanted(&one.line.part, part)
                });
                json(&lines.collect::<Vec<_>>())
            }
            "/api/events" => json(&self.hub.memory().events),
            "/api/traces" => {
                let _looker = self.fresh(Looks::One).await?;
                json(&self.hub.memory().traces.summaries())
            }
            _ => {
                let spans = trace.and_then(|id| self.hub.memory().traces.spans(id));
                let none = || match trace {
                    Some(_) => "no such trace is kept, or is kept any more",
                    None => "there is no such path: see docs/observability.md",
                };
                json(&spans.ok_or_else(|| Failure::new(StatusCode::NOT_FOUND, none()))?)
            }
        })
    }

    /// Has what there is looked at now.
    async fn fresh(&self, looks: Looks) -> Result<Looker, Failure> {
        let looker = self.hub.fresh(looks).await;
        let memory = self.hub.memory();
        if let Some(why) = &memory.trouble {
            return Err(Failure::new(StatusCode::BAD_GATEWAY, why));
        }
        if !memory.is_seen {
            let why = "the lattice does not answer";
            return Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, why));
        }
        Ok(looker)
    }

    /// Sends events as they happen.
    fn live(&self) -> Result<Answer, Failure> {
        let permit = self.pages.clone().try_acquire_owned();
        let permit = permit.map_err(|_| {
            let why = format!("{PAGES} pages follow already: close some");
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, why)
        })?;
        let (following, all) = self.hub.follow();
        let follower = Follower {
            following,
            hub: self.hub.clone(),
            ready: all.into(),
            until: Instant::now() + FOLLOWS,
            _permit: permit,
        };
        let frames = stream::unfold(follower, async |mut follower| {
            let message = follower.next().await?;
            Some((Ok(Frame::data(message)), follower))
        });
        let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
        let kind = HeaderValue::from_static("text/event-stream");
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        Ok(answer)
    }

    fn functions(&self, query: &Query) -> Result<Vec<Function>, Failure> {
        let calls = self.calls.as_ref().ok_or_else(|| {
            let why =
                "this page can call nothing: see `--ui-allow-calls` of `withe up` and `withe host`";
            Failure::new(StatusCode::FORBIDDEN, why)
        })?;
        let (Some(application), Some(component)) =
            (query.get("application"), query.get("component"))
        else {
            let why = "`application` and `component` say whose functions are meant";
            return Err(Failure::new(StatusCode::BAD_REQUEST, why));
        };
        let functions = calls.functions(application, component);
        let functions = functions.map_err(|why| Failure::new(StatusCode::NOT_FOUND, why))?;
        Ok(functions.into_iter().map(Function::from).collect())
    }

    async fn call(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        let refused = |why: String| Failure::new(StatusCode::BAD_REQUEST, why);
        let Ok(_permit) = self.calling.clone().try_acquire_owned() else {
            let why = format!("{CALLS} calls are under way already");
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, why));
        };
        let body = Limited::new(request.into_body(), BODY).collect();
        let body = timeout(BODY_TIME, body).await;
        let body = body.map_err(|_| refused("the call did not come within 10 s".into()))?;
        let body = body.map_err(|why| refused(format!("the call cannot be read: {why}")))?;
        let wanted: WantedCall = serde_json::from_slice(&body.to_bytes())
            .map_err(|why| refused(format!("the call cannot be read: {why}")))?;
        let Some(calls) = &self.calls else {
            return Err(Failure::new(StatusCode::FORBIDDEN, "calls are not allowed"));
        };
        let path = FunctionPath {
            interface: wanted.interface,
            function: wanted.function,
        };
        let began = std::time::Instant::now();
        let called = calls.call(
            &wanted.application,
            &wanted.component,
            path,
            &wanted.arguments,
            CALL_TIME,
        );
        let result = called.await;
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match result {
            Ok(result) => Ok(json(&Called { result, nanos })),
            Err(why) => Err(uncalled(&why.to_string())),
        }
    }
}

/// A call that failed. The reason may have a component's secrets in it.
fn uncalled(why: &str) -> Failure {
    let why = known_secrets().mask(why);
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, why)
}

/// A page that follows.
struct Follower {
    following: Following,
    hub: Hub,
    /// The messages that a page is sent first.
    ready: std::collections::VecDeque<Bytes>,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next message; `None` when it is to ask again.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        let alive = (Instant::now() + ALIVE).min(self.until);
        match timeout_at(alive, self.following.told.recv()).await {
            Ok(Ok(message)) => Some(message),
            Ok(Err(RecvError::Lagged(_))) => {
                // In the place of what it missed: all anew.
                self.ready = self.hub.anew(&mut self.following).into();
                Some(Bytes::from_static(b"event: anew\ndata: {}\n\n"))
            }
            Ok(Err(RecvError::Closed)) => None,
            Err(_) if Instant::now() >= self.until => None,
            Err(_) => Some(Bytes::from_static(b": alive\n\n")),
        }
    }
}

/// The names and values of a query.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        let decoded = pairs.map(|(name, value)| (decoded(name), decoded(value)));
        Self(decoded.collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(of, value)| of == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

/// A text of a URL as it was before it was encoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, more @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                match (digit(high), digit(low)) {
                    (Some(high), Some(low)) => {
                        rest = more;
                        // Two digits are a byte.
                        (high * 16 + low) as u8
                    }
                    _ => *first,
                }
            }
            _ => *first,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

fn with_type(bytes: Bytes, content_type: &'static str) -> Answer {
    let mut answer = Response::new(whole(bytes));
    let content_type = HeaderValue::from_static(content_type);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    answer
}

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(bytes) => with_type(bytes.into(), "application/json"),
        Err(error) => {
            let mut answer = with_type(error.to_string().into(), "text/plain");
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hub;
    use super::*;
    use crate::known_secrets::know_secret;

    #[test]
    fn a_failed_call_tells_no_secret() {
        know_secret("a failed call", "the-secret-of-a-call");
        let failure = uncalled("status 401 for `the-secret-of-a-call`");
        assert!(!failure.why.contains("the-secret"), "{failure:?}");
        assert!(failure.why.contains("status 401"), "{failure:?}");
    }

    /// The numbers of the next events that a page is told, without those that were told before all was told anew.
    async fn numbers(follower: &mut Follower, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let message = follower.next().await.unwrap();
            let text = std::str::from_utf8(&message).unwrap();
            if text.starts_with("event: anew\n") {
                numbers.clear();
            } else if let Some(json) = text.strip_prefix("event: events\ndata: ") {
                let events: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
                numbers.extend(events.iter().map(|event| event["time"].as_u64().unwrap()));
            }
        }
        numbers
    }

    #[tokio::test]
    async fn a_page_is_told_each_event_once() {
        let (hub, _tasks) = hub::tests::quiet();
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        hub::tests::event(&hub, 0);
        let (following, all) = hub.follow();
        let mut follower = Follower {
            following,
            hub: hub.clone(),
            ready: all.into(),
            until: Instant::now() + FOLLOWS,
            _permit: permit,
        };
        // Told while what there was is still being told.
        hub::tests::event(&hub, 1);
        assert_eq!(numbers(&mut follower, 2).await, [0, 1]);
        // More than wait for a page: what it missed, and what waits still, are in what is told anew.
        let many = 150;
        for n in 2..many {
            hub::tests::event(&hub, n);
        }
        let wanted: Vec<_> = (0..many).collect();
        let first = follower.next().await.unwrap();
        assert!(first.starts_with(b"event: anew\n"));
        assert_eq!(numbers(&mut follower, wanted.len()).await, wanted);
        hub::tests::event(&hub, many);
        assert_eq!(numbers(&mut follower, 1).await, [many]);
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::of("part=a%20b+c&application=&x&%C3%BC=%zz%4");
        assert_eq!(query.get("part"), Some("a b c"));
        assert_eq!(query.get("application"), None);
        assert_eq!(query.get("x"), None);
        assert_eq!(query.get("ü"), Some("%zz%4"));
    }
}
