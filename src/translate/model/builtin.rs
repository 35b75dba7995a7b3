//! The models that are known from the start.
//!
//! any-llm's are those of fal's page, in its order, with the page's list of premium models. What the
//! router takes of them, and for how much, is OpenRouter's public list (`/api/v1/models`) of May
//! 2026. Context lengths outside the router's column are the model makers' own published figures.

use std::borrow::Cow;

use super::abilities::Modality::{Audio, File, Image, Text, Video};
use super::abilities::Parameter::{
    FrequencyPenalty, LogitBias, Logprobs, MinP, PresencePenalty, RepetitionPenalty,
    ResponseFormat, Seed, Stop, StructuredOutputs, Temperature, ToolChoice, Tools, TopK,
    TopLogprobs, TopP, WebSearchOptions,
};
use super::abilities::Reasoning::{Mandatory, Never, Optional};
use super::abilities::{Modalities, Parameter, Parameters, Reasoning};
use super::info::{AnyLlm, ModelInfo, Router};
use super::price::{PicoDollars, TokenPrice};

/// fal's default, and ours: never a premium model.
pub const DEFAULT_MODEL: &str = "google/gemini-2.5-flash-lite";

/// The catalogue's date, as `created` of every model: 2025-10-17 00:00 UTC.
pub const CATALOGUE_UNIX_S: u32 = 1_760_659_200;

/// Names that clients use by default or that differ from fal's spelling. Every id of the catalogue
/// also answers to its part after the slash.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("gpt-3.5-turbo", DEFAULT_MODEL),
    ("gpt-5", "openai/gpt-5-chat"),
    ("claude-3-7-sonnet", "anthropic/claude-3.7-sonnet"),
    ("claude-3-5-sonnet", "anthropic/claude-3.5-sonnet"),
    ("claude-3.5-haiku", "anthropic/claude-3-5-haiku"),
    ("gemini-1.5-pro", "google/gemini-pro-1.5"),
    ("gemini-1.5-flash", "google/gemini-flash-1.5"),
    ("gemini-2.0-flash", "google/gemini-2.0-flash-001"),
];

/// any-llm's rates.
const STANDARD: bool = false;
const PREMIUM: bool = true;
/// Whether any-llm's `/vision` has a model.
const BLIND: bool = false;
const SEES: bool = true;

const TOOLS: Parameters = Parameters::of(&[Tools, ToolChoice]);
const JSON: Parameters = Parameters::of(&[ResponseFormat, StructuredOutputs]);
const LOGPROBS: Parameters = Parameters::of(&[Logprobs, TopLogprobs]);
const THINKS: Parameters = Parameters::of(&[Parameter::Reasoning]);
const PENALTIES: Parameters = Parameters::of(&[FrequencyPenalty, PresencePenalty]);

/// What servers of open models take by themselves.
const OPEN: Parameters =
    Parameters::of(&[Seed, Temperature, TopP, TopK, RepetitionPenalty]).and(PENALTIES);
const OPEN_AND_MORE: Parameters = Parameters::of(&[Stop, LogitBias, MinP]).and(OPEN).and(JSON);
const CLAUDE: Parameters = Parameters::of(&[Stop, Temperature, TopP, TopK]).and(TOOLS);
const GEMINI: Parameters = Parameters::of(&[Stop, Seed, Temperature, TopP])
    .and(TOOLS)
    .and(JSON);
const GPT_4O: Parameters =
    Parameters::of(&[Stop, Seed, Temperature, TopP, LogitBias, WebSearchOptions])
        .and(PENALTIES)
        .and(LOGPROBS)
        .and(TOOLS)
        .and(JSON);
const GPT_4_1: Parameters = Parameters::of(&[Seed, Temperature, TopP])
    .and(TOOLS)
    .and(JSON);
const GPT_5_CHAT: Parameters = Parameters::of(&[Seed]).and(JSON);
const GPT_REASONING: Parameters = GPT_5_CHAT.and(TOOLS).and(THINKS);

