//! `ModelInfo` and the list of them.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct ModelList<'a> {
    pub data: Vec<ModelInfo<'a>>,
    pub has_more: bool,
    pub first_id: Option<String>,
    pub last_id: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ModelInfo<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub id: String,
    pub display_name: &'a str,
    /// RFC 3339.
    pub created_at: &'static str,
    pub max_input_tokens: Option<u32>,
    pub max_tokens: Option<u32>,
    pub capabilities: ModelCapabilities,
    pub lifecycle: &'static str,
}

#[derive(Debug, Serialize)]
pub struct ModelCapabilities {
    pub batch: Supported,
    pub citations: Supported,
    pub code_execution: Supported,
    pub image_input: Supported,
    pub pdf_input: Supported,
    pub structured_outputs: Supported,
    pub thinking: Supported,
}

#[derive(Debug, Serialize)]
pub struct Supported {
    pub supported: bool,
}
