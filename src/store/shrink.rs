//! Giving the room of what was deleted back to the system. SQLite keeps the pages of its file that are free,
//! for what comes next (source: sqlite.org/pragma.html#pragma_incremental_vacuum); PostgreSQL sees to itself.

use super::error::StoreError;
use super::{Database, Engine, Transaction};

/// Gives some pages back, in a transaction that keeps nobody waiting for long.
const GIVE_BACK: &str = "pragma incremental_vacuum(64)";
/// How many free pages a file may have in any case, 1 MiB of them.
const SPARE: i64 = 256;
/// The part of a file that may be free: what is kept next would need it again.
const SPARE_PART: i64 = 8;

impl Database {
    /// Gives some room back to the system, where much more is free than what is kept next will need. Whether
    /// there is more to be given back.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn shrink(&self) -> Result<bool, StoreError> {
        if !matches!(self.engine, Engine::File(_))
            || self.read(self.deadline(), surplus).await? <= 0
        {
            return Ok(false);
        }
        let give_back = async |transaction: &Transaction<'_>| {
            let before = surplus(transaction).await?;
            transaction.query(GIVE_BACK, &[]).await?;
            let after = surplus(transaction).await?;
            // A file that was made by another program may keep what it has.
            let has_more = after > 0 && after < before;
            if !has_more {
                // It gets shorter when the log beside it is brought into it.
                transaction.erases();
            }
            Ok(has_more)
        };
        self.write(self.deadline(), give_back).await
    }
}

/// How many more pages of the file are free than may be; less than none where there are fewer.
async fn surplus(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let counts =
        "select freelist_count, page_count from pragma_freelist_count(), pragma_page_count()";
    let Some(row) = transaction.first(counts, &[]).await? else {
        return Ok(0);
    };
    let (free, all) = (row.integer(0)?, row.integer(1)?);
    Ok(free.saturating_sub(SPARE.max(all / SPARE_PART)))
}
