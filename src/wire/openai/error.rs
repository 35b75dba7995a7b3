//! `ErrorResponse`, the envelope of every refusal.

use serde::Serialize;

/// `{"error": {...}}`.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorResponse<'a> {
    pub error: ErrorBody<'a>,
}

/// The first four fields are always present; OpenAI's schema requires them.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody<'a> {
    pub message: &'a str,
    #[serde(rename = "type")]
    pub kind: &'a str,
    pub param: Option<&'a str>,
    pub code: Option<&'a str>,
    /// fal's id of the request: an addition of this gateway's. It is no part of the message, which
    /// clients search for numbers such as 429.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fal_request_id: Option<&'a str>,
}
