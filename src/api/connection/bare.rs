//! The words that the dispatcher's own refusals lack. What it cannot parse, and a head that does
//! not come in time, it answers with a status and nothing else, before any of our code is asked.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::super::error::ApiError;
use super::super::scope;
use crate::observe::metrics::Metrics;
use crate::observe::record::Record;

/// The dispatcher's refusals are shorter than this, and nothing of ours is.
const LONGEST: usize = 256;

/// What is to be sent in place of `written`, if that is a bare refusal; it is recorded as one.
pub(super) fn refusal(written: &[u8], metrics: &Arc<Metrics>) -> Option<Bytes> {
    let head = std::str::from_utf8(written.get(..written.len().min(LONGEST))?).ok()?;
    let (_, status) = head.split_once("HTTP/1.")?.1.split_once(' ')?;
    let error = match status.get(..3)? {
        "400" => malformed(),
        "408" => too_slow(),
        "431" => too_large(),
        _ => return None,
    };
    let is_bare = head.ends_with("\r\n\r\n")
        && head.contains("\r\ncontent-length: 0\r\n")
        && !head.contains(scope::REQUEST_ID.as_str());
    if !is_bare {
        return None;
    }
    let record = Record::start(metrics.clone(), scope::fresh_id(), "other");
    record.status(error.status.as_u16());
    record.error(error.code, error.source);
    record.complete();
    Some(write(&error, record.request_id()))
}

fn write(error: &ApiError, request_id: &str) -> Bytes {
    let status = error.status;
    let body = error.to_json();
    let mut headers = HeaderMap::new();
    scope::protect(&mut headers);
    let mut head = format!(
        "HTTP/1.1 {} {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{}: {request_id}\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len(),
        scope::REQUEST_ID,
    );
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        Some(format!("{name}: {}\r\n", value.to_str().ok()?))
    };
    head.extend(headers.iter().filter_map(line));
    head.push_str("\r\n");
    [head.as_bytes(), &body].concat().into()
}

fn malformed() -> ApiError {
    ApiError::invalid_request(
        StatusCode::BAD_REQUEST,
        "malformed_request",
        "The request is not valid HTTP/1.1. It needs one Host header, one length or chunks, and no line that HTTP does not know. HTTPS and HTTP/2 are not spoken here.",
    )
}

fn too_slow() -> ApiError {
    ApiError::invalid_request(
        StatusCode::REQUEST_TIMEOUT,
        "request_timeout",
        "The head of the request did not arrive in time. Send it faster.",
    )
}

fn too_large() -> ApiError {
    ApiError::invalid_request(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "headers_too_large",
        "The head of the request is too large. Send at most 96 headers, and 128 KiB of them.",
    )
}
