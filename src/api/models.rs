//! `GET /v1/models` and `GET /v1/models/{id}`, answered from memory.

use std::collections::BTreeSet;

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};

use super::context::Context;
use super::error::ApiError;
use super::paths;
use super::snapshot::Snapshot;
use crate::access::ClientKey;
use crate::translate::draft::Fate;
use crate::translate::face::chat::parameters::PARAMETERS;
use crate::translate::face::messages;
use crate::translate::fates::{self, SAMPLING};
use crate::translate::model::{
    CATALOGUE_UNIX_S, Catalogue, Modality, ModelInfo, Parameter, Price, Reasoning, Service,
};
use crate::translate::plan::PlanLimits;
use crate::translate::routing::usual;
use crate::translate::upstream::UpstreamId;
use crate::wire::openai::model::{Architecture, ListModelsResponse, Model, Pricing};

/// The catalogue, and after it the other names by which models can be asked for.
///
/// # Errors
/// 401 where client keys are configured and none is shown, and 403 where it is for something else.
pub async fn list(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    let key = context.admit_reader(&request)?;
    let snapshot = &context.snapshot;
    let is_shown = |card: &ModelInfo| may_ask(key.as_deref(), card);
    let (catalogue, live) = (&snapshot.catalogue, live(snapshot));
    let plan_limits = &snapshot.plan_limits;
    if !paths::speaks_messages(request.headers()) {
        let list = list_json(catalogue, plan_limits, live, is_shown);
        return Ok(HttpResponse::Ok().json(list));
    }
    let more = unlisted(catalogue, live);
    let page = messages::models::Page::of_query(request.query_string());
    let shown = names(catalogue, plan_limits, &more).filter(|(_, card)| is_shown(card));
    let json = messages::models::list_json(shown, &page);
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(json))
}

/// The models that fal itself has listed beyond the catalogue.
fn unlisted(catalogue: &Catalogue, live: BTreeSet<String>) -> Vec<ModelInfo> {
    let is_more = |id: &String| catalogue.card(id).is_none() && !catalogue.hides(id);
    let more = live.into_iter().filter(is_more);
    more.map(ModelInfo::of_unknown).collect()
}

/// All names that the list shows: those of the catalogue, of `more`, and the aliases.
fn names<'m>(
    catalogue: &'m Catalogue,
    plan_limits: &'m PlanLimits,
    more: &'m [ModelInfo],
) -> impl Iterator<Item = (&'m str, &'m ModelInfo)> {
    let cards = catalogue.cards().iter().chain(more);
    let cards = cards.map(|card| (card.id.as_ref(), card));
    let all = cards.chain(catalogue.aliases());
    all.filter(move |(_, card)| card.is_listed && is_served(card, plan_limits))
}

/// The models that fal has listed to the gateway's own key. What it lists to callers' keys, private
/// models among it, is theirs.
fn live(snapshot: &Snapshot) -> BTreeSet<String> {
    let key = snapshot.access.own_fal_key();
    key.map(|key| snapshot.engine.observed.models(key.print()))
        .unwrap_or_default()
}

/// Whether a key may ask for a model; where no key is asked for, everybody may.
fn may_ask(key: Option<&ClientKey>, card: &ModelInfo) -> bool {
    key.is_none_or(|key| key.may_ask(&card.id, card.any_llm.premium.unwrap_or(true)))
}

