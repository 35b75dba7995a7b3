//! The status of a queued call: once, or as a stream.

use std::{sync::Arc, time::Duration};

use actix_web::web::Data;
use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;

use super::ticket::{Phase, Ticket};
use crate::emulator::{
    http::call::{Call, Flow, Reply, Whole},
    play::data_event,
    server::State,
};

/// Silence after which the status stream sends a comment.
const PING_EVERY: Duration = Duration::from_secs(15);

/// What fal says about a queued call. Keys that a state does not have are left out; `logs` is null
/// unless they were asked for.
#[derive(Serialize)]
pub(super) struct Status {
    status: &'static str,
    request_id: String,
    gateway_request_id: String,
    response_url: String,
    status_url: String,
    cancel_url: String,
    logs: Option<Vec<Log>>,
    metrics: Metrics,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<String>,
}

#[derive(Serialize)]
struct Log {
    timestamp: &'static str,
    message: String,
    level: &'static str,
    source: &'static str,
    labels: Labels,
}

#[derive(Serialize)]
struct Labels {}

#[derive(Serialize)]
struct Metrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_time: Option<f64>,
}

/// The status of `ticket` as it is now.
pub(super) fn of(state: &State, call: &Call, ticket: &Ticket) -> Status {
    describe(state, call, ticket, &ticket.phase())
}

/// Answers one look at the status: 200 once it is completed, 202 before.
pub(super) fn poll(state: &State, call: &Call, ticket: &Ticket) -> Whole {
    let phase = ticket.phase();
    let code = if matches!(phase, Phase::Completed { .. }) {
        200
    } else {
        202
    };
    let whole = Whole::json(code, &describe(state, call, ticket, &phase));
    ticket.show(&phase);
    whole
}

/// Tells every state as it comes, and ends with the last.
pub(super) fn stream(state: &Data<State>, call: &Call, ticket: Arc<Ticket>) -> Reply {
    let (state, call) = (state.clone(), call.clone());
    let body = async_stream::stream! {
        let mut phases = ticket.phases();
        loop {
            let phase = phases.borrow_and_update().clone();
            let completed = matches!(phase, Phase::Completed { .. });
            if completed {
                call.entry.answered();
            }
            call.entry.event_sent();
            yield Ok(data_event(&describe(&state, &call, &ticket, &phase)));
            ticket.show(&phase);
            if completed {
                return;
            }
            while timeout(PING_EVERY, phases.changed()).await.is_err() {
                yield Ok(Bytes::from_static(b": ping\n\n"));
            }
        }
    };
    let headers = Whole::new(200, "text/event-stream; charset=utf-8", "").headers;
    Reply::Flow(Flow {
        headers,
        body: body.boxed_local(),
    })
}

fn describe(state: &State, call: &Call, ticket: &Ticket, phase: &Phase) -> Status {
    let id = ticket.id().to_owned();
    // Without the sub-path, whatever endpoint was asked.
    let application = ticket.plan().endpoint.application();
    let url = format!("{}/queue/{application}/requests/{id}", call.origin);
    let logs = matches!(call.query("logs"), Some("1" | "true" | "True"));
    let (status, position) = match phase {
        Phase::InQueue => ("IN_QUEUE", Some(state.queue.position(ticket))),
        Phase::InProgress => ("IN_PROGRESS", None),
        Phase::Completed { .. } => ("COMPLETED", None),
    };
    let (error, error_type, took) = match phase {
        Phase::Completed { result, took } => {
            let (error, error_type) = failure(result).unzip();
            (error, error_type.flatten(), Some(took.as_secs_f64()))
        }
        Phase::InQueue | Phase::InProgress => (None, None, None),
    };
    Status {
        status,
        gateway_request_id: id.clone(),
        request_id: id,
        status_url: format!("{url}/status"),
        cancel_url: format!("{url}/cancel"),
        response_url: url,
        logs: logs.then(|| log_lines(phase)),
        metrics: Metrics {
            inference_time: took,
        },
        queue_position: position,
        error,
        error_type,
    }
}

fn log_lines(phase: &Phase) -> Vec<Log> {
    let lines: &[&str] = match phase {
        Phase::InQueue => &[],
        Phase::InProgress => &["Loading the prompt"],
        Phase::Completed { .. } => &["Loading the prompt", "Done"],
    };
    let log = |message: &&str| Log {
        timestamp: "2025-01-01T00:00:00.000000",
        message: (*message).to_owned(),
        level: "INFO",
        source: "emulator",
        labels: Labels {},
    };
    lines.iter().map(log).collect()
}

/// The text and type of a failed call's error.
fn failure(result: &Whole) -> Option<(String, Option<String>)> {
    if result.status < 400 {
        return None;
    }
    let body: Value = serde_json::from_slice(&result.body).unwrap_or_default();
    let kind = body
        .get("error_type")
        .or_else(|| body.pointer("/detail/0/type"));
    let text = body.pointer("/detail/0/msg").or_else(|| body.get("detail"));
    let text = text.and_then(Value::as_str).map(str::to_owned);
    let error = text.unwrap_or_else(|| format!("Invalid status code: {}", result.status));
    Some((error, kind.and_then(Value::as_str).map(str::to_owned)))
}
