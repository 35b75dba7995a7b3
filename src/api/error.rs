//! Every error a caller can see, in OpenAI's envelope; the only place that maps to a status.
//!
//! Three kinds of trouble meet here.
//!
//! - The caller's own (a [`Rejection`], a wrong key, a body too large) are 4xx and name the
//!   parameter and the cure.
//! - Failures that are worth another try (nothing was sent, a rate limit, fal's own 5xx, which it
//!   does not bill) are 429 or 5xx: clients repeat those by themselves.
//! - Failures that may have been paid for, or that no other try can cure, are 400 with the type
//!   `invalid_request_error`, and the `code` tells them apart. OpenAI's SDKs heed
//!   `x-should-retry: false`, which comes with them, but most agents and frameworks do not: they
//!   repeat every 5xx and every `server_error`, and each of those tries would be paid for. A 400
//!   is repeated by none. In the error frame of a stream, which has no status, they go by the
//!   type, and some repeat every type that OpenAI does not have.
//!
//! The log and the metrics tell whose failure it was ([`ErrorSource`]), whatever the status.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};

use crate::engine::Failure;
use crate::observe::record::ErrorSource;
use crate::translate::reading::Fault;
use crate::translate::rejection::{Cause, Rejection};
use crate::upstream::{Lacking, Refusal, RefusalKind, UpstreamError};
use crate::wire::openai::error::{ErrorBody, ErrorResponse};

const INVALID_REQUEST: &str = "invalid_request_error";
const SERVER_ERROR: &str = "server_error";
const RATE_LIMIT: &str = "rate_limit_error";
/// Added to the message of a final error in a frame. LiteLLM, and aider with it, looks for this
/// type in the message of a frame and nowhere else, and repeats the request if it is not there.
const FINAL: &str = " Clients must not repeat the request by themselves (invalid_request_error).";

/// fal's id of a request, on answers and errors alike.
pub const FAL_REQUEST_ID: HeaderName = HeaderName::from_static("x-fal-request-id");
/// Tells OpenAI's SDKs whether to repeat a failed request.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A refusal or failure as the caller gets it.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub kind: &'static str,
    pub code: &'static str,
    /// Whose failure it is, for the log and the metrics.
    pub source: ErrorSource,
    pub param: Option<Box<str>>,
    pub message: Box<str>,
    /// `Some(false)` where fal may have been paid.
    pub should_retry: Option<bool>,
    pub retry_after_s: Option<u32>,
    pub fal_request_id: Option<Box<str>>,
    /// The method that the path is served under, where it was asked under another.
    pub allow: Option<&'static str>,
    /// Whether the connection is closed after this answer, because input is left unread on it.
    pub closes: bool,
}

impl ApiError {
    /// A refusal of the request itself.
    pub fn invalid_request(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Box<str>>,
    ) -> Self {
        Self {
            status,
            kind: INVALID_REQUEST,
            code,
            source: ErrorSource::Caller,
            param: None,
            message: message.into(),
            should_retry: None,
            retry_after_s: None,
            fal_request_id: None,
            allow: None,
            closes: false,
        }
    }

    /// A failure of the gateway's that another try may not meet.
    pub fn server_error(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Box<str>>,
    ) -> Self {
        Self {
            kind: SERVER_ERROR,
            source: ErrorSource::Gateway,
            ..Self::invalid_request(status, code, message)
        }
    }

    /// A failure of fal's that cost nothing, so that the client may try again.
    pub fn repeatable(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self {
            source: ErrorSource::Upstream,
            ..Self::server_error(status, code, message)
        }
    }

    /// A failure that may have been paid for, or that no other try can cure.
    pub fn not_repeatable(code: &'static str, message: &str) -> Self {
        Self {
            source: ErrorSource::Upstream,
            should_retry: Some(false),
            ..Self::invalid_request(StatusCode::BAD_REQUEST, code, message)
        }
    }

    /// A request header whose value is of no use.
    pub fn invalid_header(name: &str, cure: &str) -> Self {
        let message = format!("Invalid header '{name}'. {cure}");
        Self {
            param: Some(name.into()),
            ..Self::invalid_request(StatusCode::BAD_REQUEST, "invalid_value", message)
        }
    }

    /// A failure that can only come from a mistake in this program. `has_called_fal` tells whether
    /// the request may have been paid for by then.
    pub fn bug(has_called_fal: bool) -> Self {
        const CODE: &str = "internal_error";
        const MESSAGE: &str =
            "The gateway failed because of a bug of its own. Please report it with the request id.";
        let error = match has_called_fal {
            true => Self::not_repeatable(CODE, MESSAGE),
            false => Self::server_error(StatusCode::INTERNAL_SERVER_ERROR, CODE, MESSAGE),
        };
        Self {
            source: ErrorSource::Gateway,
            should_retry: Some(false),
            ..error
        }
    }

