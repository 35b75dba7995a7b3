//! What is counted, in Prometheus' terms.
//!
//! Label values are bounded: models outside the catalogue are counted as `other`, and no label
//! holds anything that a caller could invent.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::series::Series;
use super::trace::Ring;

/// Bounds of time histograms, in seconds (source: OpenTelemetry's GenAI conventions).
const SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The same for people, in time.
    pub series: Series,
    /// The last requests one by one.
    pub ring: Arc<Ring>,
    pub requests: IntCounterVec,
    pub duration: HistogramVec,
    pub time_to_first_chunk: HistogramVec,
    pub active_requests: IntGaugeVec,
    pub open_streams: IntGauge,
    pub upstream_errors: IntCounterVec,
    pub tokens: IntCounterVec,
    pub client_disconnects: IntCounter,
    pub sdk_retries: IntCounter,
    pub failures_replayed: IntCounter,
    pub fallbacks: IntCounter,
    pub upstreams: IntCounterVec,
    pub reasks: IntCounter,
    pub mended: IntCounterVec,
    pub panics: IntCounter,
    pub limited: IntCounterVec,
    pub store_failures: IntCounterVec,
    pub ledger_rows: IntCounterVec,
    pub ledger_waiting: IntGauge,
    pub budget_alerts: IntCounterVec,
    /// How many gateways share the store.
    pub replicas: IntGauge,
    pub config_version: IntGauge,
    pub config_reloads: IntCounterVec,
    pub config_pending: IntGauge,
    /// Absent while fal does not tell it.
    pub fal_balance: GaugeVec,
}

/// One finished request, as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'o> {
    pub route: &'o str,
    pub model: &'o str,
    /// The name of the client key; empty for none.
    pub key: &'o str,
    pub status: u16,
    pub error_type: &'o str,
    pub error_source: &'o str,
    pub is_stream: bool,
    pub duration: Duration,
    pub first_chunk: Option<Duration>,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Calls to fal.
    pub calls: u32,
    /// The upstream that was asked last, and why that one.
    pub upstream: &'static str,
    pub because: &'static str,
    /// What they cost, as far as it is known: fal's units, and beside them millionths of a
    /// millionth of a dollar.
    pub units: u64,
    pub picodollars: u64,
}

