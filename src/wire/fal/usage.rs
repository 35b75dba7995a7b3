//! The usage that fal's router tells (source: fal's OpenAPI documents of `openrouter/router`,
//! `UsageInfo`; OpenRouter's documentation "Usage Accounting" for the details).

use serde::Deserialize;
use serde_json::value::RawValue;

/// Tokens and cost of an answer. Every figure stays raw, so that one which is none costs no other.
#[derive(Debug, Default, Deserialize)]
pub struct UsageInfo<'a> {
    #[serde(borrow)]
    pub prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    pub completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    pub completion_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub prompt_tokens_details: Option<&'a RawValue>,
    /// In dollars.
    #[serde(borrow)]
    pub cost: Option<&'a RawValue>,
}

/// What of the prompt the provider had read before.
#[derive(Debug, Default, Deserialize)]
pub struct PromptDetails {
    pub cached_tokens: Option<u64>,
}

/// What of the answer was reasoning.
#[derive(Debug, Default, Deserialize)]
pub struct CompletionDetails {
    pub reasoning_tokens: Option<u64>,
}
