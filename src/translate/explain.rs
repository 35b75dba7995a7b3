//! What a request would cause at fal, for people who want to see it first.

use serde::Serialize;

use super::fold::Room;
use super::key::Key;
use super::plan::Plan;
use crate::wire::fal::any_llm::AnyLlmInput;
use crate::wire::openai::chat::GatewayNotes;

/// A plan in words and numbers. Nothing has been called.
#[derive(Debug, Serialize)]
pub struct Explanation<'p> {
    pub object: &'static str,
    pub model: &'p str,
    /// `standard`, `premium` (ten times the rate), or `unknown` for a model that only fal knows.
    pub price_class: &'static str,
    /// One request for each choice, exactly as they would be sent.
    pub requests: Vec<FalRequest<'p>>,
    /// Models that would be asked if the first refused before working.
    pub fallbacks: &'p [String],
    pub sizes: Sizes,
    pub estimated_tokens: EstimatedTokens,
    /// The key in the gateway's markup; `null` where there is none.
    pub key: Option<&'p str>,
    pub notes: GatewayNotes<'p>,
}

/// A request to fal.
#[derive(Debug, Serialize)]
pub struct FalRequest<'p> {
    pub method: &'static str,
    /// The path below fal's base URL.
    pub path: String,
    pub input: &'p AnyLlmInput<'p>,
}

/// Lengths in characters, against the limits that are known.
#[derive(Debug, Serialize)]
pub struct Sizes {
    pub prompt_chars: usize,
    pub max_prompt_chars: Option<usize>,
    pub system_prompt_chars: usize,
    pub max_system_prompt_chars: Option<usize>,
    pub images: usize,
}

/// Tokens, estimated.
#[derive(Debug, Serialize)]
pub struct EstimatedTokens {
    pub prompt: u64,
    /// What the model takes in at most, where it is known.
    pub context_length: Option<u32>,
    /// What it may write at most, where it was asked for.
    pub max_tokens: Option<u64>,
}

/// Explains a plan for the application `app` (`fal-ai/any-llm`).
pub fn explain<'p>(plan: &'p Plan<'_>, app: &str, room: &Room) -> Explanation<'p> {
    let input = &plan.input;
    let request = || FalRequest {
        method: "POST",
        path: format!("/{app}{}", plan.endpoint.path()),
        input,
    };
    Explanation {
        object: "gateway.explanation",
        model: &input.model,
        price_class: plan
            .card
            .as_ref()
            .and_then(|card| card.any_llm.price_class())
            .unwrap_or("unknown"),
        requests: (0..plan.choices).map(|_| request()).collect(),
        fallbacks: &plan.fallbacks,
        sizes: Sizes {
            prompt_chars: input.prompt.chars().count(),
            max_prompt_chars: room.prompt,
            system_prompt_chars: input
                .system_prompt
                .as_deref()
                .map_or(0, |text| text.chars().count()),
            max_system_prompt_chars: room.system_prompt,
            images: input.image_urls.len(),
        },
        estimated_tokens: EstimatedTokens {
            prompt: plan.reading.prompt_tokens,
            context_length: plan.card.as_ref().and_then(|card| card.context_length),
            max_tokens: plan.reading.max_tokens,
        },
        key: plan.reading.key.as_ref().map(Key::as_str),
        notes: plan.notes.to_wire(),
    }
}