    /// Why a run has no answer. `key_is_callers` tells whose key fal was shown.
    pub fn failure(failure: &Failure, key_is_callers: bool) -> Self {
        let error = match failure {
            Failure::Rejected(rejection) => Self::from(rejection.clone()),
            Failure::Call { error, .. } => Self::upstream(error, key_is_callers),
            Failure::Upload(error) => Self::upload(error, key_is_callers),
            Failure::Answer { fault, .. } => Self::fault(*fault),
            Failure::Stopping => Self {
                retry_after_s: Some(1),
                ..Self::server_error(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "shutting_down",
                    "The gateway is shutting down. Nothing was sent; the request can be repeated.",
                )
            },
            Failure::Bug => Self::bug(true),
        };
        Self {
            fal_request_id: failure.request_id().map(Into::into),
            ..error
        }
    }

    /// The same failure, where something else of the request may have been paid for.
    pub fn after_payment(self) -> Self {
        if !self.status.is_server_error() && self.status != StatusCode::TOO_MANY_REQUESTS {
            return Self {
                should_retry: Some(false),
                ..self
            };
        }
        // After its first sentence a repeatable failure says that it can be repeated.
        let what = self
            .message
            .split_inclusive(". ")
            .next()
            .unwrap_or_default();
        let message = format!(
            "{} Other calls of this request may have been paid for.",
            what.trim_end()
        );
        Self {
            source: self.source,
            param: self.param,
            fal_request_id: self.fal_request_id,
            ..Self::not_repeatable(self.code, &message)
        }
    }

    /// What became of a call to fal. `key_is_callers` tells whose key fal was shown.
    pub fn upstream(error: &UpstreamError, key_is_callers: bool) -> Self {
        match error {
            UpstreamError::Unreachable(_) => Self::repeatable(
                StatusCode::BAD_GATEWAY,
                "upstream_unreachable",
                "The gateway cannot reach fal. Nothing was sent; the request can be repeated.",
            ),
            UpstreamError::ConnectTimedOut => Self::repeatable(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "The gateway could not connect to fal in time. Nothing was sent; the request can be repeated.",
            ),
            UpstreamError::TimedOut => Self::fault(Fault::TimedOut),
            UpstreamError::Disconnected => Self::fault(Fault::Disconnected),
            UpstreamError::Unusable(reason) => Self::fault(Fault::Unusable(reason)),
            UpstreamError::UnusableHead(reason, request_id) => Self {
                fal_request_id: request_id.as_deref().map(Into::into),
                ..Self::fault(Fault::Unusable(reason))
            },
            UpstreamError::Refused(refusal) => Self::refusal(refusal, key_is_callers),
        }
    }

    /// How an answer went wrong after its head.
    pub fn fault(fault: Fault) -> Self {
        match fault {
            Fault::Disconnected => Self::not_repeatable(
                "upstream_disconnected",
                "fal closed the connection before its answer was complete.",
            ),
            Fault::TimedOut => {
                Self::not_repeatable("upstream_timeout", "fal did not answer in time.")
            }
            Fault::Unusable(_) => Self::not_repeatable(
                "upstream_invalid_response",
                "fal sent something that is not an answer.",
            ),
            Fault::Model => Self::not_repeatable(
                "upstream_error",
                "fal reported that the model failed to answer.",
            ),
            Fault::Revised => Self::not_repeatable(
                "upstream_revised",
                "fal took back text that had already been delivered.",
            ),
            Fault::ToolCall => Self::not_repeatable(
                "tool_call_invalid",
                "The model wrote a tool call that is not valid, even when asked again. Simplify the tool, or take another model.",
            ),
            Fault::ToolChoice => Self::not_repeatable(
                "tool_choice_not_met",
                "The model did not make the tool call that was required, even when asked again.",
            ),
            Fault::JsonSchema => Self::not_repeatable(
                "json_schema_not_met",
                "The model's answer does not match the format that was asked for, even when asked again.",
            ),
            Fault::ContextLength => context_length(None),
            Fault::Busy => busy(),
            Fault::ShuttingDown => Self {
                source: ErrorSource::Gateway,
                ..Self::not_repeatable(
                    "shutting_down",
                    "The gateway is shutting down and could not finish the answer.",
                )
            },
        }
    }

