//! Where the gateway may differ from OpenAI, and which way it then leans.

use super::kinds::{Choice, List, Optional, Size, Switch};
use super::settings::settings;

settings! {
    /// Where fal cannot do what OpenAI does, and which way the gateway then leans.
    pub struct Compat in "compat" {
        /// Refuse, with status 400, request fields that would otherwise be ignored.
        strict_parameters: bool, Switch, default "false", reload live;
        /// Fields that are ignored and named instead of refused, for clients that always send
        /// them and live without what they ask for.
        ignore: Vec<IgnoredField>, List(Choice(IgnoredField::WORDS)), reload live;
        /// Field of the answer that carries a model's reasoning.
        reasoning_field: ReasoningField, Choice(ReasoningField::WORDS), default "both", reload live;
        /// Put the gateway's notes on a request into the body of the answer, besides the headers.
        notes_in_body: bool, Switch, default "false", reload live;
    }
}

settings! {
    /// How the tokens of a request and its answer are reported.
    pub struct Usage in "usage" {
        /// How tokens are counted: `estimate` is quick and near, `exact` runs OpenAI's tokenizer
        /// o200k_base, whatever the model.
        count: UsageCount, Choice(UsageCount::WORDS), default "estimate", reload live;
        /// Send the usage chunk at the end of every stream, asked for or not.
        always_stream: bool, Switch, default "false", reload live;
    }
}

settings! {
    /// How images reach fal.
    pub struct Images in "images" {
        /// Images, and recordings and videos that fal takes by their address, sent as data URIs larger
        /// than this many bytes are uploaded to fal's storage first, unless fal may keep nothing of
        /// the request; unset for never.
        upload_threshold: Option<usize>, Optional(Size("1", "1GiB")), reload live;
        /// What happens to more images than `limits.max_images`, and to more recordings and videos:
        /// `drop_oldest` leaves out the oldest ones, with a note and a text in their place, but none
        /// since the last reply; `refuse` refuses the request.
        excess: ImageExcess, Choice(ImageExcess::WORDS), default "drop_oldest", reload live;
        /// Accept `http://` image URLs too.
        http: bool, Switch, default "false", reload live;
    }
}

/// What happens to more images than a request may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageExcess {
    /// The oldest are left out.
    DropOldest,
    /// The request is refused.
    Refuse,
}

impl ImageExcess {
    const WORDS: &'static [(&'static str, Self)] =
        &[("drop_oldest", Self::DropOldest), ("refuse", Self::Refuse)];
}

/// The field of the answer that carries a model's reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningField {
    Both,
    ReasoningContent,
    Reasoning,
}

impl ReasoningField {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("both", Self::Both),
        ("reasoning_content", Self::ReasoningContent),
        ("reasoning", Self::Reasoning),
    ];
}

/// A field that can be ignored instead of refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoredField {
    Logprobs,
    TopLogprobs,
    LogitBias,
}

impl IgnoredField {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("logprobs", Self::Logprobs),
        ("top_logprobs", Self::TopLogprobs),
        ("logit_bias", Self::LogitBias),
    ];

    /// The field's name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logprobs => "logprobs",
            Self::TopLogprobs => "top_logprobs",
            Self::LogitBias => "logit_bias",
        }
    }
}

/// How tokens are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageCount {
    Estimate,
    Exact,
}

impl UsageCount {
    const WORDS: &'static [(&'static str, Self)] =
        &[("estimate", Self::Estimate), ("exact", Self::Exact)];
}
