//! The windows of budgets as they stand in the store, for whoever only looks.

use super::error::StoreError;
use super::sql::{Row, Transaction};
use super::{Database, Value};

/// How many windows are told at most.
const MOST: i64 = 100_000;

/// A window that is open: what has been used of a budget. Amounts are in the smallest part of its
/// unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWindow {
    /// `key/ci`, `project/web`.
    pub owner: String,
    /// `units/day/UTC`.
    pub budget: String,
    /// Milliseconds since 1970; no end is never.
    pub start: i64,
    pub end: Option<i64>,
    pub limit: i64,
    pub used: i64,
    /// What gateways hold and have not spent, as far as they have told.
    pub leased: i64,
    /// What was used beyond the limit.
    pub beyond: i64,
}

impl Database {
    /// The windows that are open at a time, in milliseconds since 1970: those of one owner, or all.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn windows(
        &self,
        owner: Option<String>,
        at: i64,
    ) -> Result<Vec<StoredWindow>, StoreError> {
        let read = async move |transaction: &Transaction<'_>| {
            const ALL: &str = "select owner, budget, start_at, end_at, wanted, used, leased, beyond \
                from budget_window where start_at <= $1 and (end_at is null or end_at > $1) \
                order by owner, budget limit $2";
            const OWN: &str = "select owner, budget, start_at, end_at, wanted, used, leased, beyond \
                from budget_window where owner = $3 and start_at <= $1 \
                and (end_at is null or end_at > $1) order by owner, budget limit $2";
            let values: [Value<'_>; 2] = [at.into(), MOST.into()];
            let rows = match &owner {
                None => transaction.query(ALL, &values).await?,
                Some(owner) => {
                    let [at, most] = values;
                    transaction.query(OWN, &[at, most, owner.into()]).await?
                }
            };
            rows.into_iter().map(StoredWindow::of).collect()
        };
        self.read(self.deadline(), read).await
    }
}

impl StoredWindow {
    fn of(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            owner: row.text(0)?,
            budget: row.text(1)?,
            start: row.integer(2)?,
            end: row.optional_integer(3)?,
            limit: row.integer(4)?,
            used: row.integer(5)?,
            leased: row.integer(6)?,
            beyond: row.integer(7)?,
        })
    }
}
