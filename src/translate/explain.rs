//! What a request would cause at fal, for people who want to see it first.

use serde::Serialize;

use super::call::Call;
use super::fold::PromptLimits;
use super::key::MarkerKey;
use super::plan::Plan;
use super::routing::Reason;
use super::upstream::Apps;
use crate::wire::openai::chat::GatewayNotes;

/// A plan in words and numbers. Nothing has been called.
#[derive(Debug, Serialize)]
pub struct Explanation<'p> {
    pub object: &'static str,
    pub model: &'p str,
    /// Through which upstream it is asked.
    pub upstream: &'static str,
    /// Why through that one, where there was a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<&'static str>,
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
    pub input: &'p Call<'p>,
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

/// Explains a plan.
pub fn explain<'p>(plan: &'p Plan<'_>, apps: &Apps, room: &PromptLimits) -> Explanation<'p> {
    let call = &plan.call;
    let app = apps.path(plan.upstream);
    let [prompt_chars, system_prompt_chars] = call.lengths();
    let request = || FalRequest {
        method: "POST",
        path: format!("/{app}{}", call.path()),
        input: call,
    };
    Explanation {
        object: "gateway.explanation",
        model: call.model(),
        upstream: plan.upstream.word(),
        because: plan.notes.because.map(Reason::word),
        price_class: plan
            .card
            .as_ref()
            .and_then(|card| card.any_llm.price_class())
            .unwrap_or("unknown"),
        requests: (0..plan.choices).map(|_| request()).collect(),
        fallbacks: &plan.fallbacks,
        sizes: Sizes {
            prompt_chars,
            max_prompt_chars: room.prompt,
            system_prompt_chars,
            max_system_prompt_chars: room.system_prompt,
            images: call.images(),
        },
        estimated_tokens: EstimatedTokens {
            prompt: plan.reading.prompt_tokens,
            context_length: plan.context_length,
            max_tokens: plan.reading.max_tokens,
        },
        key: plan.reading.key.as_ref().map(MarkerKey::as_str),
        notes: plan.notes.to_wire(),
    }
}
