//! What is known of one model.

use std::borrow::Cow;

use super::abilities::{Modalities, Modality, Parameter, Parameters, Reasoning};
use super::price::{PicoDollars, TokenPrice};
use crate::translate::upstream::UpstreamId;

/// One model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    pub id: Cow<'static, str>,
    /// What fal's any-llm does with it.
    pub any_llm: AnyLlm,
    /// What fal's router does with it.
    pub router: Router,
    /// Whether it thinks before it answers; `None` is not known.
    pub reasoning: Option<Reasoning>,
    /// Tokens of prompt and answer together, as the model's maker publishes it.
    pub context_length: Option<u32>,
    /// The longest answer in tokens, as the model's maker publishes it.
    pub max_output: Option<u32>,
    /// Whether the list of models shows it. One that is not shown is served all the same.
    pub is_listed: bool,
}

/// A model on `fal-ai/any-llm`, which is paid for by the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyLlm {
    /// Whether its list of models has it; `None` is not known.
    pub is_served: Option<bool>,
    /// Charged at ten times the rate of standard models (source: fal's any-llm page); `None` is not
    /// known.
    pub premium: Option<bool>,
    /// Served by `/vision` (source: its model list, 2025-10-17); `None` is not known.
    pub vision: Option<bool>,
    /// Served by `/enterprise` (source: its model list, 2025-10-17).
    pub enterprise: bool,
}

/// A model on `openrouter/router`, which is paid for by the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Router {
    /// Whether OpenRouter lists it; `None` is not known.
    pub is_served: Option<bool>,
    /// What it takes natively where messages are passed on; `None` is not known.
    pub parameters: Option<Parameters>,
    /// What messages to it may hold; `None` is not known.
    pub inputs: Option<Modalities>,
    /// `None` is not known.
    pub price: Option<TokenPrice>,
    /// Tokens of prompt and answer together with the provider that OpenRouter prefers.
    pub context_length: Option<u32>,
}

/// A model as one upstream has it; `None` is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    pub is_served: Option<bool>,
    /// Whether the model sees images there.
    pub sees: Option<bool>,
    /// Whether it hears recordings there.
    pub hears: Option<bool>,
    /// Whether it watches videos there.
    pub watches: Option<bool>,
    /// Tokens of prompt and answer together.
    pub context_length: Option<u32>,
    pub price: Option<Price>,
}

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// The same for each request with text alone.
    Request(PicoDollars),
    Token(TokenPrice),
}

impl Price {
    /// What a call with text alone costs that has so many tokens.
    pub fn of(self, prompt_tokens: u64, completion_tokens: u64) -> PicoDollars {
        match self {
            Self::Request(price) => price,
            Self::Token(price) => price.of(prompt_tokens, completion_tokens),
        }
    }
}

/// fal's unit of any-llm: one request to a standard model (source: fal's any-llm page, "$0.001 per
/// request").
pub const UNIT: PicoDollars = PicoDollars(1_000_000_000);

impl ModelInfo {
    /// A model of which nothing is known but its id.
    pub fn of_unknown(id: impl Into<Cow<'static, str>>) -> Self {
        Self {
            id: id.into(),
            any_llm: AnyLlm::of_unknown(),
            router: Router::default(),
            reasoning: None,
            context_length: None,
            max_output: None,
            is_listed: true,
        }
    }

    /// The part before the slash, as OpenAI's `owned_by`.
    pub fn owner(&self) -> &str {
        self.id.split_once('/').map_or("fal", |(owner, _)| owner)
    }

    /// The model as an upstream has it.
    pub fn on(&self, upstream: UpstreamId) -> Service {
        match upstream {
            UpstreamId::AnyLlm => Service {
                is_served: self.any_llm.is_served,
                sees: self.any_llm.vision,
                hears: Some(false),
                watches: Some(false),
                context_length: self.context_length,
                price: self.any_llm.cost(false).map(Price::Request),
            },
            UpstreamId::Router | UpstreamId::RouterOpenai => Service {
                is_served: self.router.is_served,
                sees: self.accepts(Modality::Image),
                hears: self.accepts(Modality::Audio),
                watches: self.accepts(Modality::Video),
                context_length: self.router.context_length.or(self.context_length),
                price: self.router.price.map(Price::Token),
            },
        }
    }

    /// Whether the model takes a request parameter natively on the router, where messages are
    /// passed on; `None` is not known.
    pub fn supports(&self, parameter: Parameter) -> Option<bool> {
        let known = self.router.parameters?;
        Some(known.contains(parameter))
    }

    /// Whether messages to the model may hold this on the router; `None` is not known.
    pub fn accepts(&self, modality: Modality) -> Option<bool> {
        let known = self.router.inputs?;
        Some(known.contains(modality))
    }

    /// Whether any-llm is the cheaper place for a call with so many tokens: it is taken to be if it
    /// saves a fifth at least, since nobody knows beforehand how long an answer gets. `None` where
    /// one of the prices is not known.
    pub fn is_cheaper_on_any_llm(
        &self,
        has_images: bool,
        prompt_tokens: u64,
        completion_tokens: u64,
    ) -> Option<bool> {
        let by_token = self.router.price?.of(prompt_tokens, completion_tokens);
        let flat = self.any_llm.cost(has_images)?;
        Some(u128::from(flat.0) * 5 <= u128::from(by_token.0) * 4)
    }
}

impl AnyLlm {
    /// any-llm with a model of which nothing is known.
    pub const fn of_unknown() -> Self {
        Self {
            is_served: None,
            premium: None,
            vision: None,
            enterprise: true,
        }
    }

    /// fal's two rates by name, where it is known which one holds.
    pub fn price_class(&self) -> Option<&'static str> {
        self.premium.map(|premium| match premium {
            true => "premium",
            false => "standard",
        })
    }

    /// The units that one request costs (source: fal's any-llm pages: premium models cost ten times
    /// as much, and three times as much on `/vision`).
    pub fn units(&self, has_images: bool) -> Option<u64> {
        self.premium.map(|premium| match (premium, has_images) {
            (false, _) => 1,
            (true, false) => 10,
            (true, true) => 3,
        })
    }

    /// What one request costs.
    pub fn cost(&self, has_images: bool) -> Option<PicoDollars> {
        self.units(has_images).map(|units| UNIT.times(units))
    }
}
