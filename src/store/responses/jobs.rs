//! Responses that are being made in the background: how their jobs begin and end. Whatever a gateway
//! writes of a job, it writes only while the job is its own.

use std::time::Duration;

use super::events::{self, EventBatch};
use super::leases::holds;
use super::put::{Kept, NewItem, NewResponse, bytes_of, insert_output, keep};
use super::room::Evict;
use super::submissions::{Submission, calls, forget_calls};
use super::{Owner, Responses, after, now, room};
use crate::store::error::StoreError;
use crate::store::sql::{Row, Transaction, Value};

/// A job that begins.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What is needed to go on with it elsewhere.
    pub terms: String,
    /// The body of the request.
    pub body: String,
    /// Whether only its owner's own fal key can go on with it.
    pub needs_key: bool,
    /// How long it may take.
    pub limit: Duration,
    /// How many there may be.
    pub most: i64,
    /// How many of one owner there may be.
    pub most_of_owner: i64,
    /// Whether what others keep may be deleted to make room for it.
    pub may_evict_others: bool,
    /// The first events of its response, where it is streamed.
    pub events: Option<EventBatch>,
}

/// What has become of a job that was to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    Yes,
    /// Its response cannot be kept.
    NotKept(Kept),
    /// There are too many; whether they are all of this owner.
    TooMany {
        of_owner: bool,
    },
}

/// How a response ends.
#[derive(Clone, Debug)]
pub struct End {
    pub status: &'static str,
    pub head: String,
    pub tail: String,
    pub output: Vec<NewItem>,
    pub retention: Duration,
    /// The number of the event that tells of it, where it is streamed and that is known.
    pub last_event: Option<i64>,
}

/// What came of a cancellation.
#[derive(Clone, Debug)]
pub enum Cancelled {
    /// It was being made, and is not any more.
    Now {
        /// What fal was asked for it.
        calls: Vec<Submission>,
        /// The terms of its job where nobody worked on it.
        unheld: Option<String>,
    },
    /// It had ended before.
    Before,
    NoResponse,
}

/// Any number that is ours: PostgreSQL's locks of this kind go by one.
const LOCK: &str = "select pg_advisory_xact_lock(17232091537986)";

impl Responses {
    /// Keeps a response that is going to be made, and the job of making it, which belongs to this
    /// gateway for `lease`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn begin(
        &self,
        owner: &Owner,
        new: NewResponse,
        job: NewJob,
        (gateway, lease): (&str, Duration),
    ) -> Result<Begun, StoreError> {
        let (owner, gateway, max_bytes) = (owner.clone(), gateway.to_owned(), self.max_bytes);
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if transaction.is_postgres() {
                // Or two that count at once would both find room.
                transaction.batch(LOCK).await?;
            }
            if let Some(of_owner) = is_full(transaction, &owner, &job).await? {
                return Ok(Begun::TooMany { of_owner });
            }
            let bytes = job.terms.len().saturating_add(job.body.len());
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            let evict = match job.may_evict_others {
                true => Evict::Anybodys,
                false => Evict::Own,
            };
            let besides = bytes.saturating_add(job.events.as_ref().map_or(0, events::room_of));
            let thread = match keep(transaction, &owner, &new, besides, (max_bytes, evict)).await? {
                Ok(thread) => thread,
                Err(kept) => return Ok(Begun::NotKept(kept)),
            };
            let insert = "insert into job (response, owner, thread, created_at, deadline, lease_by, \
                          lease_until, needs_key, bytes, terms, body) \
                          values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
            let values = [
                (&new.id).into(),
                (&owner).into(),
                (&thread).into(),
                now().into(),
                after(job.limit).into(),
                (&gateway).into(),
                after(lease).into(),
                i64::from(job.needs_key).into(),
                bytes.into(),
                (&job.terms).into(),
                (&job.body).into(),
            ];
            transaction.execute(insert, &values).await?;
            if let Some(first) = &job.events {
                events::open(transaction, &new.id, first).await?;
            }
            Ok(Begun::Yes)
        };
        self.database.write(deadline, write).await
    }

    /// Rewrites a response that is being made: its status, and its JSON around its output. Whether
    /// the job is still this gateway's.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn restate(
        &self,
        gateway: &str,
        response: &str,
        status: &'static str,
        head: String,
    ) -> Result<bool, StoreError> {
        let (gateway, response) = (gateway.to_owned(), response.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if !holds(transaction, &gateway, &response).await? {
                return Ok(false);
            }
            let update = "update response set status = $1, head = $2 where id = $3";
            let values = [status.into(), (&head).into(), (&response).into()];
            transaction.execute(update, &values).await?;
            Ok(true)
        };
        self.database.write(deadline, write).await
    }

    /// Ends a job of this gateway's, and keeps what its response has become. Whether it was still
    /// this gateway's.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::Full`] where there is no room for the output.
    pub async fn finish(
        &self,
        gateway: &str,
        response: &str,
        end: End,
    ) -> Result<bool, StoreError> {
        let (gateway, response, most) = (gateway.to_owned(), response.to_owned(), self.max_bytes);
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let take = "delete from job where response = $1 and lease_by = $2 \
                        returning owner, thread, bytes";
            let values = [(&response).into(), (&gateway).into()];
            let Some(row) = transaction.first(take, &values).await? else {
                return Ok(false);
            };
            close(transaction, row, &response, &end, most).await?;
            Ok(true)
        };
        self.database.write(deadline, write).await
    }

    /// Ends a job that does not count any more, with its response, as if neither had been. Once it
    /// gives no error there is none, and none comes of a [`begin`](Self::begin) that was given up
    /// before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn undo(&self, owner: &Owner, response: &str) -> Result<(), StoreError> {
        let id = response.to_owned();
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if transaction.is_postgres() {
                // The server may be at work still on what began it.
                transaction.batch(LOCK).await?;
            }
            let take = "delete from job where response = $1 returning owner, thread, bytes";
            let Some(mut row) = transaction.first(take, &[(&id).into()]).await? else {
                return Ok(());
            };
            forget_calls(transaction, &id).await?;
            let (owner, thread, bytes) = (Owner::new(row.text(0)?), row.text(1)?, row.integer(2)?);
            resize(transaction, &owner, &thread, bytes.saturating_neg()).await
        };
        self.database.write(deadline, write).await?;
        self.delete(owner, response).await.map(drop)
    }

    /// Ends the job of a response, whoever works on it. `restated` gives the JSON around its output,
    /// of its JSON.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn cancel(
        &self,
        owner: &Owner,
        response: &str,
        retention: Duration,
        restated: fn(&str) -> Option<(String, String)>,
    ) -> Result<Cancelled, StoreError> {
        let (owner, response, most) = (owner.clone(), response.to_owned(), self.max_bytes);
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let found = "select head, tail from response \
                         where id = $1 and owner = $2 and deleted_at is null and expires_at > $3";
            let values = [(&response).into(), (&owner).into(), now().into()];
            let Some(mut kept) = transaction.first(found, &values).await? else {
                return Ok(Cancelled::NoResponse);
            };
            let take = "delete from job where response = $1 and owner = $2 \
                        returning owner, thread, bytes, lease_until, terms";
            let values = [(&response).into(), (&owner).into()];
            let Some(mut row) = transaction.first(take, &values).await? else {
                return Ok(Cancelled::Before);
            };
            let calls = calls(transaction, &response).await?;
            let json = [kept.text(0)?, kept.text(1)?].concat();
            let (head, tail) = restated(&json).unwrap_or((json, String::new()));
            let end = End {
                status: "cancelled",
                head,
                tail,
                output: Vec::new(),
                retention,
                last_event: None,
            };
            let is_held = row.integer(3)? > now();
            let unheld = (!is_held).then(|| row.text(4)).transpose()?;
            close(transaction, row, &response, &end, most).await?;
            Ok(Cancelled::Now { calls, unheld })
        };
        self.database.write(deadline, write).await
    }
}

