//! Refusals in OpenRouter's words: `{"error": {"message", "code", "metadata"?}, "user_id"}`, with
//! the status as a number. Those of fal's own door and runners come as fal sends them everywhere.

use serde_json::{Value, json};

use crate::emulator::http::{call::Whole, kinds::Kind};

/// The account under which fal calls OpenRouter; it stands in every answer.
pub(super) const USER_ID: &str = "user_2emulator";
const PROVIDER: &str = "Emulated";

/// A refusal of this status.
pub(super) fn refuse(status: u16, message: impl Into<String>) -> Whole {
    respond(status, status, &message.into(), None)
}

/// A refusal of the provider's, whose own words are metadata.
pub(super) fn provider(status: u16, raw: &str) -> Whole {
    let metadata = json!({ "raw": raw, "provider_name": PROVIDER });
    respond(status, status, "Provider returned error", Some(metadata))
}

/// What stands in the place of an answer under HTTP 200.
pub(super) fn failure() -> Value {
    let metadata = json!({ "raw": "upstream reset", "provider_name": PROVIDER });
    body(502, "Provider returned error", Some(metadata))
}

/// A kind of error as this face shows it; `None` where fal itself sends it.
pub(in crate::emulator) fn refusal(kind: &Kind, request: &Value) -> Option<Whole> {
    let model = request.get("model").and_then(Value::as_str);
    let model = model.unwrap_or("google/gemini-2.5-flash-lite");
    let context = |most: usize, asked: usize| {
        format!(
            "This endpoint's maximum context length is {most} tokens. However, you requested about {asked} tokens (of text input). Please reduce the length of either one, or use the \"middle-out\" transform to compress your prompt automatically."
        )
    };
    Some(match kind.name {
        "model_unknown" | "model_invalid" => {
            refuse(400, format!("{model} is not a valid model ID"))
        }
        "model_gone" => refuse(404, format!("No endpoints found for {model}.")),
        "upstream_429" => provider(429, "temporarily rate-limited upstream"),
        "upstream_402" => refuse(402, "Insufficient credits"),
        "upstream_502" | "downstream_500" => provider(502, "upstream reset"),
        "upstream_context_length" | "context_exceeded" | "prompt_too_long" => {
            refuse(400, context(16_385, 20_015))
        }
        "downstream" | "provider_error" => provider(400, "the request was not understood"),
        "reasoning_mandatory" => refuse(400, MANDATORY),
        "prompt_missing" | "prompt_missing_v1" => refuse(400, NO_INPUT),
        "no_audio" => refuse(404, "No endpoints found that support input audio"),
        "no_video" => refuse(404, "No endpoints found that support input video"),
        "no_images" => refuse(404, "No endpoints found that support image input"),
        "no_tools" => refuse(404, NO_TOOLS),
        "no_parameters" => refuse(404, NO_PARAMETERS),
        "content_policy" => {
            let metadata = json!({
                "reasons": ["emulated"], "flagged_input": "…",
                "provider_name": PROVIDER, "model_slug": model,
            });
            let message =
                format!("{model} requires moderation on {PROVIDER}. Your input was flagged");
            respond(403, 403, &message, Some(metadata))
        }
        "error_200" => Whole::json(200, &failure()),
        _ => return None,
    })
}

pub(super) const MANDATORY: &str =
    "Reasoning is mandatory for this endpoint and cannot be disabled.";
pub(super) const NO_INPUT: &str = "Input required: specify \"prompt\" or \"messages\"";
pub(super) const NO_TOOLS: &str = "No endpoints found that support tool use. To learn more about provider routing, visit: https://openrouter.ai/docs/provider-routing";
pub(super) const NO_PARAMETERS: &str = "No endpoints found that can handle the requested parameters. To learn more about provider routing, visit: https://openrouter.ai/docs/provider-routing";

fn respond(status: u16, code: u16, message: &str, metadata: Option<Value>) -> Whole {
    Whole::json(status, &body(code, message, metadata))
}

fn body(code: u16, message: &str, metadata: Option<Value>) -> Value {
    let error = match metadata {
        Some(metadata) => json!({ "message": message, "code": code, "metadata": metadata }),
        None => json!({ "message": message, "code": code }),
    };
    json!({ "error": error, "user_id": USER_ID })
}
