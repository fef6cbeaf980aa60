//! Spans that have ended, as they are kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::Context;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use withe_node::observation::{Recent, SpanRecord};

use crate::known_secrets::known_secrets;

/// Keeps spans while somebody looks.
#[derive(Clone)]
pub(crate) struct RecentSpans(pub(crate) Recent);

impl std::fmt::Debug for RecentSpans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RecentSpans").finish()
    }
}

impl SpanProcessor for RecentSpans {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.0.is_open() {
            self.0.span(record(&span));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn record(span: &SpanData) -> SpanRecord {
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let took = span.end_time.duration_since(span.start_time);
    let mut attributes: std::collections::BTreeMap<_, _> = span
        .attributes
        .iter()
        .map(|attribute| {
            let value = known_secrets().mask(&attribute.value.as_str()).into_owned();
            (attribute.key.to_string(), value)
        })
        .collect();
    let error = match &span.status {
        Status::Error { description } if description.is_empty() => {
            Some(attributes.remove("error.type").unwrap_or_else(|| {
                let status = attributes.get("http.response.status_code");
                status.map_or("failed".to_owned(), |status| format!("status {status}"))
            }))
        }
        Status::Error { description } => Some(known_secrets().mask(description).into_owned()),
        Status::Unset | Status::Ok => None,
    };
    let micros = since(span.start_time).as_micros();
    let nanos = took.unwrap_or_default().as_nanos();
    SpanRecord {
        trace: span.span_context.trace_id().to_string(),
        id: span.span_context.span_id().to_string(),
        parent: (span.parent_span_id != SpanId::INVALID).then(|| span.parent_span_id.to_string()),
        name: known_secrets().mask(&span.name).into_owned(),
        kind: match span.span_kind {
            SpanKind::Server | SpanKind::Consumer => "server",
            SpanKind::Client | SpanKind::Producer => "client",
            SpanKind::Internal => "internal",
        }
        .to_owned(),
        start: u64::try_from(micros).unwrap_or(u64::MAX),
        nanos: u64::try_from(nanos).unwrap_or(u64::MAX),
        error,
        attributes,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::KeyValue;
    use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};

    use super::*;
    use crate::known_secrets::know_secret;

    /// Keeps the spans that have ended.
    #[derive(Clone, Debug, Default)]
    struct Ended(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Ended {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    /// The record of a span.
    fn recorded(
        name: &'static str,
        fill: impl FnOnce(&mut opentelemetry_sdk::trace::Span),
    ) -> SpanRecord {
        let ended = Ended::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(ended.clone())
            .build();
        let mut span = provider.tracer("test").start(name);
        fill(&mut span);
        drop(span);
        record(&ended.0.lock().unwrap()[0])
    }

    #[test]
    fn no_text_of_a_span_has_a_secret() {
        know_secret("spans", "a-token-in-a-path");
        for status in ["", "refused a-token-in-a-path"] {
            let record = recorded("GET /a-token-in-a-path", |span| {
                for key in ["url.path", "server.address", "error.type"] {
                    span.set_attribute(KeyValue::new(key, "/bota-token-in-a-path/send"));
                }
                span.set_status(Status::error(status));
            });
            let text = format!("{record:?}");
            assert!(!text.contains("a-token-in-a-path"), "{text}");
            assert!(record.error.is_some() && record.attributes["url.path"].starts_with("/bot"));
        }
    }

    #[test]
    fn a_span_is_kept_with_what_people_ask_for() {
        let record = recorded("cart → prices get", |span| {
            span.set_attribute(KeyValue::new("withe.source", "cart"));
            span.set_attribute(KeyValue::new("http.response.status_code", 503));
            span.set_status(Status::error(""));
        });
        assert_eq!((record.trace.len(), record.id.len()), (32, 16));
        assert_eq!(record.parent, None);
        assert_eq!(record.error.as_deref(), Some("status 503"));
        assert_eq!(record.attributes["withe.source"], "cart");
    }
}