impl Metrics {
    /// A fresh set of counters.
    ///
    /// # Errors
    /// Only if two of them had the same name.
    #[rustfmt::skip]
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        register_build_info(&registry)?;
        Ok(Self {
            requests: counters(&registry, "fal_gateway_requests_total", "Requests by route, model, status, error type, whose error it was (caller, upstream, gateway) and whether they streamed.", &["route", "model", "status", "error_type", "error_source", "stream"])?,
            duration: histogram(&registry, "fal_gateway_request_duration_seconds", "Time from the request's head to the end of the answer.", &["route", "stream"])?,
            time_to_first_chunk: histogram(&registry, "gen_ai_client_operation_time_to_first_chunk_seconds", "Time from the request's head to the first piece of the answer.", &["gen_ai_provider_name", "gen_ai_request_model"])?,
            upstream_errors: counters(&registry, "fal_gateway_upstream_errors_total", "Failed calls to fal by kind.", &["kind"])?,
            tokens: counters(&registry, "fal_gateway_tokens_total", "Tokens by model and direction; estimated where fal reports none.", &["model", "type"])?,
            client_disconnects: counter(&registry, "fal_gateway_client_disconnects_total", "Requests whose client left before the end of the answer.")?,
            sdk_retries: counter(&registry, "fal_gateway_sdk_retries_total", "Requests that an OpenAI SDK repeated by itself.")?,
            failures_replayed: counter(&registry, "fal_gateway_failures_replayed_total", "Repeated requests that got the paid failure of the first one again, without a call to fal.")?,
            fallbacks: counter(&registry, "fal_gateway_fallbacks_total", "Calls to a substitute because a model refused before working.")?,
            upstreams: counters(&registry, "fal_gateway_upstreams_total", "Requests for which fal was called, by the upstream that was asked last and why it was chosen (empty where there was no choice).", &["upstream", "because"])?,
            mended: counters(&registry, "fal_gateway_mended_total", "What had to be forgiven or repaired in calls and JSON, by kind.", &["kind"])?,
            reasks: counter(&registry, "fal_gateway_reasks_total", "Models asked again because a call or their JSON was wrong.")?,
            panics: counter(&registry, "fal_gateway_panics_total", "Requests that ended in a bug of the gateway.")?,
            limited: counters(&registry, "fal_gateway_limited_total", "Requests refused by the limits of a key or a project, by what was limited (requests, tokens, concurrency).", &["kind"])?,
            store_failures: counters(&registry, "fal_gateway_store_failures_total", "Answers not kept, requests refused and batches of the ledger put off because of the store, by what was wrong with it (busy, full, gone, corrupt, newer, failed, no_room, no_parent).", &["kind"])?,
            ledger_rows: counters(&registry, "fal_gateway_ledger_rows_total", "Calls to fal that came into the ledger, and that it lacks because of the store, by outcome (written, lost).", &["outcome"])?,
            ledger_waiting: gauge(&registry, "fal_gateway_ledger_waiting", "Calls to fal that wait to be written into the ledger.")?,
            budget_alerts: counters(&registry, "fal_gateway_budget_alerts_total", "Budgets of which so much was used, by percent (50, 80, 100); the log names them.", &["percent"])?,
            replicas: gauge(&registry, "fal_gateway_replicas", "Gateways that share the store, and with it the limits of keys and projects; 0 where the store is not shared.")?,
            config_version: gauge(&registry, "fal_gateway_config_version", "Which settings are in use, counted from 1 at the start of the process.")?,
            config_reloads: counters(&registry, "fal_gateway_config_reloads_total", "Settings read again, by outcome (applied, refused).", &["outcome"])?,
            config_pending: gauge(&registry, "fal_gateway_config_pending_restart", "Settings that have changed and need a restart.")?,
            fal_balance: registered(&registry, GaugeVec::new(Opts::new("fal_gateway_fal_balance_dollars", "What is left of the fal account's money, read once a minute with fal.admin_key."), &[])?)?,
            active_requests: gauges(&registry, "fal_gateway_active_requests", "Requests being served, by route.", &["route"])?,
            open_streams: gauge(&registry, "fal_gateway_open_streams", "Streams being sent.")?,
            registry,
            series: Series::default(),
            ring: Arc::default(),
        })
    }

    /// Counts a finished request.
    pub fn observe(&self, seen: &Observation<'_>) {
        self.series.observe(seen);
        if seen.calls > 0 {
            let labels = [seen.upstream, seen.because];
            self.upstreams.with_label_values(&labels).inc();
        }
        let stream = if seen.is_stream { "true" } else { "false" };
        let status = seen.status.to_string();
        self.requests
            .with_label_values(&[
                seen.route,
                seen.model,
                &status,
                seen.error_type,
                seen.error_source,
                stream,
            ])
            .inc();
        self.duration
            .with_label_values(&[seen.route, stream])
            .observe(seen.duration.as_secs_f64());
        if let Some(first_chunk) = seen.first_chunk {
            let labels = ["fal", seen.model];
            self.time_to_first_chunk
                .with_label_values(&labels)
                .observe(first_chunk.as_secs_f64());
        }
        if seen.prompt_tokens > 0 || seen.completion_tokens > 0 {
            self.tokens
                .with_label_values(&[seen.model, "input"])
                .inc_by(seen.prompt_tokens);
            self.tokens
                .with_label_values(&[seen.model, "output"])
                .inc_by(seen.completion_tokens);
        }
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(16 * 1024);
        // The encoder fails on families without metrics, which the registry does not hand out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

type Made<T> = Result<T, prometheus::Error>;

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Made<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Made<IntCounter> {
    registered(registry, IntCounter::new(name, help)?)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Made<IntGauge> {
    registered(registry, IntGauge::new(name, help)?)
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
    registered(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn histogram(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Made<HistogramVec> {
    let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
    registered(registry, HistogramVec::new(options, labels)?)
}

fn register_build_info(registry: &Registry) -> Made<()> {
    let build_info = gauges(
        registry,
        "fal_gateway_build_info",
        "The running version.",
        &["version"],
    )?;
    build_info
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1);
    Ok(())
}