    /// Unlike a failed call of a model, a failed upload costs nothing. It may be repeated unless fal
    /// has said that this will not help.
    fn upload(error: &UpstreamError, key_is_callers: bool) -> Self {
        match error {
            UpstreamError::Unreachable(_) | UpstreamError::ConnectTimedOut => {
                Self::upstream(error, key_is_callers)
            }
            UpstreamError::Refused(refusal)
                if matches!(
                    refusal.kind,
                    RefusalKind::Key
                        | RefusalKind::Forbidden
                        | RefusalKind::Balance
                        | RefusalKind::Busy
                        | RefusalKind::Unavailable
                ) =>
            {
                Self::upstream(error, key_is_callers)
            }
            UpstreamError::Refused(refusal) if refusal.status < 500 => Self::not_repeatable(
                "upstream_upload_failed",
                "fal's storage refused an image of the request. No model was called.",
            ),
            UpstreamError::TimedOut => Self::repeatable(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "fal's storage did not take an image of the request in time. No model was called; \
                 the request can be repeated.",
            ),
            UpstreamError::Disconnected
            | UpstreamError::Unusable(_)
            | UpstreamError::UnusableHead(..)
            | UpstreamError::Refused(_) => Self::repeatable(
                StatusCode::BAD_GATEWAY,
                "upstream_upload_failed",
                "fal's storage did not take an image of the request. No model was called; \
                 the request can be repeated.",
            ),
        }
    }

    fn refusal(refusal: &Refusal, key_is_callers: bool) -> Self {
        let mut error = match &refusal.kind {
            RefusalKind::Key if key_is_callers => Self::invalid_request(
                StatusCode::UNAUTHORIZED,
                "invalid_api_key",
                "fal rejected the key you sent. This gateway passes keys through: send your fal key as the \
                 OpenAI API key, or set FAL_KEY on the gateway.",
            ),
            RefusalKind::Forbidden if key_is_callers => Self::invalid_request(
                StatusCode::UNAUTHORIZED,
                "invalid_api_key",
                "fal does not let the key you sent use this model. Check its scopes in fal's dashboard.",
            ),
            RefusalKind::Key | RefusalKind::Forbidden => Self::not_repeatable(
                "upstream_auth_failed",
                "fal rejected the gateway's own key. Its operator has to check FAL_KEY.",
            ),
            RefusalKind::Balance => insufficient_quota(),
            RefusalKind::UnknownApp => Self::not_repeatable(
                "upstream_not_found",
                "fal does not know the application that this gateway is set up for. Its operator has to check fal.app.",
            ),
            RefusalKind::Busy => busy(),
            RefusalKind::Unavailable => Self::repeatable(
                StatusCode::SERVICE_UNAVAILABLE,
                "upstream_unavailable",
                "fal is not available at the moment. Try again later.",
            ),
            RefusalKind::TimedOut => Self::repeatable(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "fal gave up on the request because it took too long.",
            ),
            RefusalKind::Failed => Self::repeatable(
                StatusCode::BAD_GATEWAY,
                "upstream_error",
                "fal failed to answer the request.",
            ),
            RefusalKind::Credit => Self::repeatable(
                StatusCode::BAD_GATEWAY,
                "upstream_error",
                "fal's own account with its provider has no credit left. fal has to see to that.",
            ),
            RefusalKind::Unexpected => Self::not_repeatable(
                "upstream_error",
                "fal answered with a status that the gateway does not know.",
            ),
            of_input => refused_input(of_input, refusal.said.as_deref()),
        };
        error.retry_after_s = error.retry_after_s.or(refusal.retry_after_s);
        error.fal_request_id = refusal.request_id.as_deref().map(Into::into);
        error
    }

