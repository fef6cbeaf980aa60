//! The parts of the page, which both forms of this component share.

use std::borrow::Cow;

use crate::exports::withe_examples::visits::page::{Datetime, Visit};
use crate::withe_examples::visits::types::LastVisit;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}\
    td{padding:.1rem 2rem .1rem 0}td:last-child{text-align:right}";

/// The page as far as the rows of the table.
pub fn opening(greeting: &str, visit: Visit, now: &Datetime) -> String {
    let greeting = escape(greeting);
    let path = escape(&visit.path);
    let times = if visit.count == 1 {
        "once".into()
    } else {
        format!("{} times", visit.count)
    };
    let last = visit.last.map(|last| since(&last, now)).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <title>{greeting}</title>\n<style>{STYLE}</style>\n\
         <h1>{greeting}</h1>\n\
         <p><code>{path}</code> was visited <strong>{times}</strong>.{last}</p>\n\
         <h2>Most visited</h2>\n<table>\n"
    )
}

/// The page after the rows.
pub const CLOSING: &str = "</table>\n</html>\n";

fn since(last: &LastVisit, now: &Datetime) -> String {
    let visitor = last.visitor.as_deref().unwrap_or("someone");
    // Clocks may be set back.
    let seconds = now.seconds.saturating_sub(last.at.seconds);
    format!(
        " The last visit was {seconds} s ago, by {}.",
        escape(visitor)
    )
}

/// A row of the table.
pub fn row(visit: &Visit) -> String {
    let path = escape(&visit.path);
    format!(
        "<tr><td><a href=\"{path}\">{path}</a></td><td>{}</td></tr>\n",
        visit.count
    )
}

/// The text without what means something in HTML.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped.into()
}
