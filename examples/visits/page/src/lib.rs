//! Renders the page that a browser shows.

wit_bindgen::generate!({ world: "page-component", path: "../wit", generate_all });

use std::borrow::Cow;

use exports::withe_examples::visits::page::{Datetime, Guest, View, Visit};
use withe_examples::visits::types::LastVisit;

struct Page;
export!(Page);

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}\
    td{padding:.1rem 2rem .1rem 0}td:last-child{text-align:right}";

impl Guest for Page {
    fn render(view: View) -> String {
        let View {
            greeting,
            now,
            visit,
            top,
        } = view;
        let greeting = escape(&greeting);
        let path = escape(&visit.path);
        let times = if visit.count == 1 {
            "once".into()
        } else {
            format!("{} times", visit.count)
        };
        let last = visit
            .last
            .map(|last| since(&last, &now))
            .unwrap_or_default();
        let rows: String = top.iter().map(row).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <title>{greeting}</title>\n<style>{STYLE}</style>\n\
             <h1>{greeting}</h1>\n\
             <p><code>{path}</code> was visited <strong>{times}</strong>.{last}</p>\n\
             <h2>Most visited</h2>\n<table>\n{rows}</table>\n</html>\n"
        )
    }
}

fn since(last: &LastVisit, now: &Datetime) -> String {
    let visitor = last.visitor.as_deref().unwrap_or("someone");
    // Clocks may be set back.
    let seconds = now.seconds.saturating_sub(last.at.seconds);
    format!(
        " The last visit was {seconds} s ago, by {}.",
        escape(visitor)
    )
}

fn row(visit: &Visit) -> String {
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
