//! `ErrorResponse`, the envelope of every refusal, and the `error` event of a stream.

use serde::Serialize;

/// `{"type": "error", "error": {...}, "request_id": ...}`.
#[derive(Debug, Serialize)]
pub struct ErrorResponse<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub error: ErrorBody<'a>,
    pub request_id: &'a str,
}

#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub message: &'a str,
    pub details: ErrorDetails<'a>,
}

/// What programs tell errors apart by. `param` is an addition of this gateway's.
#[derive(Debug, Serialize)]
pub struct ErrorDetails<'a> {
    pub error_code: &'a str,
    /// The fields that are not available, where that is what the SDKs act on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param: Option<&'a str>,
}
