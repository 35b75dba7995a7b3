//! The tables, as numbered steps from nothing to what this program knows.
//!
//! On PostgreSQL a step only adds: the program of the version before may run beside this one on the same
//! tables. A file has one program, and a step may lay its tables out anew.
//! Steps are never changed once they are released; the next number is.

use jiff::Timestamp;

use super::error::StoreError;
use super::sql::{Transaction, Value};

/// One step.
#[derive(Debug)]
pub struct Migration {
    /// Counted from 1, without gaps.
    pub number: i64,
    /// What it brings, in a word or two.
    pub name: &'static str,
    /// For SQLite.
    pub sqlite: &'static str,
    /// For PostgreSQL.
    pub postgres: &'static str,
}

/// All steps, in their order.
pub const MIGRATIONS: &[Migration] = &[
    same(1, "meta", include_str!("migrations/0001_meta.sql")),
    same(2, "budgets", include_str!("migrations/0002_budgets.sql")),
    same(
        3,
        "responses",
        include_str!("migrations/0003_responses.sql"),
    ),
    Migration {
        number: 4,
        name: "ledger",
        sqlite: include_str!("migrations/0004_ledger_sqlite.sql"),
        postgres: include_str!("migrations/0004_ledger_postgres.sql"),
    },
    same(5, "keys", include_str!("migrations/0005_keys.sql")),
    same(6, "jobs", include_str!("migrations/0006_jobs.sql")),
    same(
        7,
        "conversations",
        include_str!("migrations/0007_conversations.sql"),
    ),
    same(
        8,
        "idempotency",
        include_str!("migrations/0008_idempotency.sql"),
    ),
    same(
        9,
        "chat_completions",
        include_str!("migrations/0009_chat_completions.sql"),
    ),
    same(
        10,
        "old windows",
        include_str!("migrations/0010_old_windows.sql"),
    ),
    same(11, "audit", include_str!("migrations/0011_audit.sql")),
    same(
        12,
        "kept answers",
        include_str!("migrations/0012_kept_answers.sql"),
    ),
    same(
        13,
        "rate parts",
        include_str!("migrations/0013_rate_parts.sql"),
    ),
    same(14, "events", include_str!("migrations/0014_events.sql")),
    same(15, "begun", include_str!("migrations/0015_begun.sql")),
    Migration {
        number: 16,
        name: "packed items",
        sqlite: include_str!("migrations/0016_packed_sqlite.sql"),
        postgres: include_str!("migrations/0016_packed_postgres.sql"),
    },
    Migration {
        number: 17,
        name: "copies of items",
        sqlite: include_str!("migrations/0017_copies_sqlite.sql"),
        postgres: include_str!("migrations/0017_copies_postgres.sql"),
    },
    Migration {
        number: 18,
        name: "usage by day",
        sqlite: include_str!("migrations/0018_usage_day_sqlite.sql"),
        postgres: include_str!("migrations/0018_usage_day_postgres.sql"),
    },
    same(
        19,
        "budget alerts",
        include_str!("migrations/0019_budget_alerts.sql"),
    ),
];

/// A step that both engines take with the same words.
const fn same(number: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration {
        number,
        name,
        sqlite: sql,
        postgres: sql,
    }
}

/// Any number that is ours: PostgreSQL's locks of this kind go by one.
const LOCK: i64 = 0x0fa1_6a7e_3a1e;

/// The version that this program knows.
pub fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |step| step.number)
}

/// Takes all steps that are missing. The transaction holds a lock meanwhile, so that several
/// programs may start at once: one does it, the others wait and find it done.
///
/// # Errors
/// [`StoreError::Newer`] for tables of a newer program; else see [`StoreError`].
pub(super) async fn run(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    if transaction.is_postgres() {
        let lock = format!("select pg_advisory_xact_lock({LOCK})");
        transaction.batch(&lock).await?;
    }
    let found = version(transaction).await?;
    refuse_newer(found)?;
    let missing = MIGRATIONS.iter().filter(|step| step.number > found);
    for step in missing {
        transaction
            .batch(match transaction.is_postgres() {
                true => step.postgres,
                false => step.sqlite,
            })
            .await?;
        let values: [Value<'_>; 4] = [
            step.number.into(),
            step.name.into(),
            Timestamp::now().as_millisecond().into(),
            env!("CARGO_PKG_VERSION").into(),
        ];
        let note = "insert into schema_version (number, name, applied_at, program) values ($1, $2, $3, $4)";
        transaction.execute(note, &values).await?;
    }
    Ok(())
}

/// The number of the last step that was taken, 0 for none.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn version(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let is_there = match transaction.is_postgres() {
        true => "select 1 where to_regclass('schema_version') is not null",
        false => "select 1 from sqlite_schema where type = 'table' and name = 'schema_version'",
    };
    if transaction.first(is_there, &[]).await?.is_none() {
        return Ok(0);
    }
    let last = "select coalesce(max(number), 0) from schema_version";
    let row = transaction.first(last, &[]).await?;
    row.map_or(Ok(0), |row| row.integer(0))
}

/// # Errors
/// [`StoreError::Newer`] where the tables are those of a newer program.
pub(super) fn refuse_newer(found: i64) -> Result<(), StoreError> {
    let known = newest();
    match found > known {
        true => Err(StoreError::Newer { found, known }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_without_gaps() {
        for (step, number) in MIGRATIONS.iter().zip(1..) {
            assert_eq!(step.number, number, "{}", step.name);
        }
    }
}
