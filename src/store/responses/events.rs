//! The events of responses that are streamed while they are made in the background: kept in batches as
//! they were sent, so that whoever reads them again reads the same under the same numbers. The event
//! that ends a response is not among them; the response itself is that.

use std::time::Duration;

use super::jobs::resize;
use super::{Owner, Responses, after, now, room};
use crate::store::error::StoreError;
use crate::store::sql::{Row, Transaction};

/// How long events are kept once their response has ended.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// How far behind the last event that is kept the end is put by whoever does not know of all events: a
/// reader may have got some that nobody had time to keep, and must not take the end for one of them.
const UNKEPT: i64 = 10_000;
/// Room is taken for so many bytes at a time, since that costs more than to write them.
const STEP: i64 = 64 * 1024;
/// How many batches are read at once.
const AT_ONCE: i64 = 4;
/// How many logs one transaction deletes at most.
const SWEPT: i64 = 100;

/// Events one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    /// The number of the first of them.
    pub first: i64,
    /// The number behind the last of them.
    pub next: i64,
    /// As they are sent.
    pub events: Vec<u8>,
}

/// What can be read of the events of a response at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The next batches of those that were asked for. None where all have been read.
    pub batches: Vec<EventBatch>,
    /// The number behind the last event that is kept, whether it is among them or not.
    pub next: i64,
    /// The number of the event that ends the response, once it has ended.
    pub end: Option<i64>,
    /// Whether the events were deleted, since the response ended long ago.
    pub is_gone: bool,
}

impl Responses {
    /// Keeps the next events of a response that is made by this gateway; once more the same ones, where
    /// nobody knows whether that was done. Whether the job is still its own.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::Full`] where there is no room for them.
    pub async fn append_events(
        &self,
        gateway: &str,
        response: &str,
        batches: Vec<EventBatch>,
    ) -> Result<bool, StoreError> {
        let (gateway, response, most) = (gateway.to_owned(), response.to_owned(), self.max_bytes);
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let found = match transaction.is_postgres() {
                true => {
                    "select owner, thread from job where response = $1 and lease_by = $2 for update"
                }
                false => "select owner, thread from job where response = $1 and lease_by = $2",
            };
            let values = [(&response).into(), (&gateway).into()];
            let Some(mut job) = transaction.first(found, &values).await? else {
                return Ok(false);
            };
            let (owner, thread) = (Owner::new(job.text(0)?), job.text(1)?);
            let log = "select next_number, bytes from event_log where response = $1";
            let Some(log) = transaction.first(log, &[(&response).into()]).await? else {
                return Ok(false);
            };
            let (next, before) = (log.integer(0)?, log.integer(1)?);
            let new: Vec<&EventBatch> =
                batches.iter().filter(|batch| batch.first >= next).collect();
            let Some(last) = new.last() else {
                return Ok(true);
            };
            let after = new
                .iter()
                .fold(before, |sum, batch| sum.saturating_add(size(batch)));
            let more = in_steps(after).saturating_sub(in_steps(before));
            if more > 0 && !room::make(transaction, &owner, more, most, &thread).await? {
                return Err(StoreError::Full);
            }
            let grow = "update event_log set next_number = $1, bytes = $2 where response = $3";
            let values = [last.next.into(), after.into(), (&response).into()];
            transaction.execute(grow, &values).await?;
            insert(transaction, &response, &new).await?;
            if more > 0 {
                count(transaction, &response, more).await?;
                resize(transaction, &owner, &thread, more).await?;
            }
            Ok(true)
        };
        self.database.write(deadline, write).await
    }

    /// What there is of the events of a response from this number on. None where there is no such
    /// response, or it never had events that are kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn events(
        &self,
        owner: &Owner,
        response: &str,
        from: i64,
    ) -> Result<Option<EventPage>, StoreError> {
        let (owner, response) = (owner.clone(), response.to_owned());
        let deadline = self.database.deadline();
        let read = async move |transaction: &Transaction<'_>| {
            let found = "select response.status, event_log.next_number, event_log.end_number, \
                         event_log.kept_until \
                         from response join event_log on event_log.response = response.id \
                         where response.id = $1 and response.owner = $2 and response.deleted_at is null \
                         and response.expires_at > $3";
            let values = [(&response).into(), (&owner).into(), now().into()];
            let Some(mut log) = transaction.first(found, &values).await? else {
                return Ok(None);
            };
            let is_running = super::is_running(&log.text(0)?);
            let next = log.integer(1)?;
            let end = match log.optional_integer(2)? {
                Some(end) => end,
                None => next.saturating_add(UNKEPT),
            };
            let kept_until = log.optional_integer(3)?;
            let some = "select first_number, next_number, events from event_batch \
                        where response = $1 and next_number > $2 order by next_number limit $3";
            let values = [(&response).into(), from.into(), AT_ONCE.into()];
            let batches = transaction.query(some, &values).await?;
            Ok(Some(EventPage {
                batches: batches.into_iter().map(batch).collect::<Result<_, _>>()?,
                next,
                end: (!is_running).then_some(end),
                is_gone: kept_until.is_some_and(|until| until <= now()),
            }))
        };
        self.database.read(deadline, read).await
    }
}

fn batch(mut row: Row) -> Result<EventBatch, StoreError> {
    Ok(EventBatch {
        first: row.integer(0)?,
        next: row.integer(1)?,
        events: row.bytes(2)?,
    })
}

