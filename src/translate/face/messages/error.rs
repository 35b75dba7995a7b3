//! Problems in Anthropic's envelope (source: platform.claude.com/docs/en/api/errors).
//!
//! As in every API here, what may have been paid for is a 400: no client repeats that. 529 is only
//! for what was not sent at all, because clients repeat it whatever the headers say.

use crate::translate::face::WrittenProblem;
use crate::translate::problem::{Problem, ProblemKind};
use crate::wire::anthropic::error::{ErrorBody, ErrorDetails, ErrorResponse};

/// The code of the refusal that makes SDKs send the whole conversation from then on.
pub const THREAD_UNSUPPORTED: &str = "thread_unsupported_request";

/// A problem in place of an answer.
pub fn write(problem: &Problem, request_id: &str) -> WrittenProblem {
    WrittenProblem {
        status: status(problem.kind),
        body: envelope(problem, request_id),
    }
}

/// The envelope, which is also the data of a stream's `error` event.
pub fn envelope(problem: &Problem, request_id: &str) -> Vec<u8> {
    let param = problem.param.as_deref();
    let is_thread = problem.code == THREAD_UNSUPPORTED;
    let response = ErrorResponse {
        kind: "error",
        error: ErrorBody {
            kind: type_of(problem.kind),
            message: &message(problem),
            details: ErrorDetails {
                error_code: problem.code,
                unsupported: param.filter(|_| is_thread).map(|param| [param]),
                param,
            },
        },
        request_id,
    };
    serde_json::to_vec(&response).unwrap_or_default()
}

/// The message begins with the field that it is about. Claude Code knows by its words that a
/// conversation is too long, and shortens it; where no shortening helps, the code is another.
fn message(problem: &Problem) -> String {
    let said = &problem.message;
    if problem.code == "context_length_exceeded" {
        return match problem.tokens {
            Some(limit) => format!(
                "prompt is too long: {} tokens > {} maximum",
                limit.wanted, limit.most
            ),
            None => format!("prompt is too long: {said}"),
        };
    }
    match problem.param.as_deref() {
        Some(param) if !said.contains(&format!("'{param}'")) => format!("{param}: {said}"),
        _ => said.to_string(),
    }
}

fn status(kind: ProblemKind) -> u16 {
    match kind {
        ProblemKind::NoBalance => 402,
        ProblemKind::Overloaded => 529,
        kind => kind.status(),
    }
}

fn type_of(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Unauthenticated => "authentication_error",
        ProblemKind::NoBalance => "billing_error",
        ProblemKind::Forbidden => "permission_error",
        ProblemKind::NotFound => "not_found_error",
        ProblemKind::TooLarge => "request_too_large",
        ProblemKind::RateLimited | ProblemKind::TooManyRequests | ProblemKind::TooManyTokens => {
            "rate_limit_error"
        }
        ProblemKind::Overloaded => "overloaded_error",
        ProblemKind::Timeout => "timeout_error",
        ProblemKind::Internal | ProblemKind::BadUpstream | ProblemKind::Unavailable => "api_error",
        ProblemKind::Invalid
        | ProblemKind::WrongMethod
        | ProblemKind::NoWebSocket
        | ProblemKind::Stale
        | ProblemKind::TooSlow
        | ProblemKind::HeadTooLarge
        | ProblemKind::MediaType
        | ProblemKind::Conflict
        | ProblemKind::Mismatch
        | ProblemKind::Final => "invalid_request_error",
    }
}
