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

/// Whether a usage tells of work: of a cost, or of tokens that were written. A figure that cannot be
/// read counts as one.
pub fn tells_work(usage: &RawValue) -> bool {
    let usage: Option<UsageInfo<'_>> = serde_json::from_str(usage.get()).unwrap_or_default();
    let usage = usage.unwrap_or_default();
    let is_none = |raw: &RawValue| {
        let figure = raw.get().parse::<f64>();
        raw.get() == "null" || figure.is_ok_and(|figure| figure == 0.0)
    };
    let figures = [usage.cost, usage.completion_tokens];
    figures.into_iter().flatten().any(|figure| !is_none(figure))
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
