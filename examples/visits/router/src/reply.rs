//! A whole answer.

use serde_json::{Value, json};

/// A status, headers and a body.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: String,
}

/// The header of pages.
pub const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

impl Reply {
    /// A page.
    #[allow(dead_code, reason = "the form of WASI 0.3 streams its pages")]
    pub fn html(body: String) -> Self {
        Self {
            status: 200,
            headers: vec![HTML],
            body,
        }
    }

    pub fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json")],
            body: format!("{value}\n"),
        }
    }

    /// `{"error": WHY}`
    pub fn error(status: u16, why: &str) -> Self {
        Self::json(status, &json!({ "error": why }))
    }

    /// To any other method.
    pub fn only_get() -> Self {
        let mut reply = Self::error(405, "only GET is served here");
        reply.headers.push(("allow", "GET"));
        reply
    }

    /// Whether nothing is served at a path, and nothing counted.
    pub fn is_elsewhere(path: &str) -> bool {
        path == "/favicon.ico" || path.starts_with("/api/")
    }

    /// To such a path.
    pub fn elsewhere(path: &str) -> Self {
        match path {
            "/favicon.ico" => Self::error(404, "there is no icon"),
            _ => Self::error(404, "the interface is `/api/visits`"),
        }
    }
}
