//! What fal's queue says of a request (source: fal docs, page "queue").

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The answer to a request that was put into the queue.
#[derive(Debug, Deserialize)]
pub struct Submitted<'a> {
    #[serde(borrow)]
    pub request_id: Cow<'a, str>,
}

/// How far a request has come: `IN_QUEUE`, `IN_PROGRESS` or `COMPLETED`. One that has failed is
/// completed, and has an `error`.
#[derive(Debug, Deserialize)]
pub struct QueueStatus<'a> {
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
}
