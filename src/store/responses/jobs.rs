//! Responses that are being made in the background: the jobs, who works on them, and what they have
//! asked of fal's queue.
//!
//! A gateway holds a lease of each job that it works on, and renews it; a job whose lease has run out
//! may be taken by any gateway. Whatever a gateway writes of a job, it writes only while the job is
//! its own. What is asked of fal is written before it is asked, so that nothing is asked twice.

use std::time::Duration;

use super::put::{Kept, NewItem, NewResponse, bytes_of, insert_output, keep};
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

/// A job as it is kept.
#[derive(Clone, Debug)]
pub struct Job {
    pub response: String,
    pub owner: Owner,
    /// Both in milliseconds since 1970.
    pub created_at: i64,
    pub deadline: i64,
    pub terms: String,
    pub body: String,
    /// What it has asked of fal so far, in that order.
    pub submissions: Vec<Submission>,
}

/// A call to fal's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    pub position: i64,
    pub choice: i64,
    pub app: String,
    pub path: String,
    pub model: String,
    /// fal's id of it. Without one, nobody knows whether fal has it.
    pub request_id: Option<String>,
    /// It was never sent, or fal has refused it.
    pub is_refused: bool,
}

/// What became of a call that was written before it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// fal has it, under this id.
    As(String),
    /// fal does not have it.
    Refused,
}

/// How a response ends.
#[derive(Clone, Debug)]
pub struct End {
    pub status: &'static str,
    pub head: String,
    pub tail: String,
    pub output: Vec<NewItem>,
    pub retention: Duration,
}

/// What came of a cancellation.
#[derive(Clone, Debug)]
pub enum Cancelled {
    /// It was being made, and is not any more.
    Now {
        /// What fal was asked for it.
        calls: Vec<Submission>,
        /// The terms of its job where that was left to whoever would take it.
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
            let thread = match keep(transaction, &owner, &new, bytes, max_bytes).await? {
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
            Ok(Begun::Yes)
        };
        self.database.write(deadline, write).await
    }

    /// Writes down that a call is going to be made. Whether the job is still this gateway's; else the
    /// call must not be made.
    ///
    /// # Errors
    /// See [`StoreError`]. The call must not be made then, either.
    pub async fn intend(
        &self,
        gateway: &str,
        response: &str,
        call: Submission,
    ) -> Result<bool, StoreError> {
        let (gateway, response) = (gateway.to_owned(), response.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if !holds(transaction, &gateway, &response).await? {
                return Ok(false);
            }
            let insert = "insert into submission (response, position, choice, app, path, model, refused) \
                          values ($1, $2, $3, $4, $5, $6, 0)";
            let values = [
                (&response).into(),
                call.position.into(),
                call.choice.into(),
                (&call.app).into(),
                (&call.path).into(),
                (&call.model).into(),
            ];
            transaction.execute(insert, &values).await?;
            Ok(true)
        };
        self.database.write(deadline, write).await
    }

