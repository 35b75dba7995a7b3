//! Answers on their way out: read to the end, or sent on as they come.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures::Stream;
use tokio::time::Instant;

use super::error::ApiError;
use super::exchange::{Exchange, Waited};
use super::gateway::Gateway;
use super::scope::Scope;
use crate::observe::record::Record;
use crate::translate::face::answer::{FrameWriter, StreamedAnswer, WholeAnswer};
use crate::translate::notes::Notes;
use crate::translate::reading::Fault;

/// The comment that keeps a silent stream alive. Clients ignore it; proxies do not cut it.
const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Reads an exchange to its end.
///
/// # Errors
/// The first choice that fails fails the answer.
pub async fn read_whole(
    exchange: &mut Exchange,
    choices: u32,
    record: &Record,
) -> Result<WholeAnswer, ApiError> {
    let mut answer = WholeAnswer::new(choices);
    while !answer.is_complete() && answer.fault().is_none() {
        let deadline = exchange.deadline();
        match exchange.advance(deadline, &mut answer).await {
            Waited::Progress => {}
            Waited::Quiet => exchange.fail(Fault::TimedOut, &mut answer),
            Waited::ShutDown => exchange.fail(Fault::ShuttingDown, &mut answer),
        }
    }
    match answer.fault() {
        None => Ok(answer),
        Some(fault) => Err(failed(fault, exchange.fal_request_id(), record)),
    }
}

/// Sends an exchange on as it comes.
///
/// The status line waits for fal's first words, so that what goes wrong before them is an HTTP
/// error; but no longer than the heartbeat, because a silent connection looks dead to proxies.
///
/// # Errors
/// What goes wrong before the first byte of the answer has been sent.
pub async fn stream<W: FrameWriter + 'static>(
    mut response: HttpResponseBuilder,
    mut exchange: Exchange,
    mut answer: StreamedAnswer<W>,
    notes: &Notes,
    gateway: &Gateway,
    scope: Scope,
) -> Result<HttpResponse, ApiError> {
    let first_wait = gateway.config.server.heartbeat.unwrap_or(Duration::MAX);
    let heartbeat_due = Instant::now().checked_add(first_wait);
    while !answer.has_begun() && answer.fault().is_none() {
        let deadline = exchange.deadline();
        let until = heartbeat_due.map_or(deadline, |due| due.min(deadline));
        match exchange.advance(until, &mut answer).await {
            Waited::Progress => {}
            Waited::Quiet if until < deadline => break,
            Waited::Quiet => exchange.fail(Fault::TimedOut, &mut answer),
            Waited::ShutDown => exchange.fail(Fault::ShuttingDown, &mut answer),
        }
    }
    if let Some(fault) = answer.fault().filter(|_| !answer.has_begun()) {
        return Err(failed(fault, exchange.fal_request_id(), &scope.record));
    }
    scope.record.stream_begins();
    let notes = notes.with_mended(&exchange.mended());
    note_headers(&mut response, &notes, exchange.fal_request_id().as_deref());
    let heartbeat = gateway.config.server.heartbeat;
    response
        .insert_header((
            CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        ))
        .insert_header((
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache, no-transform"),
        ))
        .insert_header((
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ));
    Ok(response.streaming(frames(exchange, answer, scope, heartbeat)))
}

/// The frames of a stream. Whatever is ready together leaves together; nothing waits to be joined
/// by more. Dropping the stream drops the calls to fal.
fn frames<W: FrameWriter>(
    mut exchange: Exchange,
    mut answer: StreamedAnswer<W>,
    scope: Scope,
    heartbeat: Option<Duration>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        // All of it, not only the record: the place belongs to the stream until its end.
        let scope = scope;
        let mut is_late = !answer.has_begun();
        loop {
            if let Some(fault) = answer.fault() {
                let error = failed(fault, exchange.fal_request_id(), &scope.record);
                answer.fail(&error.to_frame_json());
            }
            if let Some(frames) = answer.take_frames() {
                scope.record.sent(frames.len());
                if answer.has_ended() {
                    let usage = answer.usage();
                    scope.record.finished(usage.prompt, usage.completion);
                    scope.record.complete();
                }
                yield Ok(frames);
            } else if std::mem::take(&mut is_late) {
                yield Ok(KEEP_ALIVE);
            }
            if answer.has_ended() {
                break;
            }
            let deadline = exchange.deadline();
            let heartbeat_due = heartbeat.and_then(|pause| Instant::now().checked_add(pause));
            let until = heartbeat_due.map_or(deadline, |due| due.min(deadline));
            match exchange.advance(until, &mut answer).await {
                Waited::Progress => {}
                Waited::Quiet if until < deadline => is_late = true,
                Waited::Quiet => exchange.fail(Fault::TimedOut, &mut answer),
                Waited::ShutDown => exchange.fail(Fault::ShuttingDown, &mut answer),
            }
        }
    }
}

/// Headers that tell the caller what became of the request, and fal's id of it.
pub fn note_headers(
    response: &mut HttpResponseBuilder,
    notes: &Notes,
    fal_request_id: Option<&str>,
) {
    let mut insert = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.insert_header((name, value));
        }
    };
    insert("x-gateway-usage", &notes.usage());
    if !notes.emulated.is_empty() {
        insert("x-gateway-emulated", &notes.emulated.join(", "));
    }
    if !notes.ignored.is_empty() {
        insert("x-gateway-ignored", &listed(&notes.ignored));
    }
    if let Some(fold) = &notes.fold {
        insert("x-gateway-fold", fold);
    }
    if let Some(id) = fal_request_id {
        insert("x-fal-request-id", id);
    }
}

/// Names for a header. Unknown fields are the caller's own words: what no header can carry is
/// replaced, and a list that would be too long says how much it leaves out.
fn listed(names: &[Cow<'static, str>]) -> String {
    const MOST: usize = 32;
    let plain = |letter: char| {
        if letter.is_ascii_graphic() && letter != ',' {
            letter
        } else {
            '?'
        }
    };
    let shown = names
        .iter()
        .take(MOST)
        .map(|name| name.chars().take(128).map(plain).collect::<String>());
    let mut list = shown.collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        list.push_str(&format!(", and {} more", names.len() - MOST));
    }
    list
}

fn failed(fault: Fault, fal_request_id: Option<String>, record: &Record) -> ApiError {
    if let Fault::Unusable(reason) = fault {
        tracing::warn!(
            request.id = record.request_id(),
            reason,
            "fal sent something that is not an answer"
        );
    }
    let error = ApiError {
        fal_request_id: fal_request_id.map(Into::into),
        ..ApiError::fault(fault)
    };
    if let Some(kind) = kind_of(fault) {
        record.upstream_error(kind);
    }
    record.error(error.code, error.source);
    error
}

/// The fault as a label for metrics, in the words of [`crate::upstream::UpstreamError::label`]; `None` where it is not
/// fal's.
fn kind_of(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::Disconnected => "disconnected",
        Fault::TimedOut => "timeout",
        Fault::Unusable(_) => "invalid_response",
        Fault::Model => "model",
        Fault::ContextLength => "context_length",
        Fault::Busy => "busy",
        Fault::Revised => "revised",
        Fault::ToolCall => "tool_call",
        Fault::ToolChoice => "tool_choice",
        Fault::JsonSchema => "json_schema",
        Fault::ShuttingDown => return None,
    })
}
