//! What the books say of budgets, for operators, and what operators know better.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::keys::{Condition, Outcome, Refusal, next, note};
use super::tables;
use crate::access::purses::PurseId;
use crate::budget::{Amount, Unit};
use crate::store::windows::StoredWindow;
use crate::store::{StoreError, Transaction};

/// The longest note of an adjustment, in bytes.
pub const MOST_NOTE: usize = 1000;

/// What an operator knows better of a budget.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// `key/ci`, `project/web`.
    pub owner: String,
    /// `units/day/UTC`; needed where the owner has several.
    pub budget: Option<String>,
    /// How much more is to count as used, or less: `+100`, `-2.5`, in the budget's unit.
    pub amount: String,
    /// Why.
    pub note: String,
}

/// A budget after an adjustment.
#[derive(Clone, Debug)]
pub struct Adjusted {
    pub window: StoredWindow,
    /// By how much it was changed; less was given back where less was used.
    pub by: Amount,
    /// The number of the change.
    pub revision: i64,
}

/// Adjusts what is used of a budget in the window that holds, and writes down who did and why.
/// Gateways go by it as soon as they draw again, which is within a second where somebody asks.
///
/// # Errors
/// See [`StoreError`].
pub async fn adjust(
    transaction: &Transaction<'_>,
    adjustment: &Adjustment,
    condition: &Condition,
) -> Outcome<Adjusted> {
    let revision = next(transaction).await?;
    let now = transaction.now_ms().await?;
    let window = match chosen(
        open_windows(transaction, adjustment, now).await?,
        adjustment,
    ) {
        Ok(window) => window,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let unit = window.budget.split('/').next().and_then(Unit::of_word);
    let by = unit.and_then(|unit| unit.parse_signed(&adjustment.amount));
    let Some((unit, by)) = unit.zip(by.filter(|by| !by.is_zero())) else {
        return Ok(Err(Refusal::Invalid(format!(
            "Invalid amount: write how many {} more count as used, `+100`, or less, `-100`.",
            unit.map_or("units", Unit::word)
        ))));
    };
    if adjustment.note.len() > MOST_NOTE {
        return Ok(Err(Refusal::Invalid(format!(
            "Invalid note: it has more than {MOST_NOTE} bytes."
        ))));
    }
    let id = PurseId {
        owner: window.owner.as_str().into(),
        budget: window.budget.as_str().into(),
    };
    let adjusted = tables::adjust(transaction, &id, window.start, by).await?;
    let Some((before, after, by)) = adjusted else {
        return Err(StoreError::Failed("a window has gone".to_owned()));
    };
    let told = |used: Amount| json!({"budget": window.budget, "used": unit.to_f64(used)});
    let mut shown = told(after.used + after.beyond);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("adjusted".to_owned(), unit.to_f64(by).into());
        shown.insert("note".to_owned(), adjustment.note.as_str().into());
    }
    let shown = (Some(told(before.used + before.beyond)), shown);
    let when = (revision, now);
    let owner = &window.owner;
    note(transaction, condition, when, ADJUST, owner, shown).await?;
    let window = StoredWindow {
        used: after.used.0,
        leased: after.leased.0,
        beyond: after.beyond.0,
        ..window
    };
    Ok(Ok(Adjusted {
        window,
        by,
        revision,
    }))
}

/// What an adjustment is called in the log and in the record of changes.
pub const ADJUST: &str = "budgets.adjust";

/// The windows of an owner that hold now.
async fn open_windows(
    transaction: &Transaction<'_>,
    adjustment: &Adjustment,
    now: i64,
) -> Result<Vec<StoredWindow>, StoreError> {
    let sql = "select owner, budget, start_at, end_at, wanted, used, leased, beyond \
               from budget_window where owner = $1 and start_at <= $2 \
               and (end_at is null or end_at > $2) order by budget";
    let values = [(&adjustment.owner).into(), now.into()];
    let rows = transaction.query(sql, &values).await?;
    rows.into_iter().map(StoredWindow::of).collect()
}

/// The one that is meant.
fn chosen(
    mut windows: Vec<StoredWindow>,
    adjustment: &Adjustment,
) -> Result<StoredWindow, Refusal> {
    let owner = &adjustment.owner;
    if let Some(budget) = &adjustment.budget {
        windows.retain(|window| window.budget == *budget);
    }
    if windows.len() > 1 {
        let names = windows.iter().map(|window| format!("`{}`", window.budget));
        let names = names.collect::<Vec<_>>().join(", ");
        return Err(Refusal::Invalid(format!(
            "`{owner}` has several budgets: say which, {names}."
        )));
    }
    windows.pop().ok_or_else(|| {
        Refusal::Unknown(format!(
            "the present window of a budget of `{owner}`, which begins with the first request that it \
             counts,"
        ))
    })
}

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
