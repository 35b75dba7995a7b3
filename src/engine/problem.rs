//! What a caller is told of a run that has no answer.
//!
//! Three kinds of trouble meet here.
//!
//! - The caller's own (a [`Rejection`](crate::translate::rejection::Rejection), a key that fal
//!   refuses) name the parameter and the cure.
//! - Failures that are worth another try (nothing was sent, a rate limit, fal's own 5xx, which it
//!   does not bill) have kinds that clients repeat by themselves.
//! - Failures that may have been paid for, or that no other try can cure, are
//!   [`ProblemKind::Final`]: no face gives them a status or a type that clients repeat.

use super::Failure;
use crate::translate::ask::{Ask, FieldNames};
use crate::translate::problem::{Problem, ProblemKind, Source};
use crate::translate::reading::Fault;
use crate::upstream::{Lacking, Refusal, RefusalKind, UpstreamError};

/// Whom a failure is told to.
#[derive(Clone, Copy, Debug)]
pub struct Audience {
    /// What the caller's API calls the fields of the request.
    pub names: &'static FieldNames,
    /// What the caller calls `max_tokens` and `priority`, which have several names.
    pub max_tokens: &'static str,
    pub priority: &'static str,
    /// Whether the key that fal was shown is the caller's.
    pub key_is_callers: bool,
}

impl Audience {
    /// Whoever asks this.
    pub fn of(ask: &Ask<'_>, key_is_callers: bool) -> Self {
        Self {
            names: ask.names,
            max_tokens: ask.sampling.max_tokens_name,
            priority: ask.priority_name,
            key_is_callers,
        }
    }
}

impl Failure {
    /// What the caller is told.
    pub fn to_problem(&self, audience: Audience) -> Problem {
        let problem = match self {
            Self::Rejected(rejection) => Problem::from(rejection.clone()),
            Self::Call {
                error, upstream, ..
            } => of_call(error, upstream.app_setting(), audience),
            Self::Upload(error) => of_upload(error, audience),
            Self::Answer { fault, .. } => of_fault(*fault, audience),
            Self::Stopping => Problem {
                retry_after_s: Some(1),
                source: Source::Gateway,
                ..Problem::new(
                    ProblemKind::Overloaded,
                    "shutting_down",
                    "The gateway is shutting down. Nothing was sent; the request can be repeated.",
                )
            },
            Self::Bug => Problem::bug(true),
        };
        Problem {
            fal_request_id: self.request_id().map(Into::into),
            ..problem
        }
    }
}

/// What became of a call to fal. `setting` is the one that says where it was made.
fn of_call(error: &UpstreamError, setting: &str, audience: Audience) -> Problem {
    match error {
        UpstreamError::Unreachable(_) => Problem::repeatable(
            ProblemKind::BadUpstream,
            "upstream_unreachable",
            "The gateway cannot reach fal. Nothing was sent; the request can be repeated.",
        ),
        UpstreamError::ConnectTimedOut => Problem::repeatable(
            ProblemKind::Timeout,
            "upstream_timeout",
            "The gateway could not connect to fal in time. Nothing was sent; the request can be repeated.",
        ),
        UpstreamError::TimedOut => of_fault(Fault::TimedOut, audience),
        UpstreamError::Disconnected => of_fault(Fault::Disconnected, audience),
        UpstreamError::Unusable(reason) => of_fault(Fault::Unusable(reason), audience),
        UpstreamError::UnusableHead(reason, request_id) => Problem {
            fal_request_id: request_id.as_deref().map(Into::into),
            ..of_fault(Fault::Unusable(reason), audience)
        },
        UpstreamError::Refused(refusal) => of_refusal(refusal, setting, audience),
    }
}

