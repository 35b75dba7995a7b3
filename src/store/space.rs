//! What each owner's rows take up, as one transaction reads and changes it.
//!
//! On SQLite one transaction writes at a time, and it may keep the answers to many requests: the sums are
//! read once in it, and written once at its end. On PostgreSQL others change them meanwhile, so each
//! change is written as it comes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::error::StoreError;
use super::sql::Transaction;

/// What a transaction knows of the sums and has not written yet.
#[derive(Debug, Default)]
pub(super) struct Pending(RefCell<Sums>);

#[derive(Debug, Default)]
struct Sums {
    all: Sum,
    owners: BTreeMap<String, Sum>,
}

/// In bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// As it was read.
    written: Option<i64>,
    /// What has been added since.
    added: i64,
}

impl Sum {
    fn now(self) -> Option<i64> {
        self.written.map(|bytes| bytes.saturating_add(self.added))
    }

    fn add(&mut self, bytes: i64) {
        self.added = self.added.saturating_add(bytes);
    }
}

impl Sums {
    fn now(&self, owner: &str) -> Option<(i64, i64)> {
        self.all.now().zip(self.owners.get(owner)?.now())
    }

    fn owner(&mut self, owner: &str) -> &mut Sum {
        self.owners.entry(owner.to_owned()).or_default()
    }
}

/// What all owners take up, and this one, in bytes.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn taken(
    transaction: &Transaction<'_>,
    owner: &str,
) -> Result<(i64, i64), StoreError> {
    let pending = transaction.pending_space().map(|pending| &pending.0);
    if let Some(known) = pending.and_then(|sums| sums.borrow().now(owner)) {
        return Ok(known);
    }
    let sums = "select cast(coalesce((select sum(bytes) from space_sum), 0) as bigint), \
                coalesce((select bytes from space where owner = $1), 0)";
    let row = transaction.first(sums, &[owner.into()]).await?;
    let (all, own) = match row {
        Some(row) => (row.integer(0)?, row.integer(1)?),
        None => (0, 0),
    };
    let Some(sums) = pending else {
        return Ok((all, own));
    };
    let sums = &mut *sums.borrow_mut();
    sums.all.written = Some(all);
    sums.owner(owner).written = Some(own);
    Ok(sums.now(owner).unwrap_or((all, own)))
}

/// Counts bytes that an owner has taken, or given back where they are below zero.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn add(
    transaction: &Transaction<'_>,
    owner: &str,
    bytes: i64,
) -> Result<(), StoreError> {
    let Some(Pending(sums)) = transaction.pending_space() else {
        return write(transaction, owner, bytes).await;
    };
    let sums = &mut *sums.borrow_mut();
    sums.all.add(bytes);
    sums.owner(owner).add(bytes);
    Ok(())
}

/// Writes what has been counted, at the end of a transaction.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn settle(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let Some(Pending(sums)) = transaction.pending_space() else {
        return Ok(());
    };
    for (owner, sum) in sums.take().owners {
        write(transaction, &owner, sum.added).await?;
    }
    Ok(())
}

/// An owner who has nothing left is forgotten, and nothing is written of one for whom nothing changes.
async fn write(transaction: &Transaction<'_>, owner: &str, bytes: i64) -> Result<(), StoreError> {
    if bytes == 0 {
        return Ok(());
    }
    let add = "insert into space (owner, bytes) values ($1, $2) \
               on conflict (owner) do update set bytes = space.bytes + excluded.bytes";
    transaction
        .execute(add, &[owner.into(), bytes.into()])
        .await?;
    if bytes < 0 {
        let none = "delete from space where owner = $1 and bytes <= 0";
        transaction.execute(none, &[owner.into()]).await?;
    }
    Ok(())
}
