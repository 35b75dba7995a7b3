//! fal's error bodies (source: fal's pages on model and request errors).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::text::Text;

/// The outer shape all JSON error bodies share; which fields are present tells who wrote it.
#[derive(Debug, Default, Deserialize)]
pub struct ErrorBody<'a> {
    #[serde(borrow)]
    pub detail: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error_type: Option<Text<'a>>,
    #[serde(rename = "type", borrow)]
    pub kind: Option<Text<'a>>,
    /// OpenRouter's error, where it is not fal that refuses.
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

/// One entry of a `detail` list, as pydantic writes it.
#[derive(Debug, Deserialize)]
pub struct Detail<'a> {
    #[serde(borrow)]
    pub loc: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub msg: Option<Text<'a>>,
    #[serde(rename = "type", borrow)]
    pub kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub ctx: Option<&'a RawValue>,
}