/// Whether there are as many jobs as there may be; if so, whether they are this owner's.
async fn is_full(
    transaction: &Transaction<'_>,
    owner: &Owner,
    job: &NewJob,
) -> Result<Option<bool>, StoreError> {
    let count = "select cast(count(*) as bigint), \
                 cast(coalesce(sum(case when owner = $1 then 1 else 0 end), 0) as bigint) from job";
    let Some(row) = transaction.first(count, &[owner.into()]).await? else {
        return Ok(None);
    };
    Ok(match (row.integer(0)?, row.integer(1)?) {
        (_, own) if own >= job.most_of_owner => Some(true),
        (all, _) if all >= job.most => Some(false),
        _ => None,
    })
}

/// Ends a response whose job has just been deleted; `job` is its owner, its thread and what it took
/// up.
async fn close(
    transaction: &Transaction<'_>,
    mut job: Row,
    response: &str,
    end: &End,
    most: i64,
) -> Result<(), StoreError> {
    let (owner, thread, given_back) = (Owner::new(job.text(0)?), job.text(1)?, job.integer(2)?);
    forget_calls(transaction, response).await?;
    let output = i64::try_from(bytes_of(&end.output)).unwrap_or(i64::MAX);
    let around = "select cast(octet_length(head) + octet_length(tail) as bigint) from response where id = $1";
    let before = match transaction.first(around, &[response.into()]).await? {
        Some(row) => row.integer(0)?,
        None => return Ok(()),
    };
    let around = end.head.len().saturating_add(end.tail.len());
    let around = i64::try_from(around).unwrap_or(i64::MAX);
    let more = output.saturating_add(around).saturating_sub(before);
    let wanted = more.saturating_sub(given_back);
    if wanted > 0 && !room::make(transaction, &owner, wanted, most, &thread).await? {
        return Err(StoreError::Full);
    }
    insert_output(transaction, &owner, response, &end.output).await?;
    events::close(transaction, response, end.last_event).await?;
    let expires_at = after(end.retention);
    let update = "update response set status = $1, head = $2, tail = $3, bytes = bytes + $4, \
                  chain_bytes = chain_bytes + $5, expires_at = $6 where id = $7";
    let values: [Value<'_>; 7] = [
        end.status.into(),
        (&end.head).into(),
        (&end.tail).into(),
        more.into(),
        output.into(),
        expires_at.into(),
        response.into(),
    ];
    transaction.execute(update, &values).await?;
    let longer = "update thread set expires_at = $1 where id = $2";
    let values = [expires_at.into(), (&thread).into()];
    transaction.execute(longer, &values).await?;
    resize(transaction, &owner, &thread, wanted).await
}

/// Counts so many bytes more, or less, for a thread and its owner.
pub(super) async fn resize(
    transaction: &Transaction<'_>,
    owner: &Owner,
    thread: &str,
    bytes: i64,
) -> Result<(), StoreError> {
    let grow = "update thread set bytes = bytes + $1 where id = $2";
    transaction
        .execute(grow, &[bytes.into(), thread.into()])
        .await?;
    match bytes < 0 {
        true => room::give_back(transaction, owner, bytes.saturating_neg()).await,
        false => room::take(transaction, owner, bytes).await,
    }
}
