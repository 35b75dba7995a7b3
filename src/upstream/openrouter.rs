//! OpenRouter's refusals, as they come through fal (source: OpenRouter's page "Errors", and bodies
//! that public code has recorded).
//!
//! Their words are looked into and never passed on: they hold accounts, providers and ids of other
//! people's requests.

use serde_json::value::RawValue;

use super::refusal::{Lacking, RefusalKind};
use crate::wire::fal::any_llm::AnyLlmOutput;
use crate::wire::fal::usage::tells_work;
use crate::wire::openrouter::answer::{ChatAnswer, is_something};
use crate::wire::openrouter::error::{ErrorObject, is_about_context};

/// What a refusal is about. Its own code says more than the status that it came under.
pub(super) fn kind(status: u16, error: &ErrorObject<'_>) -> RefusalKind {
    let status = error.status().unwrap_or(status);
    let words = error.words();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if says(&["not a valid model id", "no models provided"]) {
        return RefusalKind::UnknownModel { known: Vec::new() };
    }
    if is_about_context(Some(status), &words) {
        return RefusalKind::ContextLength;
    }
    if says(&["reasoning is mandatory"]) {
        return RefusalKind::Lacks(Lacking::NoReasoning);
    }
    match status {
        400 | 404 | 422 => of_input(status, says),
        // The key was fal's own, and the account too.
        401 => RefusalKind::Failed,
        402 => RefusalKind::Credit,
        403 if says(&["moderation", "flagged"]) => RefusalKind::ContentPolicy,
        408 | 504 => RefusalKind::TimedOut,
        429 => RefusalKind::Busy,
        503 => RefusalKind::Unavailable,
        500..=599 => RefusalKind::Failed,
        _ => RefusalKind::Rejected,
    }
}

/// The error that stands in the first choice of an answer.
pub(super) fn error_of_choice(body: &[u8]) -> Option<&RawValue> {
    let answer: ChatAnswer<'_> = serde_json::from_slice(body).ok()?;
    let mut choices = answer.choices?.items.into_iter();
    choices.find_map(|choice| choice.error)
}

/// Whether a body that reports an error holds some of an answer, or tells what one has cost. What
/// cannot be read might.
pub(super) fn has_answered(body: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<ChatAnswer<'_>>(body) else {
        return true;
    };
    let Ok(output) = serde_json::from_slice::<AnyLlmOutput<'_>>(body) else {
        return true;
    };
    let choices = answer.choices.map(|list| list.items).unwrap_or_default();
    choices.iter().any(|choice| choice.has_said())
        || is_something(output.output)
        || is_something(output.reasoning)
        || output.usage.is_some_and(tells_work)
}

/// A refusal of what was sent: of something that this model lacks, or of the model. The name of a
/// parameter alone tells of a mistake in it, which another caller need not make.
fn of_input(status: u16, says: impl Fn(&[&str]) -> bool) -> RefusalKind {
    let is_unsupported = says(&["not supported", "does not support", "unsupported"]);
    let lacks = [
        (
            Lacking::Tools,
            &[
                "support tool use",
                "tools is not supported",
                "tools are not supported",
                "tool calling",
                "function calling",
            ][..],
        ),
        (Lacking::Format, &["structured output", "output_schema"]),
        (Lacking::Images, &["support image input", "image input"]),
        (
            Lacking::Audio,
            &["support input audio", "support audio input"],
        ),
        (
            Lacking::Video,
            &["support input video", "support video input"],
        ),
        (
            Lacking::Parameters,
            &[
                "handle the requested parameters",
                "unsupported parameter",
                "unsupported value",
            ],
        ),
    ];
    let names = [
        (Lacking::Tools, &["tool_choice"][..]),
        (Lacking::Format, &["response_format", "json_schema"]),
    ];
    let names = names.into_iter().filter(|_| is_unsupported);
    let found = names.chain(lacks).find(|(_, phrases)| says(phrases));
    match found {
        Some((lacking, _)) => RefusalKind::Lacks(lacking),
        None if status == 404 => RefusalKind::UnknownModel { known: Vec::new() },
        None if says(&["image"]) => RefusalKind::Image,
        None if says(&["provider returned error"]) => RefusalKind::Provider,
        None => RefusalKind::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, error: &str) -> RefusalKind {
        let body = format!("{{\"error\":{error},\"user_id\":\"user_planted\"}}");
        RefusalKind::of(status, body.as_bytes())
    }

    #[track_caller]
    fn are_told(cases: &[(u16, &str, RefusalKind)]) {
        for (status, error, kind) in cases {
            assert_eq!(of(*status, error), *kind, "{error}");
        }
    }

    #[test]
    fn what_a_model_lacks_is_told_by_the_words() {
        let lacks = RefusalKind::Lacks;
        #[rustfmt::skip]
        are_told(&[
            (404, r#"{"message":"No endpoints found that support tool use. To learn more","code":404}"#, lacks(Lacking::Tools)),
            (404, r#"{"message":"No endpoints found that can handle the requested parameters.","code":404}"#, lacks(Lacking::Parameters)),
            (404, r#"{"message":"No endpoints found that support image input","code":404}"#, lacks(Lacking::Images)),
            (404, r#"{"message":"No endpoints found that support input audio","code":404}"#, lacks(Lacking::Audio)),
            (404, r#"{"message":"No endpoints found that support input video","code":404}"#, lacks(Lacking::Video)),
            (400, r#"{"message":"Provider returned error","code":400,"metadata":{"raw":"Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."}}"#, lacks(Lacking::Format)),
            (400, r#"{"message":"Reasoning is mandatory for this endpoint and cannot be disabled.","code":400}"#, lacks(Lacking::NoReasoning)),
        ]);
    }

    #[test]
    fn each_other_refusal_is_told_by_its_own_code_and_words() {
        let unknown = || RefusalKind::UnknownModel { known: Vec::new() };
        #[rustfmt::skip]
        are_told(&[
            (400, r#"{"message":"x/y is not a valid model ID","code":400}"#, unknown()),
            (404, r#"{"message":"No endpoints found for x/y.","code":404}"#, unknown()),
            (400, r#"{"message":"This endpoint's maximum context length is 16385 tokens.","code":400}"#, RefusalKind::ContextLength),
            (400, r#"{"message":"Provider returned error","code":400}"#, RefusalKind::Provider),
            (402, r#"{"message":"Insufficient credits","code":402}"#, RefusalKind::Credit),
            (403, r#"{"message":"x requires moderation on y. Your input was flagged","code":403}"#, RefusalKind::ContentPolicy),
            (200, r#"{"message":"Provider returned error","code":502}"#, RefusalKind::Failed),
            (400, r#"{"message":"Provider returned error","code":429}"#, RefusalKind::Busy),
            (400, r#""in a word""#, RefusalKind::Rejected),
            (500, r#"{"message":7,"code":"x"}"#, RefusalKind::Failed),
        ]);
    }
}
