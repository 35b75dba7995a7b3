//! What an operator can find out about a store.

use std::time::Duration;

use tokio::time::Instant;

use super::error::StoreError;
use super::migrations;
use super::sql::Transaction;
use super::{Database, Engine};

/// How long whole tables may take to be looked at.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a store says of itself.
#[derive(Debug)]
pub struct Status {
    /// Which engine it is, with its version.
    pub engine: String,
    /// The steps that were taken, the oldest first.
    pub applied: Vec<Applied>,
    /// How much room its data takes up, in bytes.
    pub bytes: i64,
}

/// A step that was taken.
#[derive(Debug)]
pub struct Applied {
    pub number: i64,
    pub name: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// By which version of the program.
    pub program: String,
}

impl Status {
    /// The version of the tables, 0 for none.
    pub fn version(&self) -> i64 {
        self.applied.last().map_or(0, |step| step.number)
    }
}

impl Database {
    /// What the store says of itself.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn status(&self) -> Result<Status, StoreError> {
        self.read(Instant::now() + PATIENCE, async |transaction| {
            Ok(Status {
                engine: engine(transaction).await?,
                applied: applied(transaction).await?,
                bytes: bytes(transaction).await?,
            })
        })
        .await
    }

    /// Reads everything and says what is damaged; nothing if all is well.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.read(Instant::now() + PATIENCE, async |transaction| {
            migrations::refuse_newer(migrations::version(transaction).await?)?;
            if transaction.is_postgres() {
                // It keeps and checks sums of its pages itself.
                return Ok(Vec::new());
            }
            let mut found = Vec::new();
            for mut row in transaction.query("pragma integrity_check", &[]).await? {
                found.push(row.text(0)?);
            }
            found.retain(|line| line != "ok");
            Ok(found)
        })
        .await
    }

    /// Whether several gateways may share it.
    pub fn is_shared(&self) -> bool {
        !matches!(self.engine, Engine::Memory(_) | Engine::File(_))
    }
}

async fn engine(transaction: &Transaction<'_>) -> Result<String, StoreError> {
    let (name, asked) = match transaction.is_postgres() {
        true => ("PostgreSQL", "select current_setting('server_version')"),
        false => ("SQLite", "select sqlite_version()"),
    };
    let row = transaction.first(asked, &[]).await?;
    let version = row.map(|mut row| row.text(0)).transpose()?;
    Ok(format!("{name} {}", version.unwrap_or_default()))
}

async fn applied(transaction: &Transaction<'_>) -> Result<Vec<Applied>, StoreError> {
    if migrations::version(transaction).await? == 0 {
        return Ok(Vec::new());
    }
    let asked = "select number, name, applied_at, program from schema_version order by number";
    let rows = transaction.query(asked, &[]).await?.into_iter();
    rows.map(|mut row| {
        Ok(Applied {
            number: row.integer(0)?,
            name: row.text(1)?,
            at: row.integer(2)?,
            program: row.text(3)?,
        })
    })
    .collect()
}

async fn bytes(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let asked = match transaction.is_postgres() {
        true => "select pg_database_size(current_database())",
        false => "select page_count * page_size from pragma_page_count(), pragma_page_size()",
    };
    let row = transaction.first(asked, &[]).await?;
    row.map_or(Ok(0), |row| row.integer(0))
}
