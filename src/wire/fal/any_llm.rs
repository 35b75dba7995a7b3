//! The input and output of `fal-ai/any-llm`, its `/vision` and its `/enterprise`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The input object (source: fal's any-llm page, "Input Schema"; `image_urls` is `/vision`'s).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnyLlmInput<'a> {
    pub prompt: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<Cow<'a, str>>,
    pub model: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_urls: Vec<Cow<'a, str>>,
    /// The router's alone, for its `/audio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_url: Option<Cow<'a, str>>,
    /// The router's alone, for its `/video`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub video_urls: Vec<Cow<'a, str>>,
}

/// `PriorityEnum`. fal's schema default is `latency`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    Throughput,
    Latency,
}

/// The output object, or one event of its stream. Strings stay raw: whoever reads a stream
/// compares them as bytes first.
///
/// `kind` and `detail` are not part of the schema: they occur when the platform answers for the
/// model, which has been seen under status 200 as well.
#[derive(Debug, Deserialize)]
pub struct AnyLlmOutput<'a> {
    #[serde(borrow)]
    pub output: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning: Option<&'a RawValue>,
    pub partial: Option<bool>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    #[serde(rename = "type", borrow)]
    pub kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub detail: Option<&'a RawValue>,
    /// The router's alone.
    #[serde(borrow)]
    pub usage: Option<&'a RawValue>,
}
