//! `Message`, the whole answer, and what the events of a stream share with it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::wire::openai::chat::GatewayNotes;

#[derive(Debug, Serialize)]
pub struct Message<'a> {
    pub id: &'a str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub role: &'static str,
    pub model: &'a str,
    pub content: Vec<ContentBlock<'a>>,
    #[serde(flatten)]
    pub ending: Ending<'a>,
    pub usage: Usage,
    /// An addition of this gateway's, for callers that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayNotes<'a>>,
}

/// How the answer has ended. All of it is null while it has not.
#[derive(Debug, Default, Serialize)]
pub struct Ending<'a> {
    pub stop_reason: Option<&'static str>,
    pub stop_sequence: Option<&'a str>,
    pub stop_details: Option<StopDetails<'a>>,
    pub container: Option<()>,
}

#[derive(Debug, Serialize)]
pub struct StopDetails<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub explanation: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentBlock<'a> {
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: String,
    },
    Text {
        text: Cow<'a, str>,
    },
    ToolUse {
        id: String,
        name: &'a str,
        input: Box<RawValue>,
    },
}

/// Clients read all of it from a stream's first event or from its last but one, so it is complete in
/// both.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    pub input_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub cache_creation: CacheCreation,
    pub output_tokens: u64,
    pub server_tool_use: Option<()>,
    pub service_tier: &'static str,
    /// Dollars, an addition of this gateway's; left out where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CacheCreation {
    pub ephemeral_5m_input_tokens: u64,
    pub ephemeral_1h_input_tokens: u64,
}
