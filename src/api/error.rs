//! A [`Problem`] on its way out as an HTTP answer. The face of the route writes the body, so an
//! error gets it in [`scope::enter`](super::scope::enter), which knows the route.
//!
//! [`Problem`]: crate::translate::problem::Problem

use std::fmt;

use actix_web::body::{BoxBody, EitherBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, UPGRADE};
use actix_web::{HttpResponse, ResponseError};

use crate::observe::record::ErrorSource;
use crate::translate::face::WrittenProblem;
use crate::translate::problem::{Problem, ProblemKind, Source};
use crate::translate::rejection::Rejection;

/// fal's id of a request, on answers and errors alike.
pub const FAL_REQUEST_ID: HeaderName = HeaderName::from_static("x-fal-request-id");
/// Tells SDKs whether to repeat a failed request.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Says that an answer is one that was given before, and what it is.
pub const REPLAYED: HeaderName = HeaderName::from_static("x-gateway-replayed");

/// A refusal or failure as the caller gets it.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub problem: Box<Problem>,
    /// The method that the path is served under, where it was asked under another.
    pub allow: Option<&'static str>,
    /// Whether the connection is closed after this answer, because input is left unread on it.
    pub closes: bool,
    /// Whether it is the failure of an earlier request, told again.
    pub is_replayed: bool,
}

impl ApiError {
    /// A refusal of the request itself.
    pub fn refusal(kind: ProblemKind, code: &'static str, message: impl Into<Box<str>>) -> Self {
        Problem::new(kind, code, message).into()
    }

    /// A request header whose value is of no use.
    pub fn invalid_header(name: &str, cure: &str) -> Self {
        let message = format!("Invalid header '{name}'. {cure}");
        let problem = Problem::new(ProblemKind::Invalid, "invalid_value", message);
        problem.about(name).into()
    }

    /// What the log and the metrics are told of it.
    pub fn label(&self) -> (&'static str, ErrorSource) {
        label(&self.problem)
    }
}

/// What the log and the metrics are told of a problem: its code, and whose it is.
pub fn label(problem: &Problem) -> (&'static str, ErrorSource) {
    let source = match problem.source {
        Source::Caller => ErrorSource::Caller,
        Source::Upstream => ErrorSource::Upstream,
        Source::Gateway => ErrorSource::Gateway,
    };
    (problem.code, source)
}

/// Gives an answer that is an error its body; what else its head says stays.
pub fn write_body<B>(
    response: ServiceResponse<EitherBody<B>>,
    write: impl FnOnce(&Problem) -> WrittenProblem,
) -> ServiceResponse<EitherBody<B>> {
    let error = response.response().error();
    let error = error.and_then(|error| error.as_error::<ApiError>());
    let Some(written) = error.map(|error| write(&error.problem)) else {
        return response;
    };
    response.map_body(|head, _| {
        head.status = status(written.status);
        EitherBody::right(BoxBody::new(written.body))
    })
}

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self {
            problem: Box::new(problem),
            allow: None,
            closes: false,
            is_replayed: false,
        }
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Problem::from(rejection).into()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { kind, code, .. } = self.problem.as_ref();
        write!(formatter, "{} {code}", kind.status())
    }
}

/// The head of the answer. The body depends on the route.
impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        status(self.problem.kind.status())
    }

    fn error_response(&self) -> HttpResponse {
        let problem = &self.problem;
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        if let Some(should_retry) = problem.should_retry {
            response.insert_header((SHOULD_RETRY, if should_retry { "true" } else { "false" }));
        }
        if let Some(seconds) = problem.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds));
        }
        let id = problem.fal_request_id.as_deref();
        if let Some(id) = id.and_then(|id| HeaderValue::from_str(id).ok()) {
            response.insert_header((FAL_REQUEST_ID, id));
        }
        if self.is_replayed {
            response.insert_header((REPLAYED, HeaderValue::from_static("failure")));
        }
        if let Some(method) = self.allow {
            response.insert_header((ALLOW, method));
        }
        if problem.kind == ProblemKind::NoWebSocket {
            response.insert_header((UPGRADE, HeaderValue::from_static("HTTP/1.1")));
        }
        if self.closes {
            response.force_close();
        }
        response.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The framework asks for the status apart from the response, and prints the error.
    #[test]
    fn an_error_has_one_status_however_it_is_asked_for() {
        let error = ApiError::refusal(ProblemKind::TooLarge, "too_large", "Less.");
        assert_eq!(error.status_code(), error.error_response().status());
        assert_eq!(error.to_string(), "413 too_large");
    }
}