/// The body of the list: what of the catalogue the upstream has, what fal itself has listed beyond
/// it, and the aliases, as far as they are shown.
pub fn list_json(
    catalogue: &Catalogue,
    plan_limits: &PlanLimits,
    live: BTreeSet<String>,
    is_shown: impl Fn(&ModelInfo) -> bool,
) -> serde_json::Value {
    let more = unlisted(catalogue, live);
    let models = names(catalogue, plan_limits, &more).filter(|(_, card)| is_shown(card));
    let list = ListModelsResponse {
        object: "list",
        data: models
            .map(|(name, card)| model(name, card, catalogue, plan_limits))
            .collect(),
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
    let key = context.admit_reader(&request)?;
    let catalogue = &context.snapshot.catalogue;
    let live = live(&context.snapshot);
    let speaks_messages = paths::speaks_messages(request.headers());
    let id = match id.strip_prefix(messages::parse::PREFIX) {
        Some(bare) if speaks_messages => bare,
        _ => id.as_str(),
    };
    let unlisted = live.get(id).filter(|id| !catalogue.hides(id));
    let unlisted = unlisted.cloned().map(ModelInfo::of_unknown);
    let card = catalogue.find(id).or(unlisted.as_ref());
    let card = card.filter(|card| may_ask(key.as_deref(), card));
    let card = card.ok_or_else(|| catalogue.unknown(id, live.iter().map(String::as_str)))?;
    // Another spelling of a name is none that the list has.
    let name = match catalogue.card(id) {
        Some(_) => id,
        None => card.id.as_ref(),
    };
    if speaks_messages {
        let json = messages::models::model_json(name, card);
        return Ok(HttpResponse::Ok()
            .content_type("application/json")
            .body(json));
    }
    let plan_limits = &context.snapshot.plan_limits;
    Ok(HttpResponse::Ok().json(model(name, card, catalogue, plan_limits)))
}

/// Whether a model may be had: what the upstream is known not to have is not.
fn is_served(card: &ModelInfo, plan_limits: &PlanLimits) -> bool {
    card.on(usual(card, plan_limits)).is_served != Some(false)
}

fn model<'m>(
    name: &'m str,
    card: &'m ModelInfo,
    catalogue: &'m Catalogue,
    plan_limits: &PlanLimits,
) -> Model<'m> {
    let upstream = usual(card, plan_limits);
    let service = card.on(upstream);
    let is_alias = name != card.id;
    let aliases = catalogue
        .aliases()
        .filter(|(_, other)| !is_alias && other.id == card.id);
    let is_flat = matches!(service.price, Some(Price::Request(_)));
    Model {
        id: name,
        object: "model",
        created: CATALOGUE_UNIX_S,
        owned_by: card.owner(),
        name,
        context_length: service.context_length,
        architecture: architecture(&service),
        supported_parameters: supported_parameters(card, upstream),
        pricing: service.price.map(pricing),
        price_class: card.any_llm.price_class().filter(|_| is_flat),
        premium: card.any_llm.premium.filter(|_| is_flat),
        reasoning: card.reasoning.map(Reasoning::is_possible),
        aliases: aliases.map(|(alias, _)| alias).collect(),
        alias_of: is_alias.then_some(card.id.as_ref()),
    }
}

/// What messages to a model may hold, as far as the gateway passes it on.
fn architecture(service: &Service) -> Architecture {
    let kinds = [
        (Modality::Image, service.sees),
        (Modality::Audio, service.hears),
        (Modality::Video, service.watches),
    ];
    let taken = kinds.iter().filter(|(_, takes)| *takes == Some(true));
    let taken = taken.map(|(kind, _)| kind.name());
    let inputs: Vec<_> = std::iter::once("text").chain(taken).collect();
    Architecture {
        modality: format!("{}->text", inputs.join("+")),
        input_modalities: inputs,
        output_modalities: &["text"],
    }
}

/// What is charged, in OpenRouter's form: either nothing for tokens, or nothing for requests.
fn pricing(price: Price) -> Pricing {
    let nothing = || "0".to_owned();
    match price {
        Price::Request(price) => Pricing {
            prompt: nothing(),
            completion: nothing(),
            request: price.to_string(),
            audio: None,
        },
        Price::Token(price) => Pricing {
            prompt: price.prompt.to_string(),
            completion: price.completion.to_string(),
            request: nothing(),
            audio: price.audio.map(|price| price.to_string()),
        },
    }
}

/// The request fields that have their effect with a model, natively or by emulation, and
/// `structured_outputs`, by which OpenRouter's list names schemas.
fn supported_parameters(card: &ModelInfo, upstream: UpstreamId) -> Vec<&'static str> {
    const OF_REASONING: [&str; 3] = ["reasoning", "include_reasoning", "reasoning_effort"];
    let is_supported = |fate| matches!(fate, Fate::Forwarded | Fate::Emulated);
    let never_reasons = card.reasoning == Some(Reasoning::Never);
    // Where nothing is known of a model, it has what most have: all but the finer sampling.
    // Nothing can stand in for probabilities of tokens, so they have to be listed.
    let has_most = |needed| match needed {
        Parameter::Temperature => true,
        Parameter::Logprobs | Parameter::TopLogprobs => false,
        needed => !SAMPLING.contains(&needed),
    };
    let takes = |needed| card.supports(needed).or(Some(has_most(needed)));
    let names = PARAMETERS
        .iter()
        .filter(|parameter| is_supported(fates::on(parameter, upstream).with(takes)))
        .map(|parameter| parameter.name)
        .filter(|name| !matches!(*name, "messages" | "model"))
        .filter(|name| !(never_reasons && OF_REASONING.contains(name)));
    names.chain(["structured_outputs"]).collect()
}