/// How an answer went wrong after its head.
fn of_fault(fault: Fault, audience: Audience) -> Problem {
    match fault {
        Fault::Disconnected => Problem::not_repeatable(
            "upstream_disconnected",
            "fal closed the connection before its answer was complete.",
        ),
        Fault::TimedOut => {
            Problem::not_repeatable("upstream_timeout", "fal did not answer in time.")
        }
        Fault::Unusable(_) => Problem::not_repeatable(
            "upstream_invalid_response",
            "fal sent something that is not an answer.",
        ),
        Fault::Model => Problem::not_repeatable(
            "upstream_error",
            "fal reported that the model failed to answer.",
        ),
        Fault::Revised => Problem::not_repeatable(
            "upstream_revised",
            "fal took back text that had already been delivered.",
        ),
        Fault::ToolCall => Problem::not_repeatable(
            "tool_call_invalid",
            "The model wrote a tool call that is not valid, even when asked again. Simplify the tool, or take another model.",
        ),
        Fault::ToolChoice => Problem::not_repeatable(
            "tool_choice_not_met",
            "The model did not make the tool call that was required, even when asked again.",
        ),
        Fault::JsonSchema => Problem::not_repeatable(
            "json_schema_not_met",
            "The model's answer does not match the format that was asked for, even when asked again.",
        ),
        Fault::ContextLength => context_length(None, audience),
        Fault::Busy => busy(),
        Fault::ShuttingDown => Problem {
            source: Source::Gateway,
            ..Problem::not_repeatable(
                "shutting_down",
                "The gateway is shutting down and could not finish the answer.",
            )
        },
    }
}

/// Unlike a failed call of a model, a failed upload costs nothing. It may be repeated unless fal
/// has said that this will not help.
fn of_upload(error: &UpstreamError, audience: Audience) -> Problem {
    const SETTING: &str = "fal.rest_url";
    match error {
        UpstreamError::Unreachable(_) | UpstreamError::ConnectTimedOut => {
            of_call(error, SETTING, audience)
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
            of_call(error, SETTING, audience)
        }
        UpstreamError::Refused(refusal) if refusal.status < 500 => Problem::not_repeatable(
            "upstream_upload_failed",
            "fal's storage refused a file of the request. No model was called.",
        ),
        UpstreamError::TimedOut => Problem::repeatable(
            ProblemKind::Timeout,
            "upstream_timeout",
            "fal's storage did not take a file of the request in time. No model was called; \
             the request can be repeated.",
        ),
        UpstreamError::Disconnected
        | UpstreamError::Unusable(_)
        | UpstreamError::UnusableHead(..)
        | UpstreamError::Refused(_) => Problem::repeatable(
            ProblemKind::BadUpstream,
            "upstream_upload_failed",
            "fal's storage did not take a file of the request. No model was called; \
             the request can be repeated.",
        ),
    }
}

fn of_refusal(refusal: &Refusal, setting: &str, audience: Audience) -> Problem {
    let mut error = match &refusal.kind {
        RefusalKind::Key if audience.key_is_callers => Problem::new(
            ProblemKind::Unauthenticated,
            "invalid_api_key",
            "fal rejected the key you sent. This gateway passes keys through: send your fal key as the \
             API key, or set FAL_KEY on the gateway.",
        ),
        RefusalKind::Forbidden if audience.key_is_callers => Problem::new(
            ProblemKind::Unauthenticated,
            "invalid_api_key",
            "fal does not let the key you sent use this model. Check its scopes in fal's dashboard.",
        ),
        RefusalKind::Key | RefusalKind::Forbidden => Problem::not_repeatable(
            "upstream_auth_failed",
            "fal rejected the gateway's own key. Its operator has to check FAL_KEY.",
        ),
        RefusalKind::Balance => insufficient_quota(),
        RefusalKind::UnknownApp => Problem::not_repeatable(
            "upstream_not_found",
            &format!(
                "fal does not know the application that this gateway is set up for. Its operator has to check {setting}."
            ),
        ),
        RefusalKind::Busy => busy(),
        RefusalKind::Unavailable => Problem::repeatable(
            ProblemKind::Unavailable,
            "upstream_unavailable",
            "fal is not available at the moment. Try again later.",
        ),
        RefusalKind::TimedOut => Problem::repeatable(
            ProblemKind::Timeout,
            "upstream_timeout",
            "fal gave up on the request because it took too long.",
        ),
        RefusalKind::Failed => Problem::repeatable(
            ProblemKind::BadUpstream,
            "upstream_error",
            "fal failed to answer the request.",
        ),
        RefusalKind::Provider => Problem::not_repeatable(
            "upstream_error",
            "The model's provider failed to answer the request, or could not take it.",
        ),
        RefusalKind::Credit => Problem::repeatable(
            ProblemKind::BadUpstream,
            "upstream_error",
            "fal's own account with its provider has no credit left. fal has to see to that.",
        ),
        RefusalKind::Unexpected => Problem::not_repeatable(
            "upstream_error",
            "fal answered with a status that the gateway does not know.",
        ),
        of_input => refused_input(of_input, refusal.said.as_deref(), audience),
    };
    error.retry_after_s = error.retry_after_s.or(refusal.retry_after_s);
    error.fal_request_id = refusal.request_id.as_deref().map(Into::into);
    error
}

