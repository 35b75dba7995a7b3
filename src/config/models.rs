//! Which models clients may name, and what the names mean.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::kinds::{
    Added, BaseUrl, Choice, FilePath, List, ModelId, Optional, Span, Switch, Table,
};
use super::settings::settings;

settings! {
    /// Which models clients may name, and what the names mean.
    pub struct Models in "models" {
        /// Model of requests that name none: a fal id, or a name from `models.aliases`.
        default: String, ModelId, default "google/gemini-2.5-flash-lite", reload live;
        /// More names for models; each stands for a fal id or for another name in this table.
        aliases: BTreeMap<String, String>, Table(ModelId, "{ \"fast\" = \"google/gemini-2.5-flash-lite\" }"), reload live;
        /// Whether the names that ship with the gateway, such as `gpt-4o`, are understood.
        builtin_aliases: bool, Switch, default "true", reload live;
        /// Model that answers for Claude's larger ones on `/v1/messages`: for `claude-opus-4-8`,
        /// `claude-sonnet-5` and every other name of that kind that the catalogue does not have.
        claude_large: String, ModelId, default "openai/gpt-4.1", reload live;
        /// Model that answers for `claude-haiku-4-5` and its like, which clients ask unasked in the
        /// background.
        claude_small: String, ModelId, default "google/gemini-2.5-flash-lite", reload live;
        /// What happens to an id that the catalogue does not list: `forward` sends every name with
        /// a slash to fal, which decides, and `refuse` answers with status 404.
        unknown: UnknownModel, Choice(UnknownModel::WORDS), default "forward", reload live;
        /// Ids that are neither listed nor served.
        hide: Vec<String>, List(ModelId), reload live;
        /// Models added to the catalogue, as `[[models.add]]` tables with `id` (without a slash where
        /// the application behind `fal.openai_app` knows it so), `premium`
        /// (false), `vision` (false), `reasoning` (false, true or "mandatory"), `enterprise`
        /// (true), and where known: `context_length` in tokens, whether `any_llm` and `router` have
        /// it, the `parameters` and `inputs` that the router takes for it, in OpenRouter's words,
        /// `prompt_price` and `completion_price` in dollars for one token, as text.
        add: Vec<AddedModel>, Added, reload live;
        /// Models to try, in order, when one cannot answer: a table from a name to a list of ids.
        fallbacks: BTreeMap<String, Vec<String>>, Table(List(ModelId), "{ \"openai/gpt-4o\" = [\"openai/gpt-4o-mini\"] }"), reload live;
        /// How often the public lists of models are read: fal's of any-llm, and OpenRouter's, which
        /// is shown no key. What they say of a model wins over what ships with the gateway; what
        /// vanishes from them is no longer listed and served all the same. Unset, they are not read.
        refresh: Option<Duration>, Optional(Span("1s", "168h")), reload restart;
        /// File in which the lists are kept for the next start; relative to the working directory.
        cache: Option<PathBuf>, Optional(FilePath), reload restart;
        /// Base URL of OpenRouter's API, whose list of models is read.
        openrouter_url: Url, BaseUrl, default "https://openrouter.ai/api/v1", reload restart;
        /// File with what `fal-gateway eval --output` measured of models, from which each model's
        /// dialect, and whether it is shown outlines, is taken; relative to the working directory.
        capabilities: Option<PathBuf>, Optional(FilePath), reload live;
    }
}

/// What happens to a model id that the catalogue does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownModel {
    /// Names with a slash go to fal, which decides.
    Forward,
    /// The request is refused.
    Refuse,
}

impl UnknownModel {
    const WORDS: &'static [(&'static str, Self)] =
        &[("forward", Self::Forward), ("refuse", Self::Refuse)];
}

/// A model that the operator adds to the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedModel {
    /// The id that the upstream knows it by; fal's own have a slash.
    pub id: String,
    /// Whether fal bills it at the premium rate. Default: `false`.
    pub premium: bool,
    /// Whether it takes images. Default: `false`.
    pub vision: bool,
    /// Whether it thinks before it answers. Default: never.
    pub reasoning: Thinking,
    /// Whether fal's enterprise endpoint offers it. Default: `true`.
    pub enterprise: bool,
    /// Tokens it can take in, if known.
    pub context_length: Option<usize>,
    /// Whether any-llm has it, if known.
    pub any_llm: Option<bool>,
    /// Whether the router has it, if known.
    pub router: Option<bool>,
    /// What the router takes for it natively, by the names of OpenRouter's list, if known.
    pub parameters: Option<Vec<&'static str>>,
    /// What messages to it may hold on the router, likewise.
    pub inputs: Option<Vec<&'static str>>,
    /// What it costs on the router, if known.
    pub price: Option<AddedPrice>,
}

/// Dollars for one token, as decimal numbers with up to twelve decimals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedPrice {
    pub prompt: String,
    pub completion: String,
}

/// Whether a model thinks before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    Never,
    /// Where it is asked to.
    OnDemand,
    Always,
}
