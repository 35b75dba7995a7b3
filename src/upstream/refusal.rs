//! fal's refusals, read from their status and body (source: fal's pages "Errors" and "Request
//! errors", and bodies that public code has recorded).

use serde_json::value::RawValue;

use super::openrouter;
use crate::wire::fal::error::{Detail, ErrorBody};
use crate::wire::openrouter::error::{ErrorObject, is_about_context, status_in};

/// An answer whose status is not 2xx.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub kind: RefusalKind,
    /// fal's own words, fit to be shown to the caller; they may quote the prompt, so no log holds
    /// them.
    pub said: Option<String>,
    /// Seconds, when fal said so.
    pub retry_after_s: Option<u32>,
    /// `x-fal-request-id`.
    pub request_id: Option<String>,
}

/// What the refusal is about.
#[derive(Clone, Debug, PartialEq)]
pub enum RefusalKind {
    /// The key is malformed, unknown or missing.
    Key,
    /// The account has no money left.
    Balance,
    /// The key may not do this.
    Forbidden,
    /// No such application or path: a matter of configuration.
    UnknownApp,
    /// The model is not in fal's catalogue; `known` is the catalogue where fal listed it.
    UnknownModel {
        known: Vec<String>,
    },
    /// `prompt` or `system_prompt` is longer than fal takes; the limit in characters, if named.
    TooLong {
        field: &'static str,
        limit: Option<u64>,
    },
    /// The model's own context is too small.
    ContextLength,
    /// The model cannot do something here that the request asks for.
    Lacks(Lacking),
    /// fal's own account with its provider has no money left.
    Credit,
    /// A field of the input that fal does not accept.
    Field(&'static str),
    ContentPolicy,
    /// An image, a recording or a video that fal could not fetch or read.
    Image,
    /// Too many requests at once or in line.
    Busy,
    /// Nothing was worked on; another try may succeed.
    Unavailable,
    TimedOut,
    /// The model's provider failed in some way; it may have worked before.
    Provider,
    /// An error inside fal or its provider.
    Failed,
    /// Another refusal of the input.
    Rejected,
    /// A status that any-llm has no use for.
    Unexpected,
}

/// What a model cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// Take tools.
    Tools,
    /// Take a form that its answer is to have.
    Format,
    /// See images.
    Images,
    /// Hear recordings.
    Audio,
    /// Watch videos.
    Video,
    /// Answer without reasoning.
    NoReasoning,
    /// Take some other parameter; nobody says which.
    Parameters,
}