/// What a batch takes up, with its row.
fn size(batch: &EventBatch) -> i64 {
    let bytes = batch.events.len().saturating_add(super::put::ROW);
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What is counted for so many bytes of events.
fn in_steps(bytes: i64) -> i64 {
    let over = bytes.checked_rem(STEP).filter(|over| *over > 0);
    over.map_or(bytes, |over| bytes.saturating_add(STEP - over))
}

/// What a log that begins with these events counts for.
pub(super) fn room_of(first: &EventBatch) -> i64 {
    in_steps(size(first))
}

/// Begins the log of a response that has just been written.
pub(super) async fn open(
    transaction: &Transaction<'_>,
    response: &str,
    first: &EventBatch,
) -> Result<(), StoreError> {
    let log = "insert into event_log (response, next_number, bytes) values ($1, $2, $3)";
    let values = [response.into(), first.next.into(), size(first).into()];
    transaction.execute(log, &values).await?;
    insert(transaction, response, &[first]).await?;
    count(transaction, response, room_of(first)).await
}

async fn insert(
    transaction: &Transaction<'_>,
    response: &str,
    batches: &[&EventBatch],
) -> Result<(), StoreError> {
    let one = "insert into event_batch (response, first_number, next_number, events) \
               values ($1, $2, $3, $4)";
    let rows = batches.iter().map(|batch| {
        [
            response.into(),
            batch.first.into(),
            batch.next.into(),
            batch.events.as_slice().into(),
        ]
    });
    transaction
        .execute_each(one, &rows.collect::<Vec<_>>())
        .await
}

/// Counts so many bytes more, or less, as the response's own.
async fn count(
    transaction: &Transaction<'_>,
    response: &str,
    bytes: i64,
) -> Result<(), StoreError> {
    let grow = "update response set bytes = bytes + $1 where id = $2";
    let values = [bytes.into(), response.into()];
    transaction.execute(grow, &values).await.map(drop)
}

/// Whether a response has a log.
pub(super) async fn is_there(
    transaction: &Transaction<'_>,
    response: &str,
) -> Result<bool, StoreError> {
    let found = "select 1 from event_log where response = $1";
    let row = transaction.first(found, &[response.into()]).await?;
    Ok(row.is_some())
}

/// Says that no events follow, if there is a log.
pub(super) async fn close(
    transaction: &Transaction<'_>,
    response: &str,
    end: Option<i64>,
) -> Result<(), StoreError> {
    let close = "update event_log set kept_until = $1, end_number = $2 where response = $3";
    let values = [after(KEPT_FOR).into(), end.into(), response.into()];
    transaction.execute(close, &values).await.map(drop)
}

/// Deletes the events of a response, whose room is given back with its own.
pub(super) async fn forget(
    transaction: &Transaction<'_>,
    response: &str,
) -> Result<(), StoreError> {
    for all in [
        "delete from event_batch where response = $1",
        "delete from event_log where response = $1",
    ] {
        transaction.execute(all, &[response.into()]).await?;
    }
    Ok(())
}

/// The same for all responses of a thread.
pub(super) async fn clear(transaction: &Transaction<'_>, thread: &str) -> Result<(), StoreError> {
    for all in [
        "delete from event_batch where response in (select id from response \
         where id = $1 or (thread = $1 and parent is not null))",
        "delete from event_log where response in (select id from response \
         where id = $1 or (thread = $1 and parent is not null))",
    ] {
        transaction.execute(all, &[thread.into()]).await?;
    }
    Ok(())
}

/// Some of the responses whose events are kept no longer, those that are over for longest first. An older
/// program that has ended a response does not know of its events.
pub(super) async fn over(transaction: &Transaction<'_>) -> Result<Vec<String>, StoreError> {
    let over = "select response from event_log where bytes > 0 and (kept_until <= $1 or (kept_until is null \
                and not exists (select 1 from job where job.response = event_log.response))) \
                order by kept_until limit $2";
    let values = [now().into(), SWEPT.into()];
    super::texts(transaction.query(over, &values).await?)
}

/// Whether these are all of them.
pub(super) fn are_all(over: &[String]) -> bool {
    i64::try_from(over.len()).is_ok_and(|count| count < SWEPT)
}

/// Deletes the events of one of them, unless somebody else has it in hand.
pub(super) async fn sweep(transaction: &Transaction<'_>, response: &str) -> Result<(), StoreError> {
    let found = "select owner, thread from response where id = $1";
    let Some(mut row) = transaction.first(found, &[response.into()]).await? else {
        return forget(transaction, response).await;
    };
    let (owner, thread) = (Owner::new(row.text(0)?), row.text(1)?);
    // Both are locked in either order elsewhere, so nobody waits for one of them here.
    if transaction.is_postgres() {
        for (lock, id) in [
            (
                "select id from thread where id = $1 for update skip locked",
                thread.as_str(),
            ),
            (
                "select id from response where id = $1 for update skip locked",
                response,
            ),
        ] {
            if transaction.first(lock, &[id.into()]).await?.is_none() {
                return Ok(());
            }
        }
    }
    let log = "select bytes from event_log where response = $1";
    let Some(log) = transaction.first(log, &[response.into()]).await? else {
        return Ok(());
    };
    let given_back = in_steps(log.integer(0)?).saturating_neg();
    let batches = "delete from event_batch where response = $1";
    transaction.execute(batches, &[response.into()]).await?;
    let empty =
        "update event_log set bytes = 0, kept_until = coalesce(kept_until, $1) where response = $2";
    let values = [now().into(), response.into()];
    transaction.execute(empty, &values).await?;
    count(transaction, response, given_back).await?;
    resize(transaction, &owner, &thread, given_back).await
}
