//! Lines of the log, as they are logged.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use withe_node::observation::LogLine;

use super::kept::{kept, now};
use crate::known_secrets::known_secrets;

/// Keeps what is logged.
pub(crate) struct RecentLog;

impl<S: Subscriber> Layer<S> for RecentLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(recent) = kept() else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        recent.line(fields.line(event.metadata().level().as_str()));
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    application: Option<String>,
    part: Option<String>,
    message: String,
    others: String,
}

impl Fields {
    fn line(self, level: &str) -> LogLine {
        let text = format!("{}{}", self.message, self.others);
        LogLine {
            time: now(),
            level: level.to_ascii_lowercase(),
            application: self.application,
            part: self.part,
            text: known_secrets().mask(&text).into_owned(),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "application" => self.application = Some(value.to_owned()),
            "component" => self.part = Some(value.to_owned()),
            "message" => self.message = value.to_owned(),
            name => self.others += &format!(" {name}={value}"),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "application" | "component" => {
                self.record_str(field, format!("{value:?}").trim_matches('"'));
            }
            "message" => self.message = format!("{value:?}"),
            name => self.others += &format!(" {name}={value:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Keeps lines apart from those of the process.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<LogLine>>>);

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut fields = Fields::default();
            event.record(&mut fields);
            let line = fields.line(event.metadata().level().as_str());
            self.0.lock().unwrap().push(line);
        }
    }

    #[test]
    fn a_line_says_whose_it_is() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        tracing::subscriber::with_default(subscriber, || {
            let (application, component) = ("shop", String::from("cart"));
            let context: Option<&str> = None;
            tracing::info!(target: "component", application, component, context, "{}", "hello");
            tracing::warn!(number = 3, "of the host");
        });
        let lines = lines.0.lock().unwrap();
        let [first, second] = lines.as_slice() else {
            panic!("{lines:#?}")
        };
        assert_eq!(first.application.as_deref(), Some("shop"));
        assert_eq!(first.part.as_deref(), Some("cart"));
        assert_eq!(
            (first.level.as_str(), first.text.as_str()),
            ("info", "hello")
        );
        assert_eq!(second.part, None);
        assert_eq!(second.text, "of the host number=3");
    }
}
