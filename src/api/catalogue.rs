//! What the settings say about models, as the catalogue takes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lists;
use crate::access::Roster;
use crate::access::models::matches;
use crate::access::roster::{StoredKey, StoredProject, place_of_store};
use crate::config::{self, Config, ModelPattern, UnknownModel};
use crate::translate::model::{
    AnyLlm, Catalogue, Changes, Modality, ModelInfo, Parameter, PublicLists, Reasoning, Router,
    TokenPrice,
};

/// What in settings that are fine by themselves deserves a second look, with what they say of models.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = config.warnings();
    let keys = config.keys.iter();
    let keys = keys.map(|key| ("key", &key.name, &key.origin, &key.models));
    let projects = config.projects.iter();
    let projects = projects.map(|one| ("project", &one.name, &one.origin, &one.models));
    warnings.extend(idle_patterns(config, keys.chain(projects)));
    warnings
}

/// The same in what the store has beside them: patterns that fit no model.
pub fn warnings_of_store(config: &Config, roster: &Roster) -> Vec<String> {
    let place = place_of_store(config);
    let keys = roster.keys.values();
    let keys = keys.filter(|stored| stored.revoked_at.is_none());
    let keys = keys.map(|stored| ("key", &stored.key.name, &place, &stored.key.models));
    let projects = roster.projects.values().map(|stored| &stored.project);
    let projects = projects.map(|one| ("project", &one.name, &place, &one.models));
    idle_patterns(config, keys.chain(projects))
}

/// The same in one key of the store.
pub fn warnings_of_key(config: &Config, stored: &StoredKey) -> Vec<String> {
    let (key, place) = (&stored.key, place_of_store(config));
    let all = (stored.revoked_at.is_none()).then_some(("key", &key.name, &place, &key.models));
    idle_patterns(config, all.into_iter())
}

/// The same in one project of the store.
pub fn warnings_of_project(config: &Config, stored: &StoredProject) -> Vec<String> {
    let (project, place) = (&stored.project, place_of_store(config));
    let all = std::iter::once(("project", &project.name, &place, &project.models));
    idle_patterns(config, all)
}

/// Patterns of keys and projects that stand for no model that is known. Each is named once, with the
/// first that has it.
fn idle_patterns<'c>(
    config: &Config,
    all: impl Iterator<Item = (&'c str, &'c String, &'c String, &'c Vec<ModelPattern>)>,
) -> Vec<String> {
    let mut owners: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    for (what, name, origin, models) in all {
        for pattern in models {
            let first = || (format!("{origin}: the {what} `{name}`"), 0);
            owners.entry(&pattern.text).or_insert_with(first).1 += 1;
        }
    }
    if owners.is_empty() {
        return Vec::new();
    }
    let kept = config.models.cache.as_deref();
    let kept = kept.and_then(lists::kept).unwrap_or_default();
    let catalogue = Catalogue::new(changes(&config.models, Arc::new(kept)));
    let place = match &config.models.cache {
        None => "the built-in list of models and models.add".to_owned(),
        Some(path) => format!(
            "the built-in list of models, models.add and models.cache ({})",
            path.display()
        ),
    };
    let is_idle = |pattern: &str| {
        let mut cards = catalogue.cards().iter();
        !cards.any(|card| matches(pattern, &card.id))
    };
    let idle = owners.into_iter().filter(|(pattern, _)| is_idle(pattern));
    let sentence = |(pattern, (owner, count)): (&str, (String, usize))| {
        let others = match count {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let alias = catalogue.aliases().find(|(alias, _)| *alias == pattern);
        let cure = alias.map_or_else(String::new, |(_, card)| {
            format!(
                " It is another name of `{}`, and patterns take ids.",
                card.id
            )
        });
        format!(
            "{owner}{others} has the pattern `{pattern}` in models, which no model of {place} fits.{cure}"
        )
    };
    idle.map(sentence).collect()
}

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
            audio: None,
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
