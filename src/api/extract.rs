//! Request bodies, read with limits on size and time, whose refusals speak OpenAI.
#![deny(clippy::arithmetic_side_effects)]

use std::pin::pin;
use std::time::Duration;

use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING,
};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures::StreamExt;
use serde_json::{Map, Value as Json};
use tokio::time::timeout;

use super::auth::Caller;
use super::context::Context;
use super::error::ApiError;
use super::gateway::MemoryPermit;
use super::scope::{overloaded, unavailable};
use crate::config;
use crate::translate::draft::parse_object;
use crate::translate::problem::ProblemKind;
use crate::wire::openai::fields::Fields;

/// How long a body may be awaited without a seat among the requests that wait for theirs.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Reads a JSON body of at most `server.max_body` bytes within `server.body_timeout`. What comes
/// with it is the memory that it takes up, to be kept as long as the body.
///
/// The time limit covers the whole body, so a client that sends a byte now and then cannot keep a
/// request open.
///
/// # Errors
/// 415 for a body that is not plain JSON, 413 when it is too large, 408 when it takes too long,
/// 400 when it breaks off, 503 when the bodies of all requests take up too much or too many are
/// awaited.
pub async fn json_body(
    headers: &HeaderMap,
    payload: Payload,
    context: &Context,
    caller: &Caller,
) -> Result<(Bytes, MemoryPermit), ApiError> {
    let config::Server {
        max_body,
        body_timeout,
        ..
    } = context.snapshot.config.server;
    refuse_media_type(headers)?;
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > max_body as u64) {
        return Err(too_large(max_body));
    }
    let most = context.snapshot.config.limits.max_body_memory;
    let mut held = context.gateway.hold(most);
    let body = {
        let declared = declared.and_then(|length| usize::try_from(length).ok());
        let mut collecting = pin!(collect(payload, max_body, declared, &mut held));
        let at_once = AT_ONCE.min(body_timeout);
        match timeout(at_once, collecting.as_mut()).await {
            Ok(outcome) => outcome?,
            Err(_) => {
                let _seat = context.gateway.seat(caller).ok_or_else(no_seat)?;
                let rest = body_timeout.saturating_sub(at_once);
                timeout(rest, collecting).await.map_err(|_| too_slow())??
            }
        }
    };
    Ok((body, held))
}

/// Reads a JSON object of a kind that is always small. Where there is no body it is empty.
///
/// # Errors
/// As [`json_body`], and 400 for what is no object, and for a member that is written twice.
pub async fn small_object(
    headers: &HeaderMap,
    payload: Payload,
    context: &Context,
) -> Result<Map<String, Json>, ApiError> {
    const MOST: usize = 64 * 1024;
    if has_body(headers) {
        refuse_media_type(headers)?;
    }
    let settings = &context.snapshot.config;
    let mut held = context.gateway.hold(settings.limits.max_body_memory);
    let collecting = collect(payload, MOST, None, &mut held);
    let collected = timeout(settings.server.body_timeout, collecting).await;
    let body = collected.map_err(|_| too_slow())??;
    let text = if body.is_empty() { b"{}" } else { &body[..] };
    let no_object = || {
        let message = "The body is no JSON object.";
        ApiError::refusal(ProblemKind::Invalid, "invalid_json", message)
    };
    let Fields(fields) = parse_object(text).map_err(|rejection| match rejection.param {
        Some(_) => rejection.into(),
        None => no_object(),
    })?;
    let members = fields.into_iter().map(|(name, value)| {
        let value = serde_json::from_str(value.get()).map_err(|_| no_object())?;
        Ok((name.into_owned(), value))
    });
    members.collect()
}

/// Whether a request says what its body is, or that it has one.
fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    let is_empty = length.is_none_or(|length| length.as_bytes() == b"0");
    headers.contains_key(CONTENT_TYPE) || headers.contains_key(TRANSFER_ENCODING) || !is_empty
}

/// Most bodies come in one piece, which is handed on as it is. What is declared of the length is believed
/// where much of it has come.
async fn collect(
    mut payload: Payload,
    max_body: usize,
    declared: Option<usize>,
    held: &mut MemoryPermit,
) -> Result<Bytes, ApiError> {
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|_| broken_off())?;
        let so_far = first.len().saturating_add(body.len());
        let size = so_far.saturating_add(piece.len());
        if size > max_body {
            return Err(too_large(max_body));
        }
        if !held.grow_to(size) {
            return Err(too_many());
        }
        if first.is_empty() && body.is_empty() {
            first = piece;
            continue;
        }
        if !first.is_empty() {
            let likely = size.saturating_mul(2);
            let declared = declared.filter(|length| *length <= likely.saturating_mul(2));
            body.reserve(declared.unwrap_or(likely).max(size));
            body.extend_from_slice(&std::mem::take(&mut first));
        }
        body.extend_from_slice(&piece);
    }
    match body.is_empty() {
        true => Ok(first),
        false => Ok(body.freeze()),
    }
}

/// `application/json` or `application/...+json`, nothing else: a web page of another origin can
/// send forms and plain text without asking, but not JSON.
fn refuse_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let unsupported = |message: &str| {
        Err(ApiError {
            closes: true,
            ..ApiError::refusal(ProblemKind::MediaType, "unsupported_media_type", message)
        })
    };
    // `identity` is the name of no encoding (source: RFC 9110, 8.4.1).
    let is_plain = |value: &HeaderValue| matches!(value.as_bytes(), b"" | b"identity");
    if !headers.get_all(CONTENT_ENCODING).all(is_plain) {
        return unsupported("The request body is compressed. Send it without Content-Encoding.");
    }
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    // Some clients and proxies name the type twice.
    match content_type.split(',').all(is_json) {
        true => Ok(()),
        false => unsupported(
            "The request must be JSON. Send it with the header Content-Type: application/json.",
        ),
    }
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn too_slow() -> ApiError {
    ApiError {
        closes: true,
        ..ApiError::refusal(
            ProblemKind::TooSlow,
            "request_timeout",
            "The request body did not arrive in time. Send it faster, or send less.",
        )
    }
}

/// Too many bodies are awaited, or too many of one caller's.
fn no_seat() -> ApiError {
    ApiError {
        closes: true,
        ..overloaded()
    }
}

fn too_large(max_body: usize) -> ApiError {
    ApiError {
        closes: true,
        ..ApiError::refusal(
            ProblemKind::TooLarge,
            "request_too_large",
            format!("The request body is larger than {max_body} bytes. Send a shorter one."),
        )
    }
}

/// Judges a request's length in bytes without its images.
///
/// # Errors
/// 413 when it is too long.
pub fn refuse_long_text(text: usize, max_text: usize) -> Result<(), ApiError> {
    match text <= max_text {
        true => Ok(()),
        false => Err(ApiError::refusal(
            ProblemKind::TooLarge,
            "request_too_large",
            format!(
                "The request has {text} bytes without its images and the like, and at most {max_text} are possible. \
                 Send less text."
            ),
        )),
    }
}

pub(super) fn too_many() -> ApiError {
    ApiError {
        closes: true,
        ..unavailable(
            "overloaded",
            "The gateway holds as many large requests as it can. Try again.",
        )
    }
}

fn broken_off() -> ApiError {
    ApiError {
        closes: true,
        ..ApiError::refusal(
            ProblemKind::Invalid,
            "invalid_json",
            "The request body broke off before its end. Send all of it.",
        )
    }
}
