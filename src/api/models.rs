//! `GET /v1/models` and `GET /v1/models/{id}`, answered from memory.

use std::collections::BTreeSet;

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};

use super::context::Context;
use super::error::ApiError;
use super::snapshot::Snapshot;
use crate::translate::draft::Fate;
use crate::translate::face::chat::parameters::PARAMETERS;
use crate::translate::model::{CATALOGUE_UNIX_S, Catalogue, ModelInfo, Reasoning};
use crate::wire::openai::model::{Architecture, ListModelsResponse, Model};

/// The catalogue, and after it the other names by which models can be asked for.
///
/// # Errors
/// 401 where client keys are configured and none is shown.
pub async fn list(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    context.admit_reader(&request)?;
    let snapshot = &context.snapshot;
    Ok(HttpResponse::Ok().json(list_json(&snapshot.catalogue, live(snapshot))))
}

/// The models that fal has listed to the gateway's own key. What it lists to callers' keys, private
/// models among it, is theirs.
fn live(snapshot: &Snapshot) -> BTreeSet<String> {
    let key = snapshot.access.own_fal_key();
    key.map(|key| snapshot.engine.observed.models(key.print()))
        .unwrap_or_default()
}

/// The body of the list: the catalogue, what fal itself has listed beyond it, and the aliases.
pub fn list_json(catalogue: &Catalogue, live: BTreeSet<String>) -> serde_json::Value {
    let supported = supported_parameters();
    let unlisted = live
        .into_iter()
        .filter(|id| catalogue.card(id).is_none() && !catalogue.hides(id));
    let more = unlisted.map(ModelInfo::of_unknown).collect::<Vec<_>>();
    let cards = catalogue.cards().iter().chain(&more);
    let models = cards.map(|card| model(card.id.as_ref(), card, catalogue, &supported));
    let aliases = catalogue
        .aliases()
        .map(|(alias, card)| model(alias, card, catalogue, &supported));
    let list = ListModelsResponse {
        object: "list",
        data: models.chain(aliases).collect(),
    };
    serde_json::to_value(list).unwrap_or_default()
}

/// One model, by id or alias; the id's slash may be written as `%2F`.
///
/// # Errors
/// 404 with the nearest names for a model that is not in the list, and 401 as for the list.
pub async fn retrieve(
    request: HttpRequest,
    id: web::Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    context.admit_reader(&request)?;
    let catalogue = &context.snapshot.catalogue;
    let live = live(&context.snapshot);
    let unlisted = live.get(id.as_str()).filter(|id| !catalogue.hides(id));
    let unlisted = unlisted.cloned().map(ModelInfo::of_unknown);
    let card = catalogue.find(&id).or(unlisted.as_ref());
    let card = card.ok_or_else(|| catalogue.unknown(&id, live.iter().map(String::as_str)))?;
    // Another spelling of a name is none that the list has.
    let name = match catalogue.card(&id) {
        Some(_) => id.as_str(),
        None => card.id.as_ref(),
    };
    Ok(HttpResponse::Ok().json(model(name, card, catalogue, &supported_parameters())))
}

fn model<'m>(
    name: &'m str,
    card: &'m ModelInfo,
    catalogue: &'m Catalogue,
    supported: &'m [&'static str],
) -> Model<'m> {
    let is_alias = name != card.id;
    let aliases = catalogue
        .aliases()
        .filter(|(_, other)| !is_alias && other.id == card.id);
    Model {
        id: name,
        object: "model",
        created: CATALOGUE_UNIX_S,
        owned_by: card.owner(),
        name,
        context_length: card.context_length,
        architecture: Architecture {
            input_modalities: match card.any_llm.vision {
                Some(true) => &["text", "image"],
                Some(false) | None => &["text"],
            },
            output_modalities: &["text"],
        },
        supported_parameters: supported,
        price_class: card.any_llm.price_class(),
        premium: card.any_llm.premium,
        reasoning: card.reasoning.map(Reasoning::is_possible),
        aliases: aliases.map(|(alias, _)| alias).collect(),
        alias_of: is_alias.then_some(card.id.as_ref()),
    }
}

/// The request fields that have their effect, natively or by emulation.
fn supported_parameters() -> Vec<&'static str> {
    let is_supported = |fate| matches!(fate, Fate::Forwarded | Fate::Emulated);
    PARAMETERS
        .iter()
        .filter(|parameter| {
            is_supported(parameter.fate) && !matches!(parameter.name, "messages" | "model")
        })
        .map(|parameter| parameter.name)
        .collect()
}