    /// The envelope as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        self.to_json_with(&self.message)
    }

    /// The envelope as JSON, for a frame inside a stream: no status says there whether the request
    /// can be repeated.
    pub fn to_frame_json(&self) -> Vec<u8> {
        if self.kind == INVALID_REQUEST {
            self.to_json_with(&format!("{}{FINAL}", self.message))
        } else {
            self.to_json()
        }
    }

    fn to_json_with(&self, message: &str) -> Vec<u8> {
        let body = ErrorResponse {
            error: ErrorBody {
                message,
                kind: self.kind,
                param: self.param.as_deref(),
                code: Some(self.code),
                fal_request_id: self.fal_request_id.as_deref(),
            },
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// What a model cannot do that a request asks for, and the parameter that asks for it.
fn lacked(lacking: Lacking) -> (&'static str, &'static str) {
    match lacking {
        Lacking::Tools => (
            "tools",
            "Unsupported value: the model takes no tools. Take another model, or leave 'tools' out.",
        ),
        Lacking::Format => (
            "response_format",
            "Unsupported value: the model does not take this 'response_format'. Take another model, or another format.",
        ),
        Lacking::Images => (
            "messages",
            "Unsupported value: the model cannot see images. Take one with vision, such as \
             'google/gemini-2.5-flash', or send text alone.",
        ),
        Lacking::NoReasoning => (
            "reasoning",
            "Unsupported value: the model cannot answer without reasoning. Leave 'reasoning' and 'reasoning_effort' \
             out, or take another model.",
        ),
        Lacking::Parameters => (
            "model",
            "Unsupported value: the model does not take all parameters of the request. Send fewer, or take another \
             model.",
        ),
    }
}

/// fal refused the input, for a reason that is the caller's to mend.
fn refused_input(kind: &RefusalKind, said: Option<&str>) -> ApiError {
    let said = said.map(|words| format!(" fal says: {words}"));
    let said = said.unwrap_or_default();
    let bad_request =
        |code, message: &str| ApiError::invalid_request(StatusCode::BAD_REQUEST, code, message);
    match kind {
        RefusalKind::UnknownModel { .. } => ApiError {
            param: Some("model".into()),
            ..ApiError::invalid_request(
                StatusCode::NOT_FOUND,
                "model_not_found",
                "fal does not serve this model. GET /v1/models lists the models.",
            )
        },
        RefusalKind::ContextLength => context_length(None),
        RefusalKind::TooLong { limit, .. } => context_length(*limit),
        RefusalKind::ContentPolicy => ApiError {
            param: Some("messages".into()),
            ..bad_request(
                "content_policy_violation",
                "fal refused the request under its content policy.",
            )
        },
        RefusalKind::Image => ApiError {
            param: Some("messages".into()),
            ..bad_request(
                "invalid_image_url",
                "fal could not fetch or read an image of the request.",
            )
        },
        RefusalKind::Lacks(lacking) => {
            let (param, message) = lacked(*lacking);
            ApiError {
                param: Some(param.into()),
                ..bad_request("unsupported_value", message)
            }
        }
        RefusalKind::Field(field) => ApiError {
            param: Some(our_name(field).into()),
            ..bad_request(
                "upstream_rejected",
                &format!("fal refused the value of '{}'.{said}", our_name(field)),
            )
        },
        _ => bad_request(
            "upstream_rejected",
            &format!("fal refused the request as invalid.{said}"),
        ),
    }
}

/// OpenAI's name for what fal calls something else.
fn our_name(field: &str) -> &str {
    match field {
        "prompt" | "system_prompt" | "image_urls" | "image_url" => "messages",
        "reasoning" => "reasoning_effort",
        other => other,
    }
}

fn context_length(limit: Option<u64>) -> ApiError {
    let message = match limit {
        Some(limit) => format!(
            "The conversation is too long: fal takes at most {limit} characters. Shorten it."
        ),
        None => "The conversation is too long for the model. Shorten it.".to_owned(),
    };
    ApiError {
        param: Some("messages".into()),
        ..ApiError::invalid_request(StatusCode::BAD_REQUEST, "context_length_exceeded", message)
    }
}

fn busy() -> ApiError {
    ApiError {
        kind: RATE_LIMIT,
        ..ApiError::repeatable(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            "fal is handling as many requests as it accepts at once. Try again in a moment.",
        )
    }
}

fn insufficient_quota() -> ApiError {
    ApiError {
        kind: "insufficient_quota",
        should_retry: Some(false),
        ..ApiError::repeatable(
            StatusCode::TOO_MANY_REQUESTS,
            "insufficient_quota",
            "The fal account has no balance left. Top it up in fal's dashboard.",
        )
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let status = match rejection.cause {
            Cause::UnknownModel => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        };
        Self {
            param: rejection.param.map(Into::into),
            ..Self::invalid_request(status, rejection.cause.code(), rejection.message)
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.status.as_u16(), self.code)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        if let Some(should_retry) = self.should_retry {
            response.insert_header((SHOULD_RETRY, if should_retry { "true" } else { "false" }));
        }
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(id) = self
            .fal_request_id
            .as_deref()
            .and_then(|id| HeaderValue::from_str(id).ok())
        {
            response.insert_header((FAL_REQUEST_ID, id));
        }
        if let Some(method) = self.allow {
            response.insert_header((ALLOW, method));
        }
        if self.closes {
            response.force_close();
        }
        response.body(self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The framework asks for the status apart from the response, and prints the error.
    #[test]
    fn nobody_is_told_to_repeat_what_was_partly_paid() {
        let error = busy().after_payment();
        assert_eq!(error.status, StatusCode::BAD_REQUEST);
        assert!(!error.message.contains("Try again"), "{}", error.message);
        assert!(error.message.ends_with("may have been paid for."));
    }

    #[test]
    fn an_error_has_one_status_however_it_is_asked_for() {
        let error = ApiError::invalid_request(StatusCode::IM_A_TEAPOT, "teapot", "A prompt.");
        assert_eq!(error.status_code(), error.error_response().status());
        assert_eq!(error.to_string(), "418 teapot");
    }
}
