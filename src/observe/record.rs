//! One request, from its head to the last byte of its answer: the log line and the counters.
//!
//! A record is shared by everybody who works on the request and reports once, when the last of
//! them lets go of it. An answer that was never completed by then was left by its client.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::is_for_a_model;
use super::metrics::{Metrics, Observation};
use super::trace::Trace;

/// A request's record.
#[derive(Clone, Debug)]
pub struct Record(Rc<Inner>);

/// Whose failure an error is. The status does not tell: a failure of fal's that must not be repeated
/// is a 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSource {
    Caller,
    Upstream,
    Gateway,
}

impl ErrorSource {
    /// The source as a label for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

/// What a request's calls to fal came to, all together.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub calls: u32,
    /// Whether they are paid for: `yes`, `no` or `maybe`.
    pub billed: &'static str,
    /// In words, where it is known.
    pub cost: Option<String>,
    /// What is, or may be, paid for, as far as it is known: fal's units, and what is charged in
    /// money, in millionths of a millionth of a dollar.
    pub units: u64,
    pub picodollars: u64,
    /// Tokens of the calls that are, or may be, paid for.
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

impl Default for Settlement {
    /// No call was made.
    fn default() -> Self {
        Self {
            calls: 0,
            billed: "no",
            cost: None,
            units: 0,
            picodollars: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
        }
    }
}

#[derive(Debug)]
struct Inner {
    metrics: Arc<Metrics>,
    trace: Trace,
    started: Instant,
    request_id: String,
    route: Cell<&'static str>,
    model: RefCell<String>,
    model_label: RefCell<String>,
    upstream: Cell<&'static str>,
    because: Cell<&'static str>,
    client: Cell<Option<IpAddr>>,
    key: RefCell<String>,
    fal_request_id: RefCell<String>,
    status: Cell<u16>,
    error_code: Cell<&'static str>,
    error_source: Cell<&'static str>,
    has_called_fal: Cell<bool>,
    is_stream: Cell<bool>,
    is_complete: Cell<bool>,
    first_chunk: Cell<Option<Duration>>,
    settlement: RefCell<Settlement>,
    bytes_in: Cell<usize>,
    bytes_out: Cell<usize>,
}

impl Record {
    /// A record that begins now.
    pub fn start(metrics: Arc<Metrics>, request_id: String, route: &'static str) -> Self {
        metrics.active_requests.with_label_values(&[route]).inc();
        let trace = match is_for_a_model(route) {
            true => metrics.ring.begin(&request_id, route),
            false => Trace::default(),
        };
        Self(Rc::new(Inner {
            metrics,
            trace,
            started: Instant::now(),
            request_id,
            route: Cell::new(route),
            model: RefCell::default(),
            model_label: RefCell::default(),
            upstream: Cell::new(""),
            because: Cell::new(""),
            client: Cell::new(None),
            key: RefCell::default(),
            fal_request_id: RefCell::default(),
            status: Cell::new(0),
            error_code: Cell::new(""),
            error_source: Cell::new(""),
            has_called_fal: Cell::new(false),
            is_stream: Cell::new(false),
            is_complete: Cell::new(false),
            first_chunk: Cell::new(None),
            settlement: RefCell::default(),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
        }))
    }

    /// The id that this request goes by, in and out.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// Which API the request came to.
    pub fn route(&self) -> &'static str {
        self.0.route.get()
    }

    /// Where the request is taken down for people to look at.
    pub fn trace(&self) -> &Trace {
        &self.0.trace
    }

    /// The model, once it is known. `label` is what it is counted under.
    pub fn model(&self, id: &str, label: &str) {
        id.clone_into(&mut self.0.model.borrow_mut());
        label.clone_into(&mut self.0.model_label.borrow_mut());
        self.0.trace.facts(|facts| id.clone_into(&mut facts.model));
    }

    /// Through which upstream the model is asked, and why, where there was a choice.
    pub fn upstream(&self, word: &'static str, because: Option<&'static str>) {
        self.0.upstream.set(word);
        self.0.because.set(because.unwrap_or_default());
    }

    /// Where the request comes from, as far as that is known.
    pub fn client(&self, address: Option<IpAddr>) {
        self.0.client.set(address);
    }

    /// The name of the client key.
    pub fn key(&self, name: &str) {
        name.clone_into(&mut self.0.key.borrow_mut());
    }

    pub fn fal_request_id(&self, id: &str) {
        id.clone_into(&mut self.0.fal_request_id.borrow_mut());
    }

    pub fn received(&self, bytes: usize) {
        self.0.bytes_in.set(bytes);
    }

    /// The status line has been decided.
    pub fn status(&self, status: u16) {
        self.0.status.set(status);
    }

    /// Something went wrong; `code` is what the caller is told.
    pub fn error(&self, code: &'static str, source: ErrorSource) {
        self.0.error_code.set(code);
        self.0.error_source.set(source.label());
    }

    /// fal is about to be called.
    pub fn calls_fal(&self) {
        self.0.has_called_fal.set(true);
    }

