//! What the settings say about models, as the catalogue takes it.

use std::sync::Arc;

use crate::config::{self, UnknownModel};
use crate::translate::model::{
    AnyLlm, Changes, Modality, ModelInfo, Parameter, PublicLists, Reasoning, Router, TokenPrice,
};

/// What the operator changes about the catalogue.
pub(super) fn changes(models: &config::Models, lists: Arc<PublicLists>) -> Changes {
    Changes {
        lists,
        default: Some(models.default.clone()),
        builtin_aliases: models.builtin_aliases,
        aliases: models.aliases.clone().into_iter().collect(),
        add: models.add.iter().map(model).collect(),
        hide: models.hide.clone(),
        refuse_unknown: models.unknown == UnknownModel::Refuse,
        fallbacks: models.fallbacks.clone().into_iter().collect(),
    }
}

fn model(added: &config::AddedModel) -> ModelInfo {
    let context_length = added
        .context_length
        .and_then(|tokens| u32::try_from(tokens).ok());
    let parameters = added.parameters.as_ref().map(|names| {
        let known = names.iter().filter_map(|name| Parameter::named(name));
        known.collect()
    });
    let inputs = added.inputs.as_ref().map(|names| {
        let known = names.iter().filter_map(|name| Modality::named(name));
        known.collect()
    });
    let price = added.price.as_ref().and_then(|price| {
        Some(TokenPrice {
            prompt: price.prompt.parse().ok()?,
            completion: price.completion.parse().ok()?,
        })
    });
    ModelInfo {
        id: added.id.clone().into(),
        any_llm: AnyLlm {
            is_served: added.any_llm,
            premium: Some(added.premium),
            vision: Some(added.vision),
            enterprise: added.enterprise,
        },
        router: Router {
            is_served: added.router,
            parameters,
            inputs,
            price,
            context_length,
        },
        reasoning: Some(match added.reasoning {
            config::Thinking::Never => Reasoning::Never,
            config::Thinking::OnDemand => Reasoning::Optional,
            config::Thinking::Always => Reasoning::Mandatory,
        }),
        context_length,
        max_output: None,
        is_listed: true,
    }
}