    /// Writes down what became of a call. Whether the job is still this gateway's.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sent(
        &self,
        gateway: &str,
        response: &str,
        position: i64,
        sent: Sent,
    ) -> Result<bool, StoreError> {
        let (gateway, response) = (gateway.to_owned(), response.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if !holds(transaction, &gateway, &response).await? {
                return Ok(false);
            }
            let (id, refused) = match &sent {
                Sent::As(id) => (Some(id.as_str()), 0_i64),
                Sent::Refused => (None, 1),
            };
            let update = "update submission set request_id = $1, refused = $2 \
                          where response = $3 and position = $4";
            let values = [
                id.into(),
                refused.into(),
                (&response).into(),
                position.into(),
            ];
            transaction.execute(update, &values).await?;
            Ok(true)
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

    /// Ends a job that does not count any more, with its response, as if neither had been.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn undo(&self, owner: &Owner, response: &str) -> Result<(), StoreError> {
        let id = response.to_owned();
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
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
                        returning owner, thread, bytes, lease_by, terms";
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
            };
            let is_held = !row.text(3)?.is_empty();
            let unheld = (!is_held).then(|| row.text(4)).transpose()?;
            close(transaction, row, &response, &end, most).await?;
            Ok(Cancelled::Now { calls, unheld })
        };
        self.database.write(deadline, write).await
    }

    /// Renews this gateway's leases. Gives the responses that are still its own.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn renew(&self, gateway: &str, lease: Duration) -> Result<Vec<String>, StoreError> {
        let gateway = gateway.to_owned();
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let update = "update job set lease_until = $1 where lease_by = $2 returning response";
            let values = [after(lease).into(), (&gateway).into()];
            super::texts(transaction.query(update, &values).await?)
        };
        self.database.write(deadline, write).await
    }

    /// Gives jobs of this gateway's to whoever takes them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release(&self, gateway: &str) -> Result<(), StoreError> {
        let gateway = gateway.to_owned();
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let update = "update job set lease_until = 0, lease_by = '' where lease_by = $1";
            transaction
                .execute(update, &[(&gateway).into()])
                .await
                .map(drop)
        };
        self.database.write(deadline, write).await
    }

    /// Gives one of them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release_one(&self, gateway: &str, response: &str) -> Result<(), StoreError> {
        let (gateway, response) = (gateway.to_owned(), response.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let update = "update job set lease_until = 0, lease_by = '' \
                          where lease_by = $1 and response = $2";
            let values = [(&gateway).into(), (&response).into()];
            transaction.execute(update, &values).await.map(drop)
        };
        self.database.write(deadline, write).await
    }

    /// Takes some jobs that nobody works on: those that go on without their owner's key, and those
    /// whose time is over.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn take_over(
        &self,
        gateway: &str,
        lease: Duration,
        at_once: i64,
    ) -> Result<Vec<Job>, StoreError> {
        let gateway = gateway.to_owned();
        let read = async move |transaction: &Transaction<'_>| {
            let found = "select response from job where lease_until <= $1 \
                         and (needs_key = 0 or deadline <= $1) order by lease_until limit $2";
            super::texts(
                transaction
                    .query(found, &[now().into(), at_once.into()])
                    .await?,
            )
        };
        // Most often there is none, and looking for it keeps nobody from writing.
        let found = self.database.read(self.database.deadline(), read).await?;
        let mut taken = Vec::new();
        for response in found {
            taken.extend(self.take_one(&gateway, lease, &response).await?);
        }
        Ok(taken)
    }

    /// Takes the job of a response, if nobody works on it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn take_one(
        &self,
        gateway: &str,
        lease: Duration,
        response: &str,
    ) -> Result<Option<Job>, StoreError> {
        let (gateway, response) = (gateway.to_owned(), response.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let take = "update job set lease_by = $1, lease_until = $2 \
                        where response = $3 and lease_until <= $4 \
                        returning owner, created_at, deadline, terms, body";
            let values = [
                (&gateway).into(),
                after(lease).into(),
                (&response).into(),
                now().into(),
            ];
            let Some(mut row) = transaction.first(take, &values).await? else {
                return Ok(None);
            };
            Ok(Some(Job {
                submissions: calls(transaction, &response).await?,
                owner: Owner::new(row.text(0)?),
                created_at: row.integer(1)?,
                deadline: row.integer(2)?,
                terms: row.text(3)?,
                body: row.text(4)?,
                response,
            }))
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

/// Whether a job is this gateway's; it stays so until the transaction ends.
async fn holds(
    transaction: &Transaction<'_>,
    gateway: &str,
    response: &str,
) -> Result<bool, StoreError> {
    let found = match transaction.is_postgres() {
        true => "select 1 from job where response = $1 and lease_by = $2 for update",
        false => "select 1 from job where response = $1 and lease_by = $2",
    };
    let values = [response.into(), gateway.into()];
    let row = transaction.first(found, &values).await?;
    Ok(row.is_some())
}

async fn calls(
    transaction: &Transaction<'_>,
    response: &str,
) -> Result<Vec<Submission>, StoreError> {
    let all = "select position, choice, app, path, model, request_id, refused from submission \
               where response = $1 order by position";
    let rows = transaction.query(all, &[response.into()]).await?;
    let calls = rows.into_iter().map(|mut row| {
        Ok(Submission {
            position: row.integer(0)?,
            choice: row.integer(1)?,
            app: row.text(2)?,
            path: row.text(3)?,
            model: row.text(4)?,
            request_id: row.optional_text(5)?,
            is_refused: row.integer(6)? != 0,
        })
    });
    calls.collect()
}

async fn forget_calls(transaction: &Transaction<'_>, response: &str) -> Result<(), StoreError> {
    let all = "delete from submission where response = $1";
    transaction.execute(all, &[response.into()]).await.map(drop)
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
async fn resize(
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
