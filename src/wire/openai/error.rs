//! `ErrorResponse`, the envelope of every refusal.

use serde::Serialize;

/// `{"error": {...}}`.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorResponse<'a> {
    pub error: ErrorBody<'a>,
}

/// All four fields are always present; OpenAI's schema requires them.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody<'a> {
    pub message: &'a str,
    #[serde(rename = "type")]
    pub kind: &'a str,
    pub param: Option<&'a str>,
    pub code: Option<&'a str>,
}