const TEXT: Modalities = Modalities::of(&[Text]);
const IMAGES: Modalities = Modalities::of(&[Text, Image]);
const FILES: Modalities = Modalities::of(&[Text, Image, File]);
const ALL: Modalities = Modalities::of(&[Text, Image, File, Audio, Video]);

/// The router's column of a model: prices are billionths of a dollar, for each token that it reads
/// and that it writes.
const fn routed(
    context_length: u32,
    (prompt, completion): (u64, u64),
    inputs: Modalities,
    parameters: Parameters,
) -> Router {
    Router {
        is_served: Some(true),
        parameters: Some(parameters),
        inputs: Some(inputs),
        price: Some(TokenPrice {
            prompt: PicoDollars(prompt * 1000),
            completion: PicoDollars(completion * 1000),
            audio: None,
        }),
        context_length: Some(context_length),
    }
}

/// The router's column of a model that OpenRouter has dropped.
pub(super) const GONE: Router = Router {
    is_served: Some(false),
    parameters: None,
    inputs: None,
    price: None,
    context_length: None,
};

const fn model(
    id: &'static str,
    (premium, vision): (bool, bool),
    context_length: Option<u32>,
    reasoning: Reasoning,
    router: Router,
) -> ModelInfo {
    ModelInfo {
        id: Cow::Borrowed(id),
        any_llm: AnyLlm {
            is_served: Some(true),
            premium: Some(premium),
            vision: Some(vision),
            enterprise: true,
        },
        is_listed: matches!(router.is_served, Some(true)),
        router,
        reasoning: Some(reasoning),
        context_length,
        max_output: None,
    }
}

/// The longest answers in tokens, as the makers publish them (sources: the model pages of OpenAI,
/// Google and Anthropic). What is not here is not known.
const LONGEST_ANSWERS: &[(&str, u32)] = &[
    ("anthropic/claude-3.7-sonnet", 64_000),
    ("anthropic/claude-3.5-sonnet", 8_192),
    ("anthropic/claude-3-5-haiku", 8_192),
    ("anthropic/claude-3-haiku", 4_096),
    ("google/gemini-pro-1.5", 8_192),
    ("google/gemini-flash-1.5", 8_192),
    ("google/gemini-flash-1.5-8b", 8_192),
    ("google/gemini-2.0-flash-001", 8_192),
    ("google/gemini-2.5-flash", 65_535),
    ("google/gemini-2.5-flash-lite", 65_535),
    ("google/gemini-2.5-pro", 65_535),
    ("openai/gpt-4o-mini", 16_384),
    ("openai/gpt-4o", 16_384),
    ("openai/gpt-4.1", 32_768),
    ("openai/o3", 100_000),
    ("openai/gpt-5-chat", 16_384),
    ("openai/gpt-5-mini", 128_000),
    ("openai/gpt-5-nano", 128_000),
];