/// fal refused the input, for a reason that is the caller's to mend.
fn refused_input(kind: &RefusalKind, said: Option<&str>, audience: Audience) -> Problem {
    let said = said.map(|words| format!(" fal says: {words}"));
    let said = said.unwrap_or_default();
    let bad_request = |code, message: &str| Problem::new(ProblemKind::Invalid, code, message);
    match kind {
        RefusalKind::UnknownModel { .. } => Problem::new(
            ProblemKind::NotFound,
            "model_not_found",
            "fal does not serve this model. GET /v1/models lists the models.",
        )
        .about("model"),
        RefusalKind::ContextLength => context_length(None, audience),
        RefusalKind::TooLong { limit, .. } => context_length(*limit, audience),
        RefusalKind::ContentPolicy => bad_request(
            "content_policy_violation",
            "fal refused the request under its content policy.",
        )
        .about(audience.names.asked),
        RefusalKind::Image => bad_request(
            "invalid_image_url",
            "fal could not fetch or read an image, a recording or a video of the request.",
        )
        .about(audience.names.asked),
        RefusalKind::Lacks(lacking) => {
            let (param, message) = lacked(*lacking, audience.names);
            bad_request("unsupported_value", &message).about(param)
        }
        RefusalKind::Field(field) => {
            let name = callers_name(field, audience);
            let message = format!("fal refused the value of '{name}'.{said}");
            bad_request("upstream_rejected", &message).about(name)
        }
        _ => bad_request(
            "upstream_rejected",
            &format!("fal refused the request as invalid.{said}"),
        ),
    }
}

/// What a model cannot do that a request asks for: the parameter that asks for it, and the cure.
fn lacked(lacking: Lacking, names: &FieldNames) -> (&'static str, String) {
    let FieldNames {
        asked,
        format,
        reasoning,
        ..
    } = *names;
    match lacking {
        Lacking::Tools => (
            "tools",
            "Unsupported value: the model takes no tools. Take another model, or leave 'tools' out.".to_owned(),
        ),
        Lacking::Format => (
            format,
            format!("Unsupported value: the model does not take this '{format}'. Take another model, or another format."),
        ),
        Lacking::Images => (
            asked,
            "Unsupported value: the model cannot see images. Take one with vision, such as \
             'google/gemini-2.5-flash', or send text alone."
                .to_owned(),
        ),
        Lacking::Audio | Lacking::Video => (
            asked,
            format!(
                "Unsupported value: the model takes no {}. Take one that does, such as \
                 'google/gemini-2.5-flash', or send text alone.",
                if lacking == Lacking::Audio { "audio" } else { "video" }
            ),
        ),
        Lacking::NoReasoning => (
            reasoning,
            format!(
                "Unsupported value: the model cannot answer without reasoning. Leave '{reasoning}' out, or take \
                 another model."
            ),
        ),
        Lacking::Parameters => (
            "model",
            "Unsupported value: the model does not take all parameters of the request. Send fewer, or take another \
             model."
                .to_owned(),
        ),
    }
}

/// The caller's name for what fal calls something else.
fn callers_name(field: &'static str, audience: Audience) -> &'static str {
    let names = audience.names;
    match field {
        "prompt" | "image_urls" | "image_url" | "audio_url" | "video_urls" => names.asked,
        "system_prompt" => names.instructions,
        "reasoning" => names.reasoning,
        "max_tokens" => audience.max_tokens,
        "priority" => audience.priority,
        other => other,
    }
}

fn context_length(limit: Option<u64>, audience: Audience) -> Problem {
    let message = match limit {
        Some(limit) => format!(
            "The conversation is too long: fal takes at most {limit} characters. Shorten it."
        ),
        None => "The conversation is too long for the model. Shorten it.".to_owned(),
    };
    Problem::new(ProblemKind::Invalid, "context_length_exceeded", message)
        .about(audience.names.asked)
}

fn busy() -> Problem {
    Problem::repeatable(
        ProblemKind::RateLimited,
        "rate_limit_exceeded",
        "fal is handling as many requests as it accepts at once. Try again in a moment.",
    )
}

fn insufficient_quota() -> Problem {
    Problem {
        should_retry: Some(false),
        ..Problem::repeatable(
            ProblemKind::NoBalance,
            "insufficient_quota",
            "The fal account has no balance left. Top it up in fal's dashboard.",
        )
    }
}
