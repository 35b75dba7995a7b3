//! The list of models in Anthropic's shape.

use crate::translate::model::{ModelInfo, Reasoning};
use crate::wire::anthropic::model::{ModelCapabilities, ModelInfo as Listed, ModelList, Supported};

use super::parse::PREFIX;

/// The catalogue's date: 2025-10-17.
const CREATED_AT: &str = "2025-10-17T00:00:00Z";

/// What part of the list is asked for (source: Anthropic's `GET /v1/models`).
#[derive(Clone, Debug, Default)]
pub struct Page<'q> {
    pub limit: Option<usize>,
    pub after_id: Option<&'q str>,
    pub before_id: Option<&'q str>,
}

/// The longest page, which clients ask for that want all there is.
const LONGEST: usize = 1000;

impl<'q> Page<'q> {
    /// Reads the query of a request. What it does not know says nothing.
    pub fn of_query(query: &'q str) -> Self {
        let mut page = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "limit" => page.limit = value.parse().ok(),
                "after_id" => page.after_id = Some(value),
                "before_id" => page.before_id = Some(value),
                _ => {}
            }
        }
        page
    }
}

/// The JSON of a list of models by their names. Whoever asks for all of them at once gets a second
/// entry for each whose name does not begin as Claude's do: Claude Code shows no others.
pub fn list_json<'m>(
    models: impl Iterator<Item = (&'m str, &'m ModelInfo)>,
    page: &Page<'_>,
) -> Vec<u8> {
    let models: Vec<(&str, &ModelInfo)> = models.collect();
    let is_like_claudes = |name: &str| name.starts_with("claude") || name.starts_with("anthropic");
    let mut listed: Vec<Listed<'_>> = models
        .iter()
        .map(|(name, info)| entry((*name).to_owned(), name, info))
        .collect();
    if page.limit.is_some_and(|limit| limit >= LONGEST) {
        let others = models.iter().filter(|(name, _)| !is_like_claudes(name));
        listed.extend(others.map(|(name, info)| entry(format!("{PREFIX}{name}"), name, info)));
    }
    let encoded = |id: &str| id.replace('/', "%2F");
    let place = |wanted: Option<&str>| {
        let wanted = wanted?;
        listed
            .iter()
            .position(|model| model.id == wanted || encoded(&model.id) == wanted)
    };
    let first = place(page.after_id).map_or(0, |at| at + 1);
    let last = place(page.before_id).unwrap_or(listed.len());
    let limit = page.limit.unwrap_or(LONGEST).clamp(1, LONGEST);
    let wanted: Vec<Listed<'_>> = listed.into_iter().take(last).skip(first).collect();
    let has_more = wanted.len() > limit;
    let data: Vec<Listed<'_>> = wanted.into_iter().take(limit).collect();
    let list = ModelList {
        has_more,
        first_id: data.first().map(|model| model.id.clone()),
        last_id: data.last().map(|model| model.id.clone()),
        data,
    };
    serde_json::to_vec(&list).unwrap_or_default()
}

/// The JSON of one model.
pub fn model_json(name: &str, info: &ModelInfo) -> Vec<u8> {
    serde_json::to_vec(&entry(name.to_owned(), name, info)).unwrap_or_default()
}

fn entry<'m>(id: String, name: &'m str, info: &ModelInfo) -> Listed<'m> {
    let supported = |supported| Supported { supported };
    let thinks = matches!(
        info.reasoning,
        Some(Reasoning::Optional | Reasoning::Mandatory)
    );
    Listed {
        kind: "model",
        id,
        display_name: name,
        created_at: CREATED_AT,
        max_input_tokens: info.context_length,
        max_tokens: info.max_output,
        capabilities: ModelCapabilities {
            batch: supported(false),
            citations: supported(false),
            code_execution: supported(false),
            image_input: supported(info.any_llm.vision == Some(true)),
            pdf_input: supported(false),
            structured_outputs: supported(true),
            thinking: supported(thinks),
        },
        lifecycle: "active",
    }
}
