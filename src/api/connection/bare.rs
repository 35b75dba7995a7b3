//! The words that the dispatcher's own refusals lack. What it cannot parse, and a head that does
//! not come in time, it answers with a status and nothing else, before any of our code is asked.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::super::error;
use super::super::scope;
use crate::observe::metrics::Metrics;
use crate::observe::record::Record;
use crate::translate::face::{WrittenProblem, error_object};
use crate::translate::problem::{Problem, ProblemKind};

/// The dispatcher's refusals are shorter than this, and nothing of ours is.
const LONGEST: usize = 256;

/// What is to be sent in place of `written`, if that is a bare refusal; it is recorded as one.
pub(super) fn refusal(written: &[u8], metrics: &Arc<Metrics>) -> Option<Bytes> {
    let head = std::str::from_utf8(written.get(..written.len().min(LONGEST))?).ok()?;
    let (_, status) = head.split_once("HTTP/1.")?.1.split_once(' ')?;
    let problem = match status.get(..3)? {
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
    let (code, source) = error::label(&problem);
    record.status(problem.kind.status());
    record.error(code, source);
    record.complete();
    Some(write(&problem, record.request_id()))
}

/// No route is known yet, so OpenAI's envelope has to do for everybody.
fn write(problem: &Problem, request_id: &str) -> Bytes {
    let WrittenProblem { status, body } = error_object::write(problem);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
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

fn malformed() -> Problem {
    Problem::new(
        ProblemKind::Invalid,
        "malformed_request",
        "The request is not valid HTTP/1.1. It needs one Host header, one length or chunks, and no line that HTTP does not know. HTTPS and HTTP/2 are not spoken here.",
    )
}

fn too_slow() -> Problem {
    Problem::new(
        ProblemKind::TooSlow,
        "request_timeout",
        "The head of the request did not arrive in time. Send it faster.",
    )
}

fn too_large() -> Problem {
    Problem::new(
        ProblemKind::HeadTooLarge,
        "headers_too_large",
        "The head of the request is too large. Send at most 96 headers, and 128 KiB of them.",
    )
}
