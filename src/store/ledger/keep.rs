//! How long the ledger is kept: what is older goes, in pieces.

use std::time::Duration;

use super::Ledger;
use super::write::DAY;
use crate::store::{StoreError, Transaction};

/// How many rows one transaction deletes at most, so that nobody waits long for it.
const AT_ONCE: i64 = 2000;
/// For how long the last batch of a process is remembered that writes no more.
const WRITERS: i64 = 7 * DAY;

impl Ledger {
    /// Deletes some of the rows, and of the sums where these are not kept for ever, that are older
    /// than this by the store's clock. Whether there may be more of it. On PostgreSQL whole days of
    /// rows go at once, when all of a day is over.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep(&self, rows: Duration, sums: Option<Duration>) -> Result<bool, StoreError> {
        let deadline = self.database.deadline();
        let sweep = async move |transaction: &Transaction<'_>| {
            // A gateway whose own clock is wrong may not delete what the others still keep.
            let now = transaction.now_ms().await?;
            let rows = before(now, rows);
            let writers = "delete from ledger_writer where seen_at < $1";
            transaction
                .execute(writers, &[(now - WRITERS).into()])
                .await?;
            let mut has_more = match transaction.is_postgres() {
                true => drop_day(transaction, rows).await?,
                false => delete_rows(transaction, rows).await?,
            };
            if let Some(sums) = sums {
                has_more |= delete_hours(transaction, before(now, sums)).await?;
                has_more |= delete_days(transaction, before(now, sums)).await?;
            }
            Ok(has_more)
        };
        self.database.write(deadline, sweep).await
    }
}

fn before(now: i64, span: Duration) -> i64 {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    now.saturating_sub(span).max(0)
}

async fn delete_rows(transaction: &Transaction<'_>, before: i64) -> Result<bool, StoreError> {
    let sql = "delete from ledger where (at, gateway, number) in \
               (select at, gateway, number from ledger where at < $1 order by at limit $2)";
    delete_some(transaction, sql, before).await
}

async fn delete_hours(transaction: &Transaction<'_>, before: i64) -> Result<bool, StoreError> {
    let sql = "delete from usage_hour where (hour, key, project, model, upstream, face, premium) in \
               (select hour, key, project, model, upstream, face, premium from usage_hour \
               where hour < $1 order by hour limit $2)";
    delete_some(transaction, sql, before).await
}

/// Days that are over at that time, whole.
async fn delete_days(transaction: &Transaction<'_>, before: i64) -> Result<bool, StoreError> {
    let sql = "delete from usage_day where (day, key, project, model, upstream, face, premium) in \
               (select day, key, project, model, upstream, face, premium from usage_day \
               where day < $1 order by day limit $2)";
    let first_kept = before - before.rem_euclid(DAY);
    delete_some(transaction, sql, first_kept).await
}

/// Whether there may be more to delete.
async fn delete_some(
    transaction: &Transaction<'_>,
    sql: &'static str,
    before: i64,
) -> Result<bool, StoreError> {
    let values = [before.into(), AT_ONCE.into()];
    let deleted = transaction.execute(sql, &values).await?;
    Ok(i64::try_from(deleted).unwrap_or(i64::MAX) >= AT_ONCE)
}

/// Drops the oldest partition, if all of it is over. Whether it did.
async fn drop_day(transaction: &Transaction<'_>, before: i64) -> Result<bool, StoreError> {
    let sql = "select cast(substr(relname, 8) as bigint) from pg_inherits \
               join pg_class on pg_class.oid = inhrelid \
               where inhparent = to_regclass('ledger') order by 1 limit 1";
    let Some(row) = transaction.first(sql, &[]).await? else {
        return Ok(false);
    };
    let day = row.integer(0)?;
    if (day + 1).saturating_mul(DAY) > before {
        return Ok(false);
    }
    // Another gateway may have done so by now.
    let drop = format!("drop table if exists ledger_{day}");
    transaction.batch(&drop).await?;
    Ok(true)
}
