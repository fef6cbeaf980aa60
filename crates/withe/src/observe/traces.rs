//! `--otlp`: spans, sent to a collector.
//!
//! They are queued, at most [`QUEUE`] of them, and sent in batches by a thread of their own; what comes while
//! the queue is full is lost, and nothing waits for a collector but the end of the command, and that not for
//! long.
//!
//! A host also keeps the last spans for those who look at it ([`crate::recent`]). Without `--otlp` they are recorded only while
//! somebody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData,
    SpanExporter as ExportSpans,
};
use withe_host::{HostOptions, Tracer};
use withe_node::observation::Recent;

use crate::recent::RecentSpans;
use crate::usage::Expected;

/// The most spans that wait to be sent.
const QUEUE: usize = 8192;
/// The most that are sent at once.
const BATCH: usize = 512;
/// How long spans wait for others to be sent with.
const DELAY: Duration = Duration::from_secs(1);
/// The longest that sending may take.
const SEND: Duration = Duration::from_secs(5);
/// How long sending what is left may take when the command ends.
const FLUSH: Duration = Duration::from_secs(3);

/// The path at which collectors take traces.
const PATH: &str = "/v1/traces";

/// Where traces go, and which.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TraceArgs {
    /// Send traces to the OpenTelemetry collector at this URL, by OTLP over HTTP: `http://127.0.0.1:4318`.
    #[arg(
        long,
        value_name = "URL",
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        hide_env_values = true,
        help_heading = "Watching"
    )]
    otlp: Option<String>,
    /// Which part of the traces that begin here is recorded, from 0 to 1. A trace that somebody else has begun
    /// is recorded if they do.
    #[arg(long, value_name = "RATIO", default_value_t = 1.0, value_parser = ratio, help_heading = "Watching")]
    trace_ratio: f64,
}

fn ratio(text: &str) -> Result<f64, Expected> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err(Expected("a number from 0 to 1, such as 0.01")),
    }
}

impl TraceArgs {
    /// The arguments by which another process of this host sends its traces to the same place. The process is a part of
    /// the same service.
    fn to_args(&self, service: &str) -> Vec<String> {
        let Some(url) = self.url() else {
            return Vec::new();
        };
        vec![
            format!("--otlp={url}"),
            format!("--trace-ratio={}", self.trace_ratio),
            format!("--service={service}"),
        ]
    }

    /// The URL, unless it is empty, as a variable of the environment may be.
    fn url(&self) -> Option<&str> {
        self.otlp.as_deref().filter(|url| !url.is_empty())
    }
}

/// The exporter of traces.
pub(crate) struct Exporter {
    provider: Option<SdkTracerProvider>,
    /// Where the last spans are kept, if they are kept and nothing is sent.
    gate: Option<Recent>,
    /// The arguments by which another process does the same.
    args: Vec<String>,
}

