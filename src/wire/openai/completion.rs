//! `CreateCompletionResponse` of the legacy API.

use std::borrow::Cow;

use serde::Serialize;

use super::chat::GatewayNotes;
use super::usage::CompletionUsage;

/// A whole answer.
#[derive(Debug, Serialize)]
pub struct Completion<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: u64,
    pub model: &'a str,
    pub choices: Vec<CompletionChoice<'a>>,
    pub usage: CompletionUsage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayNotes<'a>>,
}

/// One choice of a whole answer.
#[derive(Debug, Serialize)]
pub struct CompletionChoice<'a> {
    pub text: Cow<'a, str>,
    pub index: u32,
    pub logprobs: Option<()>,
    pub finish_reason: &'static str,
}
