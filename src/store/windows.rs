//! The windows of budgets as they stand in the store, for whoever only looks.

use super::error::StoreError;
use super::sql::{Row, Transaction};
use super::{Database, Value};

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

/// Which windows are wanted: always those that are open now, by the store's clock.
#[derive(Clone, Debug)]
pub struct WantedWindows {
    /// Whose, where not everybody's.
    pub owner: Option<String>,
    /// The owner and the budget of the last one of the page before; empty for the first page.
    pub after: (String, String),
    /// How many at most.
    pub most: usize,
}

impl WantedWindows {
    /// Those of one owner, who has no more than a settings file may give him.
    pub fn of(owner: String) -> Self {
        Self {
            owner: Some(owner),
            after: <(String, String)>::default(),
            most: 10_000,
        }
    }
}

impl Database {
    /// Windows that are open, in an order of their owners and budgets.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn windows(&self, wanted: WantedWindows) -> Result<Vec<StoredWindow>, StoreError> {
        let read = async move |transaction: &Transaction<'_>| {
            const ALL: &str = "select owner, budget, start_at, end_at, wanted, used, leased, beyond \
                from budget_window where start_at <= $1 and (end_at is null or end_at > $1) \
                and (owner, budget) > ($3, $4) order by owner, budget limit $2";
            const OWN: &str = "select owner, budget, start_at, end_at, wanted, used, leased, beyond \
                from budget_window where owner = $5 and start_at <= $1 \
                and (end_at is null or end_at > $1) \
                and (owner, budget) > ($3, $4) order by owner, budget limit $2";
            let now = transaction.now_ms().await?;
            let most = i64::try_from(wanted.most).unwrap_or(i64::MAX);
            let (after_owner, after_budget) = &wanted.after;
            let values: [Value<'_>; 4] = [
                now.into(),
                most.into(),
                after_owner.into(),
                after_budget.into(),
            ];
            let rows = match &wanted.owner {
                None => transaction.query(ALL, &values).await?,
                Some(owner) => {
                    let [now, most, after_owner, after_budget] = values;
                    let values = [now, most, after_owner, after_budget, owner.into()];
                    transaction.query(OWN, &values).await?
                }
            };
            rows.into_iter().map(StoredWindow::of).collect()
        };
        self.read(self.deadline(), read).await
    }
}

impl StoredWindow {
    /// A row with owner, budget, start, end, limit, used, leased and beyond.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn of(mut row: Row) -> Result<Self, StoreError> {
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