/// The models. One that OpenRouter has dropped is taken, since fal may have it still, and is not
/// listed.
#[rustfmt::skip]
pub(super) fn models() -> Vec<ModelInfo> {
    let mut models = vec![
        model("deepseek/deepseek-r1", (PREMIUM, BLIND), Some(128_000), Mandatory,
            routed(64_000, (700, 2_500), TEXT, OPEN.and(Parameters::of(&[Stop])).and(TOOLS).and(THINKS))),
        model("anthropic/claude-3.7-sonnet", (PREMIUM, SEES), Some(200_000), Optional, GONE),
        model("anthropic/claude-3.5-sonnet", (PREMIUM, SEES), Some(200_000), Never, GONE),
        model("anthropic/claude-3-5-haiku", (PREMIUM, BLIND), Some(200_000), Never, GONE),
        model("anthropic/claude-3-haiku", (STANDARD, SEES), Some(200_000), Never,
            routed(200_000, (250, 1_250), IMAGES, CLAUDE)),
        model("google/gemini-pro-1.5", (PREMIUM, SEES), Some(2_000_000), Never, GONE),
        model("google/gemini-flash-1.5", (STANDARD, SEES), Some(1_000_000), Never, GONE),
        model("google/gemini-flash-1.5-8b", (STANDARD, SEES), Some(1_000_000), Never, GONE),
        model("google/gemini-2.0-flash-001", (STANDARD, SEES), Some(1_048_576), Never,
            routed(1_048_576, (100, 400), ALL, GEMINI)),
        model("google/gemini-2.5-flash", (STANDARD, SEES), Some(1_048_576), Optional,
            routed(1_048_576, (300, 2_500), ALL, GEMINI.and(THINKS))),
        model("google/gemini-2.5-flash-lite", (STANDARD, SEES), Some(1_048_576), Optional,
            routed(1_048_576, (100, 400), ALL, GEMINI.and(THINKS))),
        model("google/gemini-2.5-pro", (PREMIUM, SEES), Some(1_048_576), Mandatory,
            routed(1_048_576, (1_250, 10_000), ALL, GEMINI.and(THINKS))),
        model("meta-llama/llama-3.2-1b-instruct", (STANDARD, BLIND), Some(131_072), Never,
            routed(60_000, (27, 200), TEXT, OPEN)),
        model("meta-llama/llama-3.2-3b-instruct", (STANDARD, BLIND), Some(131_072), Never,
            routed(80_000, (51, 340), TEXT, OPEN)),
        model("meta-llama/llama-3.1-8b-instruct", (STANDARD, BLIND), Some(131_072), Never,
            routed(16_384, (20, 50), TEXT, OPEN_AND_MORE.and(LOGPROBS).and(TOOLS))),
        model("meta-llama/llama-3.1-70b-instruct", (STANDARD, BLIND), Some(131_072), Never,
            routed(131_072, (400, 400), TEXT, OPEN_AND_MORE.and(TOOLS))),
        model("openai/gpt-oss-120b", (STANDARD, BLIND), Some(131_072), Mandatory,
            routed(131_072, (39, 180), TEXT, OPEN_AND_MORE.and(LOGPROBS).and(TOOLS).and(THINKS))),
        model("openai/gpt-4o-mini", (STANDARD, BLIND), Some(128_000), Never,
            routed(128_000, (150, 600), FILES, GPT_4O)),
        model("openai/gpt-4o", (PREMIUM, SEES), Some(128_000), Never,
            routed(128_000, (2_500, 10_000), FILES, GPT_4O)),
        model("openai/gpt-4.1", (PREMIUM, SEES), Some(1_047_576), Never,
            routed(1_047_576, (2_000, 8_000), FILES, GPT_4_1)),
        model("openai/o3", (PREMIUM, BLIND), Some(200_000), Mandatory,
            routed(200_000, (2_000, 8_000), FILES, GPT_REASONING)),
        model("openai/gpt-5-chat", (PREMIUM, SEES), Some(128_000), Never,
            routed(128_000, (1_250, 10_000), FILES, GPT_5_CHAT)),
        model("openai/gpt-5-mini", (STANDARD, BLIND), Some(400_000), Optional,
            routed(400_000, (250, 2_000), FILES, GPT_REASONING)),
        model("openai/gpt-5-nano", (STANDARD, BLIND), Some(400_000), Optional,
            routed(400_000, (50, 400), FILES, GPT_REASONING)),
        model("meta-llama/llama-4-maverick", (STANDARD, SEES), None, Never,
            routed(1_048_576, (150, 600), IMAGES, OPEN_AND_MORE)),
        model("meta-llama/llama-4-scout", (STANDARD, SEES), None, Never,
            routed(327_680, (80, 300), IMAGES, OPEN_AND_MORE.and(TOOLS))),
    ];
    for model in &mut models {
        model.any_llm.enterprise = model.id != "deepseek/deepseek-r1";
        let longest = LONGEST_ANSWERS.iter().find(|(id, _)| *id == model.id);
        model.max_output = longest.map(|(_, tokens)| *tokens);
    }
    models
}
