//! What the books say of budgets, for whoever looks at them.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::budget::{Amount, Unit};
use crate::store::{StoreError, Transaction};

/// The most windows that are looked at.
const MOST: i64 = 10_000;

/// The window of a budget that holds.
#[derive(Clone, Debug)]
pub struct Shown {
    /// `key/ci`.
    pub owner: String,
    /// `units/day/UTC`.
    pub budget: String,
    start: i64,
    end: Option<i64>,
    limit: Amount,
    used: Amount,
    leased: Amount,
    beyond: Amount,
}

/// The windows that hold now, of one owner, or where that is empty of all, in the order of their
/// [ids](Shown::id).
///
/// # Errors
/// See [`StoreError`].
pub async fn windows(transaction: &Transaction<'_>, owner: &str) -> Result<Vec<Shown>, StoreError> {
    let now = transaction.now_ms().await?;
    let sql = "select owner, budget, start_at, end_at, wanted, used, leased, beyond from budget_window \
               where ($1 = '' or owner = $1) and start_at <= $2 and (end_at is null or end_at > $2) \
               order by owner, budget limit $3";
    let values = [owner.into(), now.into(), MOST.into()];
    let rows = transaction.query(sql, &values).await?;
    let shown = rows.into_iter().map(|mut row| {
        Ok(Shown {
            owner: row.text(0)?,
            budget: row.text(1)?,
            start: row.integer(2)?,
            end: row.optional_integer(3)?,
            limit: Amount(row.integer(4)?),
            used: Amount(row.integer(5)?),
            leased: Amount(row.integer(6)?),
            beyond: Amount(row.integer(7)?),
        })
    });
    let mut shown = shown.collect::<Result<Vec<_>, StoreError>>()?;
    shown.sort_by_cached_key(Shown::id);
    Ok(shown)
}

impl Shown {
    /// What tells it from the others, such as `key/ci/units/day/UTC`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.owner, self.budget)
    }

    /// Whether nothing is left of it.
    pub fn is_spent(&self) -> bool {
        self.used >= self.limit
    }

    /// As operators see it; amounts are in the budget's unit.
    pub fn shown(&self) -> Json {
        let word = self.budget.split('/').next().unwrap_or_default();
        let unit = Unit::of_word(word);
        let number = |amount: Amount| match unit {
            Some(unit) => json!(unit.to_f64(amount)),
            None => Json::Null,
        };
        let time = |at: i64| {
            Timestamp::from_millisecond(at)
                .ok()
                .map(|at| at.to_string())
        };
        // A budget that only counts has the largest limit there is.
        let is_soft = self.limit == Amount::MAX_LIMIT;
        json!({
            "owner": self.owner,
            "budget": self.budget,
            "unit": word,
            "starts_at": time(self.start),
            "resets_at": self.end.and_then(time),
            "limit": if is_soft { Json::Null } else { number(self.limit) },
            "used": number(self.used),
            "in_hand": number(self.leased),
            "beyond": number(self.beyond),
        })
    }
}
