//! Problems in OpenAI's envelope, which several APIs share (source: OpenAI's `ErrorResponse`).
//!
//! What may have been paid for, or what no other try can cure, is a 400 with the type
//! `invalid_request_error`, and the `code` tells the cases apart. OpenAI's SDKs heed
//! `x-should-retry: false`, which comes with it, but most agents and frameworks do not: they repeat
//! every 5xx and every `server_error`, and each of those tries would be paid for. A 400 is repeated
//! by none. In the error frame of a stream, which has no status, they go by the type, and some
//! repeat every type that OpenAI does not have.

use super::WrittenProblem;
use crate::translate::problem::{Problem, ProblemKind};
use crate::wire::openai::error::{ErrorBody, ErrorResponse};

pub(super) const INVALID_REQUEST: &str = "invalid_request_error";
/// Added to the message of a final error in a frame. LiteLLM, and aider with it, looks for this
/// type in the message of a frame and nowhere else, and repeats the request if it is not there.
pub(super) const FINAL: &str =
    " Clients must not repeat the request by themselves (invalid_request_error).";

/// A problem in place of an answer.
pub fn write(problem: &Problem) -> WrittenProblem {
    WrittenProblem {
        status: problem.kind.status(),
        body: envelope(problem, &problem.message),
    }
}

/// The envelope for a frame inside a stream: no status says there whether the request can be
/// repeated.
pub fn frame_envelope(problem: &Problem) -> Vec<u8> {
    match type_of(problem.kind) {
        INVALID_REQUEST => envelope(problem, &format!("{}{FINAL}", problem.message)),
        _ => envelope(problem, &problem.message),
    }
}

fn envelope(problem: &Problem, message: &str) -> Vec<u8> {
    let body = ErrorResponse {
        error: ErrorBody {
            message,
            kind: type_of(problem.kind),
            param: problem.param.as_deref(),
            code: Some(problem.code),
        },
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

/// OpenAI's `type`.
fn type_of(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::RateLimited => "rate_limit_error",
        ProblemKind::TooManyRequests => "requests",
        ProblemKind::TooManyTokens => "tokens",
        ProblemKind::NoBalance => "insufficient_quota",
        ProblemKind::Internal
        | ProblemKind::BadUpstream
        | ProblemKind::Unavailable
        | ProblemKind::Timeout
        | ProblemKind::Overloaded => "server_error",
        ProblemKind::Invalid
        | ProblemKind::Unauthenticated
        | ProblemKind::Forbidden
        | ProblemKind::NotFound
        | ProblemKind::WrongMethod
        | ProblemKind::NoWebSocket
        | ProblemKind::Stale
        | ProblemKind::TooSlow
        | ProblemKind::TooLarge
        | ProblemKind::HeadTooLarge
        | ProblemKind::MediaType
        | ProblemKind::Conflict
        | ProblemKind::Mismatch
        | ProblemKind::Final => INVALID_REQUEST,
    }
}
