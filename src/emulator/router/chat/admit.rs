//! What a model, or its provider, refuses before it works.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    is_scripted,
    refusals::{MANDATORY, NO_PARAMETERS, NO_TOOLS, provider, refuse},
    reply::signature,
    request::{Request, Wish, text_of},
};
use crate::emulator::{
    http::call::Whole,
    router::{
        cards::{self, Card, Reasoning},
        usage::tokens,
    },
    script::Behaviour,
};

/// The card of the model that answers.
///
/// # Errors
///
/// OpenRouter's refusal, or its provider's.
pub(super) fn admit(request: &Request, behaviour: &Behaviour) -> Result<&'static Card, Whole> {
    let Some(card) = cards::find(&request.model) else {
        return Err(refuse(
            400,
            format!("{} is not a valid model ID", request.model),
        ));
    };
    let wants = |kind| !request.parts(kind).is_empty();
    let modalities = [
        (
            "image_url",
            card.sees_images(),
            "No endpoints found that support image input",
        ),
        (
            "input_audio",
            card.hears(),
            "No endpoints found that support input audio",
        ),
        (
            "video_url",
            card.sees_video(),
            "No endpoints found that support input video",
        ),
    ];
    if let Some((_, _, words)) = modalities.iter().find(|(kind, can, _)| wants(kind) && !can) {
        return Err(refuse(404, *words));
    }
    if !request.tools.is_empty() && !card.calls_tools() {
        return Err(refuse(404, NO_TOOLS));
    }
    check_parameters(request, card)?;
    if request.reasoning == Wish::Off && card.reasoning == Reasoning::Mandatory {
        return Err(refuse(400, MANDATORY));
    }
    let texts = request
        .messages
        .iter()
        .map(|message| text_of(message.get("content")));
    let asked: usize = texts.map(|text| tokens(&text)).sum();
    let limit = behaviour
        .limit
        .map_or(card.context, |chars| chars.div_ceil(4));
    if asked > limit {
        return Err(refuse(
            400,
            format!(
                "This endpoint's maximum context length is {limit} tokens. However, you requested about {asked} tokens (of text input)."
            ),
        ));
    }
    check_history(&request.messages, card.id)?;
    match is_scripted(behaviour, "error_200") {
        true => Err(Whole::json(200, &super::refusals::failure())),
        false => Ok(card),
    }
}

/// Parameters that a model does not know are dropped in silence, unless the caller asks for
/// providers that take them all; but a schema is refused.
fn check_parameters(request: &Request, card: &Card) -> Result<(), Whole> {
    let has = |field: &str| {
        request
            .body
            .get(field)
            .is_some_and(|value| !value.is_null())
    };
    let format = request.body.get("response_format");
    let kind = format.and_then(|format| format.get("type")?.as_str());
    let requires = request
        .body
        .get("provider")
        .and_then(|provider| provider.get("require_parameters"))
        == Some(&json!(true));
    if requires && (has("stop") && !card.stops() || kind.is_some() && !card.takes_schemas()) {
        return Err(refuse(404, NO_PARAMETERS));
    }
    if kind == Some("json_schema") && !card.takes_schemas() {
        return Err(provider(
            400,
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        ));
    }
    Ok(())
}

/// The rules of providers for tool loops: each result answers a call of the message before, each
/// call has its result, and what a model signed comes back as it was.
fn check_history(messages: &[Map<String, Value>], model: &str) -> Result<(), Whole> {
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for message in messages {
        let role = message
            .get("role")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if role == "tool" {
            let id = message.get("tool_call_id").and_then(Value::as_str);
            if !id.is_some_and(|id| open.remove(id)) {
                return Err(provider(
                    400,
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
                ));
            }
            continue;
        }
        if !open.is_empty() {
            return Err(unanswered());
        }
        let calls = message.get("tool_calls").and_then(Value::as_array);
        let ids = calls
            .into_iter()
            .flatten()
            .filter_map(|call| call.get("id")?.as_str());
        open.extend(ids);
        check_signatures(message, model)?;
    }
    match open.is_empty() {
        true => Ok(()),
        false => Err(unanswered()),
    }
}

fn unanswered() -> Whole {
    provider(
        400,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
    )
}

fn check_signatures(message: &Map<String, Value>, model: &str) -> Result<(), Whole> {
    let details = message.get("reasoning_details").and_then(Value::as_array);
    for detail in details.into_iter().flatten() {
        let text = |field| {
            detail
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        if text("type") == "reasoning.text" && text("signature") != signature(model, text("text")) {
            return Err(provider(400, "Invalid signature in thinking block"));
        }
    }
    Ok(())
}
