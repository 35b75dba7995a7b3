//! `CreateCompletionResponse`, and the object that it and `CreateChatCompletionResponse` are.

use std::borrow::Cow;

use serde::Serialize;

use super::chat::GatewayNotes;
use super::usage::CompletionUsage;

/// A whole answer of either API; their choices set them apart.
#[derive(Debug, Serialize)]
pub struct Completion<'a, C> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: u64,
    pub model: &'a str,
    pub choices: Vec<C>,
    pub usage: CompletionUsage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayNotes<'a>>,
}

/// One choice of a legacy answer.
#[derive(Debug, Serialize)]
pub struct CompletionChoice<'a> {
    pub text: Cow<'a, str>,
    pub index: u32,
    pub logprobs: Option<()>,
    pub finish_reason: &'static str,
}
