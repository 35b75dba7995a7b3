//! `ErrorResponse`, the envelope of every refusal.

use serde::Serialize;

/// `{"error": {...}}`.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorResponse<'a> {
    pub error: ErrorBody<'a>,
}

/// All four fields are always present: OpenAI's schema requires them. There are no ids among them,
/// since some clients search the whole body for statuses such as `429`, and an id can hold any.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody<'a> {
    pub message: &'a str,
    #[serde(rename = "type")]
    pub kind: &'a str,
    pub param: Option<&'a str>,
    pub code: Option<&'a str>,
}
