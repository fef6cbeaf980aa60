//! The answers of both forms of this component.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::reply::Reply;
use crate::wasi::config::store as config;
use crate::withe_examples::visits::types::{Datetime, Visit, VisitError};

/// How many visits a list has: as many as the query says, or the configuration.
pub fn limit(query: &str) -> Result<u32, Reply> {
    match query
        .split('&')
        .find_map(|pair| pair.strip_prefix("limit="))
    {
        Some(limit) => limit
            .parse()
            .map_err(|_| Reply::error(400, "`limit` is not a number")),
        None => top_length(),
    }
}

/// The most visited paths as JSON.
pub fn list(top: &[Visit]) -> Reply {
    Reply::json(
        200,
        &json!({ "visits": top.iter().map(visit_json).collect::<Vec<_>>() }),
    )
}

/// The page's title.
pub fn greeting() -> Result<String, Reply> {
    Ok(configured("greeting")?.unwrap_or_else(|| "Visits".into()))
}

/// The first word of a user agent.
pub fn visitor(agents: &[Vec<u8>]) -> Option<String> {
    let agent = str::from_utf8(agents.first()?).ok()?;
    Some(agent.split_whitespace().next()?.to_string())
}

/// How many paths a page lists.
pub fn top_length() -> Result<u32, Reply> {
    match configured("top")? {
        Some(text) => text
            .parse()
            .map_err(|_| Reply::error(500, "the configured `top` is not a number")),
        None => Ok(10),
    }
}

fn configured(key: &str) -> Result<Option<String>, Reply> {
    config::get(key).map_err(|e| Reply::error(500, &format!("configuration `{key}`: {e:?}")))
}

/// The answer when a visit is not counted.
pub fn refused(error: VisitError) -> Reply {
    match error {
        VisitError::BadPath(why) => Reply::error(400, &why),
        VisitError::Storage(why) => Reply::error(503, &why),
    }
}

fn visit_json(visit: &Visit) -> Value {
    let last = visit.last.as_ref().map(|last| {
        let at = last.at.seconds as f64 + f64::from(last.at.nanoseconds) / 1e9;
        json!({ "at": at, "visitor": last.visitor })
    });
    json!({ "path": visit.path, "count": visit.count, "last": last })
}

pub fn now() -> Datetime {
    // The clock may stand before 1970 on a machine that does not know the time.
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Datetime {
        seconds: now.as_secs(),
        nanoseconds: now.subsec_nanos(),
    }
}