impl Exporter {
    /// Makes it, as `args` say: `service` is whose traces they are. Nothing is sent yet. `recent` keeps the last spans.
    ///
    /// # Errors
    ///
    /// If the URL is not one that can be sent to.
    pub(crate) fn new(
        args: &TraceArgs,
        service: &str,
        recent: Option<&Recent>,
    ) -> anyhow::Result<Self> {
        let recent = recent.cloned();
        let Some(url) = args.url() else {
            let spans = recent.clone().map(RecentSpans);
            let provider = spans.map(|spans| {
                SdkTracerProvider::builder()
                    .with_span_processor(spans)
                    .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
                    .build()
            });
            return Ok(Self {
                provider,
                gate: recent,
                args: Vec::new(),
            });
        };
        let endpoint = endpoint(url)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint)
            .with_timeout(SEND)
            .build()
            .with_context(|| format!("traces cannot be sent to `{url}`"))?;
        let exporter = Reporting {
            exporter,
            url: url.to_owned(),
            failing: AtomicBool::new(false),
        };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(batches)
            .build();
        let root = Sampler::TraceIdRatioBased(args.trace_ratio);
        let mut provider = SdkTracerProvider::builder().with_span_processor(processor);
        if let Some(recent) = recent {
            provider = provider.with_span_processor(RecentSpans(recent));
        }
        let provider = provider
            .with_sampler(Sampler::ParentBased(Box::new(root)))
            .with_resource(
                Resource::builder()
                    .with_service_name(service.to_owned())
                    .build(),
            )
            .build();
        Ok(Self {
            provider: Some(provider),
            gate: None,
            args: args.to_args(service),
        })
    }

    /// The tracer that records spans for it.
    pub(crate) fn tracer(&self) -> Tracer {
        let Some(provider) = &self.provider else {
            return Tracer::default();
        };
        let tracer = BoxedTracer::new(Box::new(provider.tracer("withe")));
        match &self.gate {
            Some(gate) => Tracer::gated(tracer, Arc::new(gate.clone())),
            None => Tracer::new(tracer),
        }
    }

    /// Has a host and its workers send their traces by it.
    pub(crate) fn observe(&self, options: &mut HostOptions) {
        options.tracer = self.tracer();
        if let Some(worker) = &mut options.worker {
            worker.args.extend(self.args.iter().cloned());
        }
    }

    /// Sends what is left, for a short time. Blocks.
    pub(crate) fn finish(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown_with_timeout(FLUSH)
        {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}

/// The URL to which spans are sent, of the one that a person gives, which mostly is that of the collector.
fn endpoint(url: &str) -> anyhow::Result<String> {
    if !url.starts_with("http://") {
        bail!(
            "traces cannot be sent to `{url}`: expected a URL such as `http://127.0.0.1:4318`; for TLS, send \
             them to a collector on this machine that passes them on"
        );
    }
    let base = url.trim_end_matches('/');
    Ok(match base.ends_with(PATH) {
        true => base.to_owned(),
        false => format!("{base}{PATH}"),
    })
}

/// Sends spans, and logs when that begins to fail and when it works again.
#[derive(Debug)]
struct Reporting {
    exporter: SpanExporter,
    url: String,
    failing: AtomicBool,
}

impl ExportSpans for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.exporter.export(batch).await;
        let was_failing = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        let url = &self.url;
        match &sent {
            Err(error) if !was_failing => {
                tracing::warn!("{spans} spans could not be sent to `{url}` and are lost: {error}");
            }
            Err(error) => tracing::debug!("{spans} spans are lost: {error}"),
            Ok(()) if was_failing => tracing::info!("traces are sent to `{url}` again"),
            Ok(()) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_where_collectors_take_them() {
        let expected = "http://127.0.0.1:4318/v1/traces";
        for url in [
            "http://127.0.0.1:4318",
            "http://127.0.0.1:4318/",
            "http://127.0.0.1:4318/v1/traces",
        ] {
            assert_eq!(endpoint(url).unwrap(), expected, "{url}");
        }
        for url in ["https://collector.example", "127.0.0.1:4318", "grpc://c"] {
            let error = endpoint(url).unwrap_err().to_string();
            assert!(error.contains(&format!("`{url}`")), "{error}");
        }
    }

    #[test]
    fn ratios_are_from_0_to_1() {
        assert_eq!(ratio("0.25"), Ok(0.25));
        for bad in ["-0.1", "1.1", "NaN", "half", ""] {
            assert!(ratio(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn another_process_is_told_where_traces_go() {
        let args = |otlp: Option<&str>| TraceArgs {
            otlp: otlp.map(str::to_owned),
            trace_ratio: 0.5,
        };
        assert_eq!(args(None).to_args("east"), Vec::<String>::new());
        assert_eq!(args(Some("")).to_args("east"), Vec::<String>::new());
        assert_eq!(
            args(Some("http://c:4318")).to_args("east"),
            [
                "--otlp=http://c:4318",
                "--trace-ratio=0.5",
                "--service=east"
            ]
        );
    }
}
