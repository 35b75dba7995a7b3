//! The rows of the ledger, read page by page.

use tokio::time::Instant;

use super::Ledger;
use crate::store::{Row, StoreError, Transaction};

/// Where a row stands, for whoever goes on behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Milliseconds since 1970.
    pub at: i64,
    pub gateway: String,
    pub number: i64,
}

/// A row as it is stored; see the table for what each column is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCall {
    pub place: Place,
    pub key: String,
    pub project: String,
    pub model: String,
    pub upstream: String,
    pub kind: String,
    pub face: String,
    pub tokens_in: i64,
    pub tokens_cached: i64,
    pub tokens_out: i64,
    pub tokens_reasoning: i64,
    pub is_estimated: bool,
    /// Thousandths of a unit.
    pub units: i64,
    /// Billionths of a dollar.
    pub dollars: i64,
    pub is_premium: bool,
    pub billed: String,
    pub counts_request: bool,
    pub outcome: String,
    pub duration_ms: i64,
    pub request: String,
    pub fal_request: String,
}

impl Ledger {
    /// At most so many rows behind a place and before a time, in their order.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rows(
        &self,
        behind: &Place,
        before: i64,
        most: i64,
        deadline: Instant,
    ) -> Result<Vec<StoredCall>, StoreError> {
        let behind = behind.clone();
        let read = async move |transaction: &Transaction<'_>| {
            let sql = "select at, gateway, number, key, project, model, upstream, kind, face, tokens_in, \
                       tokens_cached, tokens_out, tokens_reasoning, estimated, units, dollars, premium, \
                       billed, requests, outcome, duration_ms, request, fal_request from ledger \
                       where at >= $1 and (at, gateway, number) > ($1, $2, $3) and at < $4 \
                       order by at, gateway, number limit $5";
            let values = [
                behind.at.into(),
                (&behind.gateway).into(),
                behind.number.into(),
                before.into(),
                most.into(),
            ];
            let rows = transaction.query(sql, &values).await?;
            rows.into_iter().map(StoredCall::of).collect()
        };
        self.database.for_reports().read(deadline, read).await
    }
}

impl StoredCall {
    fn of(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            place: Place {
                at: row.integer(0)?,
                gateway: row.text(1)?,
                number: row.integer(2)?,
            },
            key: row.text(3)?,
            project: row.text(4)?,
            model: row.text(5)?,
            upstream: row.text(6)?,
            kind: row.text(7)?,
            face: row.text(8)?,
            tokens_in: row.integer(9)?,
            tokens_cached: row.integer(10)?,
            tokens_out: row.integer(11)?,
            tokens_reasoning: row.integer(12)?,
            is_estimated: row.integer(13)? != 0,
            units: row.integer(14)?,
            dollars: row.integer(15)?,
            is_premium: row.integer(16)? != 0,
            billed: row.text(17)?,
            counts_request: row.integer(18)? != 0,
            outcome: row.text(19)?,
            duration_ms: row.integer(20)?,
            request: row.text(21)?,
            fal_request: row.text(22)?,
        })
    }
}
