//! Request bodies, read with limits on size and time, whose refusals speak OpenAI.
#![deny(clippy::arithmetic_side_effects)]

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures::StreamExt;

use super::error::ApiError;
use super::gateway::{Gateway, Held};
use super::scope::unavailable;
use crate::config;

/// Reads a JSON body of at most `server.max_body` bytes within `server.body_timeout`. What comes
/// with it is the memory that it takes up, to be kept as long as the body.
///
/// The time limit covers the whole body, so a client that sends a byte now and then cannot keep a
/// request open.
///
/// # Errors
/// 415 for a body that is not plain JSON, 413 when it is too large, 408 when it takes too long,
/// 400 when it breaks off, 503 when the bodies of all requests take up too much.
pub async fn json_body(
    headers: &HeaderMap,
    payload: Payload,
    gateway: &Arc<Gateway>,
) -> Result<(Bytes, Held), ApiError> {
    let config::Server {
        max_body,
        body_timeout,
        ..
    } = gateway.config.server;
    refuse_media_type(headers)?;
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > max_body as u64) {
        return Err(too_large(max_body));
    }
    let mut held = gateway.hold();
    match tokio::time::timeout(body_timeout, collect(payload, max_body, &mut held)).await {
        Ok(outcome) => outcome.map(|body| (body, held)),
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
async fn collect(
    mut payload: Payload,
    max_body: usize,
    held: &mut Held,
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

fn too_many() -> ApiError {
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
        ..ApiError::invalid_request(
            StatusCode::BAD_REQUEST,
            "invalid_json",
            "The request body broke off before its end. Send all of it.",
        )
    }
}
