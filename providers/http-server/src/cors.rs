//! Cross-origin resource sharing: what browsers are told about scripts from other origins.
//!
//! Pure: header maps in, header maps out. A link without any `cors_*` key has no policy, and then
//! the component alone decides.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method};

/// A link's policy, ready to be copied into responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cors {
    /// Origins that are allowed; all if empty.
    pub(crate) origins: Vec<HeaderValue>,
    /// `access-control-allow-methods`
    pub(crate) methods: HeaderValue,
    /// `access-control-allow-headers`
    pub(crate) headers: HeaderValue,
    /// `access-control-expose-headers`, if there are any.
    pub(crate) exposed: Option<HeaderValue>,
    /// `access-control-max-age`
    pub(crate) max_age: HeaderValue,
}

impl Cors {
    /// Whether a request is a browser asking what it may send.
    pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        *method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The headers that answer a preflight request.
    pub(crate) fn answer_preflight(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if self.allow(request.get(ORIGIN), response) {
            response.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            response.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
            response.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
    }

    /// Adds to a component's response what the browser wants to know. `origin` is the request's.
    pub(crate) fn decorate(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        if self.allow(origin, response)
            && let Some(exposed) = &self.exposed
        {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    /// Says whether `origin` is allowed, and to caches whether that depends on it.
    fn allow(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) -> bool {
        if self.origins.is_empty() {
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return true;
        }
        response.append(VARY, HeaderValue::from_static("origin"));
        match origin {
            Some(origin) if self.origins.contains(origin) => {
                response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(origins: &[&'static str]) -> Cors {
        Cors {
            origins: origins
                .iter()
                .map(|o| HeaderValue::from_static(o))
                .collect(),
            methods: HeaderValue::from_static("GET,PUT"),
            headers: HeaderValue::from_static("x-a"),
            exposed: Some(HeaderValue::from_static("x-b")),
            max_age: HeaderValue::from_static("300"),
        }
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(k, v)| format!("{k}: {}", v.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn preflight_requests_are_answered() {
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, HeaderValue::from_static("https://a.example"));
        assert!(!Cors::is_preflight(&Method::OPTIONS, &request));
        request.insert(
            ACCESS_CONTROL_REQUEST_METHOD,
            HeaderValue::from_static("PUT"),
        );
        assert!(Cors::is_preflight(&Method::OPTIONS, &request));
        assert!(!Cors::is_preflight(&Method::GET, &request));

        let mut response = HeaderMap::new();
        policy(&["https://a.example"]).answer_preflight(&request, &mut response);
        assert_eq!(
            lines(&response),
            [
                "access-control-allow-headers: x-a",
                "access-control-allow-methods: GET,PUT",
                "access-control-allow-origin: https://a.example",
                "access-control-max-age: 300",
                "vary: origin",
            ]
        );

        let mut refused = HeaderMap::new();
        policy(&["https://b.example"]).answer_preflight(&request, &mut refused);
        assert_eq!(lines(&refused), ["vary: origin"]);
    }

    #[test]
    fn responses_are_decorated() {
        let mut response = HeaderMap::new();
        policy(&[]).decorate(None, &mut response);
        let want = [
            "access-control-allow-origin: *",
            "access-control-expose-headers: x-b",
        ];
        assert_eq!(lines(&response), want);
    }
}
