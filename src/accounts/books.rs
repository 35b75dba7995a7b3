//! What the books say of budgets, for operators.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::budget::{Amount, Unit};
use crate::store::windows::StoredWindow;

/// What tells a window from the others, such as `key/ci/units/day/UTC`.
pub fn id(window: &StoredWindow) -> String {
    format!("{}/{}", window.owner, window.budget)
}

/// The owner and the budget of such an id; of anything else what sorts as it does.
pub fn place(id: &str) -> (String, String) {
    let ends = id.match_indices('/').nth(1);
    let split = ends.and_then(|(at, _)| Some((id.get(..at)?, id.get(at + 1..)?)));
    let (owner, budget) = split.unwrap_or((id, ""));
    (owner.to_owned(), budget.to_owned())
}

/// A window as operators see it; amounts are in the budget's unit.
pub fn shown(window: &StoredWindow) -> Json {
    let word = window.budget.split('/').next().unwrap_or_default();
    let unit = Unit::of_word(word);
    let number = |amount: i64| match unit {
        Some(unit) => json!(unit.to_f64(Amount(amount))),
        None => Json::Null,
    };
    let time = |at: i64| {
        Timestamp::from_millisecond(at)
            .ok()
            .map(|at| at.to_string())
    };
    // A budget that only counts has the largest limit there is.
    let is_soft = window.limit == Amount::MAX_LIMIT.0;
    json!({
        "owner": window.owner,
        "budget": window.budget,
        "unit": word,
        "starts_at": time(window.start),
        "resets_at": window.end.and_then(time),
        "limit": if is_soft { Json::Null } else { number(window.limit) },
        "used": number(window.used),
        "in_hand": number(window.leased),
        "beyond": number(window.beyond),
    })
}