    /// Whether fal has been called, so that the request may have been paid for.
    pub fn has_called_fal(&self) -> bool {
        self.0.has_called_fal.get()
    }

    /// A call to fal failed.
    pub fn upstream_error(&self, kind: &str) {
        self.0
            .metrics
            .upstream_errors
            .with_label_values(&[kind])
            .inc();
    }

    /// A stream begins, unless it has begun.
    pub fn stream_begins(&self) {
        if !self.0.is_stream.replace(true) {
            self.0.metrics.open_streams.inc();
        }
    }

    /// Whether the answer is a stream that has begun.
    pub fn has_stream_begun(&self) -> bool {
        self.0.is_stream.get()
    }

    /// The model that was named last.
    pub fn model_id(&self) -> String {
        self.0.model.borrow().clone()
    }

    /// A piece of the answer leaves.
    pub fn sent(&self, bytes: usize) {
        self.0.bytes_out.set(self.0.bytes_out.get() + bytes);
        if self.0.first_chunk.get().is_none() {
            self.0.first_chunk.set(Some(self.0.started.elapsed()));
        }
    }

    /// All calls to fal are over.
    pub fn settled(&self, settlement: Settlement) {
        self.0.settlement.replace(settlement);
    }

    /// The last byte of the answer has been handed over.
    pub fn complete(&self) {
        self.0.is_complete.set(true);
    }

    /// Milliseconds since the request came in.
    pub fn elapsed(&self) -> Duration {
        self.0.started.elapsed()
    }
}

impl Inner {
    /// Shows those who look on how it ended.
    fn show(&self, status: u16, duration: Duration, settlement: &Settlement) {
        let microseconds = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.trace.facts(|facts| {
            facts.is_running = false;
            facts.is_stream = self.is_stream.get();
            facts.key.clone_from(&self.key.borrow());
            facts.status = status;
            facts.error = self.error_code.get();
            facts.error_source = self.error_source.get();
            facts.duration_us = microseconds(duration);
            facts.first_us = self.first_chunk.get().map(microseconds);
            facts.tokens_in = settlement.prompt_tokens;
            facts.tokens_out = settlement.completion_tokens;
            facts.calls = settlement.calls;
            facts.billed = settlement.billed;
            facts.cost = settlement.cost.clone().unwrap_or_default();
        });
    }

    /// The line in the log.
    fn log(&self, status: u16, duration: Duration, settlement: &Settlement) {
        if self.route.get() == "console" {
            // Its page asks again and again; what it changes is logged where it is changed.
            return;
        }
        let milliseconds = |span: Duration| (span.as_secs_f64() * 1e4).round() / 10.0;
        tracing::info!(
            request.id = %self.request_id,
            client = self.client.get().map(tracing::field::display),
            key = %self.key.borrow(),
            route = self.route.get(),
            model.id = %self.model.borrow(),
            stream = self.is_stream.get(),
            status,
            error = self.error_code.get(),
            error.source = self.error_source.get(),
            ttfb_ms = self.first_chunk.get().map(milliseconds),
            duration_ms = milliseconds(duration),
            bytes_in = self.bytes_in.get(),
            bytes_out = self.bytes_out.get(),
            tokens_in = settlement.prompt_tokens,
            tokens_out = settlement.completion_tokens,
            fal.upstream = self.upstream.get(),
            fal.because = self.because.get(),
            fal.calls = settlement.calls,
            fal.billed = settlement.billed,
            fal.cost = settlement.cost,
            fal.request_id = %self.fal_request_id.borrow(),
            "request"
        );
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A bug inside a stream ends its connection; nobody else is there to count it.
            self.metrics.panics.inc();
            self.is_complete.set(true);
            self.error_code.set("internal_error");
            self.error_source.set(ErrorSource::Gateway.label());
        }
        self.metrics
            .active_requests
            .with_label_values(&[self.route.get()])
            .dec();
        if self.is_stream.get() {
            self.metrics.open_streams.dec();
        }
        let is_gone = !self.is_complete.get();
        if is_gone {
            self.metrics.client_disconnects.inc();
            self.error_code.set("client_gone");
            self.error_source.set(ErrorSource::Caller.label());
        }
        let duration = self.started.elapsed();
        let settlement = self.settlement.borrow();
        let Settlement {
            prompt_tokens,
            completion_tokens,
            ..
        } = *settlement;
        // 499 is what nginx made customary for a client that left before the head was sent.
        let status = match self.status.get() {
            0 => 499,
            status => status,
        };
        self.show(status, duration, &settlement);
        self.metrics.observe(&Observation {
            route: self.route.get(),
            model: &self.model_label.borrow(),
            key: &self.key.borrow(),
            status,
            error_type: self.error_code.get(),
            error_source: self.error_source.get(),
            is_stream: self.is_stream.get(),
            duration,
            first_chunk: self.first_chunk.get(),
            prompt_tokens,
            completion_tokens,
            calls: settlement.calls,
            upstream: self.upstream.get(),
            because: self.because.get(),
            units: settlement.units,
            picodollars: settlement.picodollars,
        });
        self.log(status, duration, &settlement);
    }
}
