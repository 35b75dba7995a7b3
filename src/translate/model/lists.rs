//! The public lists of models: OpenRouter's, and the one in the description of fal's any-llm.
//!
//! They come from elsewhere and say what the gateway promises, so they are taken only as a whole
//! and with the fields that are looked for; what is odd about a single model costs that model.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::abilities::{Modalities, Modality, Parameter, Parameters, Reasoning};
use super::catalogue::is_plausible_id;
use super::info::Router;
use super::price::TokenPrice;

/// What the public lists say, and nothing else of them; this is also how they are kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicLists {
    /// any-llm's models in fal's order; `None` has not been read yet.
    pub any_llm: Option<Vec<String>>,
    /// OpenRouter's models, in alphabetical order.
    pub router: Option<Vec<ListedModel>>,
}

/// A model as OpenRouter lists it, in its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedModel {
    pub id: String,
    pub context_length: Option<u32>,
    pub parameters: Vec<String>,
    pub inputs: Vec<String>,
    /// Dollars for one token; absent where it has no price of its own.
    pub prompt_price: Option<String>,
    pub completion_price: Option<String>,
    /// The same for a token of a recording, which has a price of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_price: Option<String>,
}

/// A list that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    #[error("it is not the JSON that was expected")]
    Malformed,
    #[error("it holds too few models to be believed")]
    TooFew,
}

/// More models than there are, so that nobody's list fills the memory.
const MAX: usize = 5_000;
/// Fewer than there will ever be: a list that is shorter is a mistake of the server's.
const FEWEST: usize = 5;
/// Fewer tokens than any model that answers questions takes in: a length below it is not known.
const SHORTEST_CONTEXT: u32 = 256;

impl PublicLists {
    /// Whether there is nothing in them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ListedModel {
    /// What the router does with the model.
    pub fn router(&self) -> Router {
        let price = || {
            Some(TokenPrice {
                prompt: self.prompt_price.as_ref()?.parse().ok()?,
                completion: self.completion_price.as_ref()?.parse().ok()?,
                audio: self
                    .audio_price
                    .as_ref()
                    .and_then(|price| price.parse().ok()),
            })
        };
        let parameters = self.parameters.iter();
        let inputs = self.inputs.iter();
        Router {
            is_served: Some(true),
            parameters: Some(
                parameters
                    .filter_map(|name| Parameter::named(name))
                    .collect::<Parameters>(),
            ),
            inputs: Some(
                inputs
                    .filter_map(|name| Modality::named(name))
                    .collect::<Modalities>(),
            ),
            price: price(),
            context_length: self.known_context(),
        }
    }

    /// How many tokens the model takes in, where the list says a number that can be one.
    pub fn known_context(&self) -> Option<u32> {
        self.context_length
            .filter(|tokens| *tokens >= SHORTEST_CONTEXT)
    }

    /// Whether the model can think. The list does not tell which ones always do.
    pub fn reasoning(&self) -> Reasoning {
        match self.router().parameters {
            Some(known) if known.contains(Parameter::Reasoning) => Reasoning::Optional,
            _ => Reasoning::Never,
        }
    }
}

/// Reads OpenRouter's list (source: openrouter.ai/docs/api-reference/list-available-models).
///
/// # Errors
/// A body that is no such list, and one with hardly any models that write text.
pub fn read_openrouter(body: &[u8]) -> Result<Vec<ListedModel>, ListError> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Value>,
    }
    let list: List = serde_json::from_slice(body).map_err(|_| ListError::Malformed)?;
    let read = list.data.iter().take(MAX).filter_map(openrouter_model);
    let mut models = read.collect::<Vec<_>>();
    models.sort_by(|one, other| one.id.cmp(&other.id));
    models.dedup_by(|one, other| one.id == other.id);
    match models.len() < FEWEST {
        true => Err(ListError::TooFew),
        false => Ok(models),
    }
}

/// One model, if it writes text and is described as it should be.
fn openrouter_model(model: &Value) -> Option<ListedModel> {
    let id = model.get("id")?.as_str()?;
    let outputs = words(model.pointer("/architecture/output_modalities")?)?;
    if !id.contains('/') || !is_plausible_id(id) || !outputs.iter().any(|one| one == "text") {
        return None;
    }
    let mut parameters = words(model.get("supported_parameters")?)?;
    parameters.retain(|name| Parameter::named(name).is_some());
    let mut inputs = words(model.pointer("/architecture/input_modalities")?)?;
    inputs.retain(|name| Modality::named(name).is_some());
    let price = |which: &str| {
        let price = model.pointer(which)?.as_str()?;
        let amount = price.parse::<super::price::PicoDollars>().ok()?;
        Some(amount.to_string())
    };
    let context = model.get("context_length").and_then(Value::as_u64);
    Some(ListedModel {
        id: id.to_owned(),
        context_length: context.and_then(|tokens| u32::try_from(tokens).ok()),
        parameters,
        inputs,
        prompt_price: price("/pricing/prompt"),
        completion_price: price("/pricing/completion"),
        audio_price: price("/pricing/audio"),
    })
}

fn words(list: &Value) -> Option<Vec<String>> {
    let words = list.as_array()?.iter().take(64);
    words.map(|word| Some(word.as_str()?.to_owned())).collect()
}

/// Reads which models any-llm takes, out of its description in fal's list of endpoints (source:
/// fal's platform API, `GET /v1/models?expand=openapi-3.0`).
///
/// # Errors
/// A body that holds no such description, and one with hardly any models.
pub fn read_any_llm(body: &[u8]) -> Result<Vec<String>, ListError> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| ListError::Malformed)?;
    let endpoints = answer.get("models").and_then(Value::as_array);
    let endpoints = endpoints.ok_or(ListError::Malformed)?.iter().take(64);
    let schemas = endpoints
        .filter_map(|endpoint| endpoint.pointer("/openapi/components/schemas"))
        .filter_map(Value::as_object)
        .flat_map(|schemas| schemas.values());
    let listed = schemas
        .filter_map(|schema| schema.pointer("/properties/model/enum")?.as_array())
        .max_by_key(|listed| listed.len());
    let mut ids: Vec<String> = Vec::new();
    for id in listed.ok_or(ListError::Malformed)?.iter().take(MAX) {
        match id.as_str() {
            Some(id) if id.contains('/') && is_plausible_id(id) => ids.push(id.to_owned()),
            _ => {}
        }
    }
    match ids.len() < FEWEST {
        true => Err(ListError::TooFew),
        false => Ok(ids),
    }
}
