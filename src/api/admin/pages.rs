//! Lists, a page at a time.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::api::error::ApiError;
use crate::translate::problem::{Problem, ProblemKind};

/// What part of a list is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Wanted {
    limit: Option<u32>,
    /// The id of the last item of the page before.
    #[serde(default)]
    after: String,
}

/// Reads the parameters of a list out of a query, the others of which are left alone.
///
/// # Errors
/// 400 for a number that is none.
pub(super) fn wanted(query: &str) -> Result<Wanted, ApiError> {
    let parameters: HashMap<String, String> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let limit = parameters.get("limit").map(|text| text.parse::<u32>());
    let limit = limit.transpose().map_err(|_| {
        let message = "Invalid 'limit': it takes a whole number.";
        let problem = Problem::new(ProblemKind::Invalid, "invalid_value", message);
        ApiError::from(problem.about("limit"))
    })?;
    Ok(Wanted {
        limit,
        after: parameters.get("after").cloned().unwrap_or_default(),
    })
}

/// One parameter of a query.
pub(super) fn parameter(query: &str, wanted: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.into_owned())
}

/// A page of items, which come in the order of their ids; `most` is the most that one may have.
pub(super) fn page(
    items: impl Iterator<Item = (String, Json)>,
    wanted: &Wanted,
    most: usize,
) -> Json {
    let limit = wanted.limit.map_or(100, |limit| limit as usize);
    let limit = limit.clamp(1, most);
    let mut rest = items.filter(|(id, _)| *id > wanted.after);
    let page: Vec<(String, Json)> = rest.by_ref().take(limit).collect();
    let has_more = rest.next().is_some();
    let (first, last) = (page.first(), page.last());
    json!({
        "object": "list",
        "first_id": first.map(|(id, _)| id),
        "last_id": last.map(|(id, _)| id),
        "has_more": has_more,
        "data": page.iter().map(|(_, item)| item).collect::<Vec<_>>(),
    })
}
