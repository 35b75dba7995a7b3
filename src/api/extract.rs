//! Request bodies, read with limits on size and time, whose refusals speak OpenAI.
#![deny(clippy::arithmetic_side_effects)]

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures::StreamExt;

use super::error::ApiError;

/// Reads a JSON body of at most `max_body` bytes within `body_timeout`.
///
/// The time limit covers the whole body, so a client that sends a byte now and then cannot keep a
/// request open.
///
/// # Errors
/// 415 for a body that is not plain JSON, 413 when it is too large, 408 when it takes too long,
/// 400 when it breaks off.
pub async fn json_body(
    headers: &HeaderMap,
    payload: Payload,
    max_body: usize,
    body_timeout: Duration,
) -> Result<Bytes, ApiError> {
    refuse_media_type(headers)?;
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > max_body as u64) {
        return Err(too_large(max_body));
    }
    match tokio::time::timeout(body_timeout, collect(payload, max_body)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ApiError {
            closes: true,
            ..ApiError::invalid_request(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "The request body did not arrive in time. Send it faster, or send less.",
            )
        }),
    }
}

/// Most bodies come in one piece, which is handed on as it is.
async fn collect(mut payload: Payload, max_body: usize) -> Result<Bytes, ApiError> {
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|_| broken_off())?;
        let so_far = first.len().saturating_add(body.len());
        if so_far.saturating_add(piece.len()) > max_body {
            return Err(too_large(max_body));
        }
        if first.is_empty() && body.is_empty() {
            first = piece;
            continue;
        }
        if !first.is_empty() {
            body.reserve(first.len().saturating_add(piece.len()).saturating_mul(2));
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
            ..ApiError::invalid_request(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                message,
            )
        })
    };
    if headers.contains_key(CONTENT_ENCODING) {
        return unsupported("The request body is compressed. Send it without Content-Encoding.");
    }
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json = media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    match is_json {
        true => Ok(()),
        false => unsupported(
            "The request must be JSON. Send it with the header Content-Type: application/json.",
        ),
    }
}

fn too_large(max_body: usize) -> ApiError {
    ApiError {
        closes: true,
        ..ApiError::invalid_request(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!("The request body is larger than {max_body} bytes. Send a shorter one."),
        )
    }
}

fn broken_off() -> ApiError {
    ApiError {
        closes: true,
        ..ApiError::invalid_request(
            StatusCode::BAD_REQUEST,
            "invalid_json",
            "The request body broke off before its end. Send all of it.",
        )
    }
}