impl RefusalKind {
    /// The kind as a label for metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Balance => "balance",
            Self::Forbidden => "forbidden",
            Self::UnknownApp => "unknown_app",
            Self::UnknownModel { .. } => "unknown_model",
            Self::TooLong { .. } => "prompt_too_long",
            Self::ContextLength => "context_length",
            Self::Lacks(_) => "lacks",
            Self::Credit => "upstream_credit",
            Self::Field(_) => "field",
            Self::ContentPolicy => "content_policy",
            Self::Image => "image",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timeout",
            Self::Failed => "failed",
            Self::Provider => "provider",
            Self::Rejected => "rejected",
            Self::Unexpected => "unexpected_status",
        }
    }

    /// The field of fal's input that it is about, where it is about one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Field(field) | Self::TooLong { field, .. } => Some(field),
            Self::UnknownModel { .. } => Some("model"),
            _ => None,
        }
    }

    /// Reads a status and what was read of the body. One of success is that of an error in the place of
    /// an answer.
    pub fn of(status: u16, body: &[u8]) -> Self {
        let body: ErrorBody<'_> = serde_json::from_slice(body).unwrap_or_default();
        if let Some(error) = body.error {
            return openrouter::kind(status, &ErrorObject::read(error));
        }
        let kind = body.kind.as_ref().or(body.error_type.as_ref());
        if kind.is_some_and(|kind| kind.as_str() == "concurrent_requests_limit") {
            return Self::Busy;
        }
        match status {
            401 => Self::Key,
            402 => Self::Balance,
            403 if mentions(body.detail, &NO_BALANCE) => Self::Balance,
            403 => Self::Forbidden,
            404 => Self::of_words(body.detail).unwrap_or(Self::UnknownApp),
            410 => Self::UnknownApp,
            408 | 504 => Self::TimedOut,
            429 => Self::Busy,
            200 | 400 | 413 | 422 => Self::of_input(status, &body),
            503 => Self::Unavailable,
            500..=599 => Self::Failed,
            _ => Self::Unexpected,
        }
    }

    /// Reads an error that came under a status of success, in the place of an answer. `None` where it
    /// does not say that nobody has worked yet, so that the call may be paid for.
    pub fn of_answer(body: &[u8]) -> Option<Self> {
        if openrouter::has_answered(body) {
            return None;
        }
        let whole: ErrorBody<'_> = serde_json::from_slice(body).ok()?;
        let kind = match whole.error.or_else(|| openrouter::error_of_choice(body)) {
            Some(error) => openrouter::kind(200, &ErrorObject::read(error)),
            None => Self::of(200, body),
        };
        let is_before_work = matches!(
            kind,
            Self::UnknownModel { .. }
                | Self::ContextLength
                | Self::Lacks(_)
                | Self::Credit
                | Self::Busy
                | Self::Unavailable
        );
        is_before_work.then_some(kind)
    }

    /// A refusal of the input: a list of what is wrong with it, or a text out of a provider.
    fn of_input(status: u16, body: &ErrorBody<'_>) -> Self {
        let Some(raw) = body.detail else {
            return Self::Rejected;
        };
        match serde_json::from_str::<Vec<Detail<'_>>>(raw.get()) {
            Ok(details) => details.first().map_or(Self::Rejected, Self::of_detail),
            Err(_) => Self::of_text(status, raw.get()),
        }
    }

    fn of_detail(detail: &Detail<'_>) -> Self {
        let field = detail
            .loc
            .as_ref()
            .and_then(|loc| loc.last())
            .and_then(|raw| known_field(raw.get()));
        let kind = detail.kind.as_ref().map_or("", |kind| kind.as_str());
        match (kind, field) {
            ("content_policy_violation", _) => Self::ContentPolicy,
            ("literal_error" | "enum" | "one_of", Some("model")) => Self::UnknownModel {
                known: listed(detail),
            },
            ("string_too_long", Some(field @ ("prompt" | "system_prompt"))) => Self::TooLong {
                field,
                limit: context_number(detail, "max_length"),
            },
            (
                "downstream_service_error"
                | "internal_server_error"
                | "downstream_service_unavailable",
                _,
            ) => Self::Failed,
            ("generation_timeout", _) => Self::TimedOut,
            (kind, _) if kind.contains("image") || kind.starts_with("file_") => Self::Image,
            (_, Some(field)) => Self::Field(field),
            (_, None) => Self::Rejected,
        }
    }

    /// fal wraps its provider's errors as `Error code: NNN - {...}`.
    fn of_text(status: u16, text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let code = status_in(&text);
        match code {
            _ if is_about_context(code.or(Some(status)), &text) => Self::ContextLength,
            Some(404) => Self::UnknownModel { known: Vec::new() },
            Some(429) => Self::Busy,
            Some(401..=403 | 500..=599) => Self::Failed,
            None => Self::of_openrouters(&text).unwrap_or(Self::Rejected),
            _ => Self::Rejected,
        }
    }

    /// OpenRouter's words, which the router's prompt faces pass on as they are.
    fn of_words(detail: Option<&RawValue>) -> Option<Self> {
        Self::of_openrouters(&detail?.get().to_ascii_lowercase())
    }

    /// The same, in small letters.
    fn of_openrouters(text: &str) -> Option<Self> {
        let says = |words: &str| text.contains(words);
        let unknown = Self::UnknownModel { known: Vec::new() };
        Some(match () {
            () if says("reasoning is mandatory") => Self::Lacks(Lacking::NoReasoning),
            () if says("not a valid model id") => unknown,
            () if says("support image input") => Self::Lacks(Lacking::Images),
            () if says("support input audio") => Self::Lacks(Lacking::Audio),
            () if says("support input video") => Self::Lacks(Lacking::Video),
            () if says("support tool use") => Self::Lacks(Lacking::Tools),
            () if says("the requested parameters") => Self::Lacks(Lacking::Parameters),
            () if says("no endpoints found that") => Self::Rejected,
            () if says("no endpoints found") => unknown,
            () if says("provider returned error") => Self::Provider,
            () => return None,
        })
    }
}

/// What fal says where an account has no money left: `User is locked. Reason: Exhausted balance.`
const NO_BALANCE: [&str; 2] = ["is locked", "exhausted balance"];

/// fal's input fields, so that nothing of an error body is repeated that fal did not define.
fn known_field(raw: &str) -> Option<&'static str> {
    [
        "prompt",
        "system_prompt",
        "model",
        "temperature",
        "max_tokens",
        "reasoning",
        "priority",
        "image_urls",
        "image_url",
        "audio_url",
        "video_urls",
    ]
    .into_iter()
    .find(|field| raw.trim_matches('"') == *field)
}

fn mentions(detail: Option<&RawValue>, words: &[&str]) -> bool {
    let text = detail.map_or(String::new(), |raw| raw.get().to_ascii_lowercase());
    words.iter().any(|word| text.contains(word))
}

/// The models that a refusal of `model` lists: in `ctx.expected`, or quoted in the message.
fn listed(detail: &Detail<'_>) -> Vec<String> {
    const MAX: usize = 512;
    let expected = context_field(detail, "expected");
    if let Some(list) = expected.as_ref().and_then(|value| value.as_array()) {
        return list
            .iter()
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .take(MAX)
            .collect();
    }
    let text = expected
        .as_ref()
        .and_then(|value| value.as_str())
        .or(detail.msg.as_ref().map(|msg| msg.as_str()));
    let quoted = text.unwrap_or_default().split('\'').skip(1).step_by(2);
    quoted
        .filter(|name| name.contains('/') && name.len() <= 128)
        .map(str::to_owned)
        .take(MAX)
        .collect()
}

fn context_number(detail: &Detail<'_>, name: &str) -> Option<u64> {
    context_field(detail, name)?.as_u64()
}

fn context_field(detail: &Detail<'_>, name: &str) -> Option<serde_json::Value> {
    let context: serde_json::Value = serde_json::from_str(detail.ctx?.get()).ok()?;
    context.get(name).cloned()
}
