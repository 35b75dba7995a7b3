//! `Model` and `ListModelsResponse`, with the extra fields that model pickers read.

use serde::Serialize;

/// `GET /v1/models`.
#[derive(Debug, Serialize)]
pub struct ListModelsResponse<'a> {
    pub object: &'static str,
    pub data: Vec<Model<'a>>,
}

/// One model. `id`, `object`, `created` and `owned_by` are OpenAI's; the rest follows what
/// OpenRouter's list calls these things, because that is what pickers look for.
#[derive(Debug, Serialize)]
pub struct Model<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: u32,
    pub owned_by: &'a str,
    pub name: &'a str,
    /// Tokens of prompt and answer together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u32>,
    pub architecture: Architecture,
    pub supported_parameters: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// `"standard"` or `"premium"`: fal charges premium models at ten times the rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub premium: Option<bool>,
    /// Whether the model can reason before it answers; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// The other names under which this gateway serves the model.
    pub aliases: Vec<&'a str>,
    /// The model that an alias stands for; absent for a model of the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<&'a str>,
}

/// What goes in and comes out.
#[derive(Debug, Serialize)]
pub struct Architecture {
    /// Both lists in one word: `text+image->text`.
    pub modality: String,
    pub input_modalities: Vec<&'static str>,
    pub output_modalities: &'static [&'static str],
}

/// What the model costs, as decimal numbers in dollars.
#[derive(Debug, Serialize)]
pub struct Pricing {
    /// For each token that the model reads.
    pub prompt: String,
    /// For each token that the model writes.
    pub completion: String,
    /// For each request.
    pub request: String,
    /// For each token of a recording, where that has a price of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
}
