//! How much room responses take up, and what goes when there is no more: whole threads, those first
//! that would end first. A thread in which something is being made stays.

use std::time::Duration;

use super::{Owner, after, completions, conversations, events, idempotency, now};
use crate::store::error::StoreError;
use crate::store::space;
use crate::store::sql::{Row, Transaction, Value};

/// How many threads are looked for at once that may make room.
const AT_ONCE: i64 = 200;
/// How many threads whose time is over one transaction deletes, so that nobody waits long for it, and it
/// has an end in time on a machine that has much to do.
const SWEPT_AT_ONCE: i64 = 20;
/// How often so many of them are looked for, for one response.
const MAX_ROUNDS: usize = 50;

/// Whose threads may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evict {
    /// Those of the owner who needs the room: nobody knows yet whether he may be here at all.
    Own,
    Anybodys,
}

/// Makes room for so many bytes of an owner's, out of `most` for all; one owner may have half. The
/// thread that they belong to stays. Whether there is room then; if not, nothing has gone.
///
/// # Errors
/// [`StoreError::Full`] where even so there is none, which undoes what was deleted for it.
pub(super) async fn make(
    transaction: &Transaction<'_>,
    owner: &Owner,
    bytes: i64,
    most: i64,
    thread: &str,
) -> Result<bool, StoreError> {
    make_of(Evict::Anybodys, transaction, owner, bytes, most, thread).await
}

/// The same, of these threads.
///
/// # Errors
/// As [`make`].
pub(super) async fn make_of(
    evicted: Evict,
    transaction: &Transaction<'_>,
    owner: &Owner,
    bytes: i64,
    most: i64,
    thread: &str,
) -> Result<bool, StoreError> {
    if bytes > most / 2 {
        return Ok(false);
    }
    let (all, own) = space::taken(transaction, owner.name()).await?;
    let over = |taken: i64, limit: i64| taken.saturating_add(bytes).saturating_sub(limit);
    let (mut of_own, mut of_all) = (over(own, most / 2), over(all, most));
    if of_own > 0 {
        let first = "select id, owner from thread where owner = $1 and id <> $2 and bytes > 0 \
                     and not exists (select 1 from job where job.thread = thread.id) \
                     order by expires_at limit $3";
        let values = [owner.into(), thread.into(), AT_ONCE.into()];
        for _ in 0..MAX_ROUNDS {
            let oldest = transaction.query(first, &values).await?;
            if of_own <= 0 || oldest.is_empty() {
                break;
            }
            let freed = evict(transaction, oldest, of_own).await?;
            (of_own, of_all) = (of_own.saturating_sub(freed), of_all.saturating_sub(freed));
        }
    }
    if of_all > 0 && of_own <= 0 {
        let first = "select id, owner from thread where id <> $1 and bytes > 0 \
                     and not exists (select 1 from job where job.thread = thread.id) \
                     and (owner = $3 or cast($4 as bigint) = 1) order by expires_at limit $2";
        let is_anybodys = i64::from(evicted == Evict::Anybodys);
        let values = [
            thread.into(),
            AT_ONCE.into(),
            owner.into(),
            is_anybodys.into(),
        ];
        for _ in 0..MAX_ROUNDS {
            let oldest = transaction.query(first, &values).await?;
            if of_all <= 0 || oldest.is_empty() {
                break;
            }
            let freed = evict(transaction, oldest, of_all).await?;
            of_all = of_all.saturating_sub(freed);
        }
    }
    match of_own <= 0 && of_all <= 0 {
        true => Ok(true),
        false => Err(StoreError::Full),
    }
}

/// Deletes threads, each with its id and owner, until so many bytes are free. Tells how many
/// are.
async fn evict(
    transaction: &Transaction<'_>,
    threads: Vec<Row>,
    bytes: i64,
) -> Result<i64, StoreError> {
    let mut freed = 0_i64;
    for mut row in threads {
        if freed >= bytes {
            break;
        }
        let (id, owner) = (row.text(0)?, Owner::new(row.text(1)?));
        freed = freed.saturating_add(delete(transaction, &id, &owner).await?);
    }
    Ok(freed)
}

/// Deletes some threads whose time is over. Whether there may be more of them.
pub(super) async fn sweep(transaction: &Transaction<'_>) -> Result<bool, StoreError> {
    let over = "select id, owner from thread where expires_at <= $1 \
                and not exists (select 1 from job where job.thread = thread.id) limit $2";
    let threads = transaction
        .query(over, &[now().into(), SWEPT_AT_ONCE.into()])
        .await?;
    let is_full = i64::try_from(threads.len()).is_ok_and(|count| count >= SWEPT_AT_ONCE);
    evict(transaction, threads, i64::MAX).await?;
    Ok(is_full)
}

/// Begins a thread that is kept for so long and counts for so many bytes.
pub(super) async fn open(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
    retention: Duration,
    bytes: i64,
) -> Result<(), StoreError> {
    let thread = "insert into thread (id, owner, expires_at, bytes) values ($1, $2, $3, $4)";
    let values: [Value<'_>; 4] = [
        id.into(),
        owner.into(),
        after(retention).into(),
        bytes.into(),
    ];
    transaction.execute(thread, &values).await.map(drop)
}

/// Deletes a thread, unless somebody else does at this moment. Tells how many bytes that frees.
pub(super) async fn delete(
    transaction: &Transaction<'_>,
    thread: &str,
    owner: &Owner,
) -> Result<i64, StoreError> {
    let gone = "delete from thread where id = $1 returning bytes";
    let Some(row) = transaction.first(gone, &[thread.into()]).await? else {
        return Ok(0);
    };
    idempotency::forget_answers(transaction, owner, thread).await?;
    let items = "delete from item where response in (select id from response \
                 where id = $1 or (thread = $1 and parent is not null))";
    transaction.execute(items, &[thread.into()]).await?;
    events::clear(transaction, thread).await?;
    // The first response of a thread has its id.
    let responses = "delete from response where id = $1 or (thread = $1 and parent is not null)";
    transaction.execute(responses, &[thread.into()]).await?;
    conversations::clear(transaction, thread).await?;
    idempotency::clear(transaction, thread).await?;
    completions::clear(transaction, thread).await?;
    let bytes = row.integer(0)?;
    give_back(transaction, owner, bytes).await?;
    Ok(bytes)
}

/// Counts bytes that an owner has taken.
pub(super) async fn take(
    transaction: &Transaction<'_>,
    owner: &Owner,
    bytes: i64,
) -> Result<(), StoreError> {
    space::add(transaction, owner.name(), bytes).await
}

/// Counts bytes that an owner has given back; who has none left is forgotten.
pub(super) async fn give_back(
    transaction: &Transaction<'_>,
    owner: &Owner,
    bytes: i64,
) -> Result<(), StoreError> {
    space::add(transaction, owner.name(), bytes.saturating_neg()).await
}
