//! Requests that their callers have given a key: each is worked on once, and its answer is kept, so
//! that whoever repeats it pays once.

use std::time::Duration;

use super::put::ROW;
use super::{Owner, Responses, after, now, room};
use crate::store::error::StoreError;
use crate::store::sql::{Transaction, Value};

/// A request, as it is told from others.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// What stands for its owner and key; nobody else's is the same.
    pub id: String,
    pub owner: Owner,
    /// What it means.
    pub meaning: String,
    /// Who works on it.
    pub holder: String,
}

/// An answer, as HTTP has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    pub status: i64,
    /// As JSON.
    pub headers: String,
    pub body: Vec<u8>,
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing so far: whoever has asked works on it from now on.
    Yes,
    /// Somebody works on it.
    Running,
    /// The key was used for another request.
    Mismatch,
    Answered(KeptAnswer),
    /// Somebody has worked on it, and what came of it is not known.
    Lost,
}

impl Responses {
    /// Takes a request up, unless it was taken up before by somebody who holds it still, or who has
    /// [begun](Self::begin_claimed) to work on it. It is held for so long, unless it is held on; and it
    /// is known for as long as `retention` says.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn claim(
        &self,
        keyed: Keyed,
        lease: Duration,
        retention: Duration,
    ) -> Result<Claimed, StoreError> {
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            forget_old(transaction, &keyed.id, &keyed.owner).await?;
            let insert = "insert into idempotent_request \
                          (id, owner, meaning, holder, held_until, is_done, is_begun) \
                          values ($1, $2, $3, $4, $5, 0, 0) on conflict (id) do nothing";
            let values: [Value<'_>; 5] = [
                (&keyed.id).into(),
                (&keyed.owner).into(),
                (&keyed.meaning).into(),
                (&keyed.holder).into(),
                after(lease).into(),
            ];
            if transaction.execute(insert, &values).await? == 0 {
                return match take_up(transaction, &keyed, (lease, retention)).await? {
                    true => Ok(Claimed::Yes),
                    false => found(transaction, &keyed).await,
                };
            }
            // As long as it counts for nothing, it makes no room for others.
            room::open(transaction, &keyed.owner, &keyed.id, retention, 0).await?;
            Ok(Claimed::Yes)
        };
        self.database.write(deadline, write).await
    }

    /// Writes down that work on a request that is held begins which may be paid for, and holds it on:
    /// from now on nobody else takes it up. Whether it is held still; if not, somebody else works on it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn begin_claimed(&self, keyed: Keyed, lease: Duration) -> Result<bool, StoreError> {
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let begin = "update idempotent_request set is_begun = 1, held_until = $1 \
                         where id = $2 and holder = $3 and is_done = 0";
            let values = [
                after(lease).into(),
                (&keyed.id).into(),
                (&keyed.holder).into(),
            ];
            Ok(transaction.execute(begin, &values).await? > 0)
        };
        self.database.write(deadline, write).await
    }

    /// Holds a request on.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hold_claim(&self, keyed: &Keyed, lease: Duration) -> Result<bool, StoreError> {
        let keyed = keyed.clone();
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let hold = "update idempotent_request set held_until = $1 \
                        where id = $2 and holder = $3 and is_done = 0";
            let values = [
                after(lease).into(),
                (&keyed.id).into(),
                (&keyed.holder).into(),
            ];
            Ok(transaction.execute(hold, &values).await? > 0)
        };
        self.database.write(deadline, write).await
    }

    /// Keeps the answer to a request that is held. Whether it is kept: if not, it is known all the
    /// same that there was one. `kept_as` is the id of the response or completion that the answer
    /// is kept as, too, and goes with; where that has gone already, the answer is not kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn settle(
        &self,
        keyed: &Keyed,
        answer: Option<KeptAnswer>,
        kept_as: Option<&str>,
    ) -> Result<bool, StoreError> {
        let (keyed, max_bytes) = (keyed.clone(), self.max_bytes);
        let kept_as = kept_as.map(str::to_owned);
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let done = "update idempotent_request set is_done = 1, held_until = 0 \
                        where id = $1 and holder = $2 and is_done = 0";
            let values = [(&keyed.id).into(), (&keyed.holder).into()];
            if transaction.execute(done, &values).await? == 0 {
                return Ok(false);
            }
            let Some(answer) = answer else {
                return Ok(false);
            };
            if let Some(id) = &kept_as
                && !is_kept(transaction, &keyed.owner, id).await?
            {
                return Ok(false);
            }
            let bytes = answer.body.len() + answer.headers.len() + 2 * ROW;
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            if !room::make(transaction, &keyed.owner, bytes, max_bytes, &keyed.id).await? {
                return Ok(false);
            }
            let keep = "update idempotent_request set status = $1, headers = $2, body = $3, \
                        kept_as = $4 where id = $5";
            let values: [Value<'_>; 5] = [
                answer.status.into(),
                (&answer.headers).into(),
                Value::Bytes(&answer.body),
                kept_as.as_deref().into(),
                (&keyed.id).into(),
            ];
            transaction.execute(keep, &values).await?;
            let thread = "update thread set bytes = $1 where id = $2";
            transaction
                .execute(thread, &[bytes.into(), (&keyed.id).into()])
                .await?;
            room::take(transaction, &keyed.owner, bytes).await?;
            Ok(true)
        };
        self.database.write(deadline, write).await
    }

    /// Forgets a request that is held: it may be tried again. Whether it was held.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release_claim(&self, keyed: &Keyed) -> Result<bool, StoreError> {
        let keyed = keyed.clone();
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let held = "select 1 from idempotent_request \
                        where id = $1 and holder = $2 and is_done = 0";
            let values = [(&keyed.id).into(), (&keyed.holder).into()];
            let is_held = transaction.first(held, &values).await?.is_some();
            if is_held {
                room::delete(transaction, &keyed.id, &keyed.owner).await?;
            }
            Ok(is_held)
        };
        self.database.write(deadline, write).await
    }
}

/// Whether a response or a completion is there; if so, nobody deletes it before the transaction ends.
async fn is_kept(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
) -> Result<bool, StoreError> {
    let response = "update response set deleted_at = null \
                    where id = $1 and owner = $2 and deleted_at is null";
    // Its thread, which has its id, is what a deletion begins with.
    let completion = "update thread set bytes = bytes where id = $1 and owner = $2 \
                      and exists (select 1 from chat_completion where id = $1)";
    let values = [id.into(), owner.into()];
    Ok(transaction.execute(response, &values).await? > 0
        || transaction.execute(completion, &values).await? > 0)
}

/// Deletes the answer to the request that was kept as this response or completion as well. It stays
/// known that there was one.
pub(super) async fn forget_answer(
    transaction: &Transaction<'_>,
    owner: &Owner,
    kept_as: &str,
) -> Result<(), StoreError> {
    let kept = "select id from idempotent_request \
                where kept_as = $1 and owner = $2 and status is not null";
    for mut row in transaction
        .query(kept, &[kept_as.into(), owner.into()])
        .await?
    {
        let request = row.text(0)?;
        // Its thread first, with which its own deletion begins.
        let clear = "update thread set bytes = 0 where id = $1";
        let taken = match transaction.is_postgres() {
            true => "select bytes from thread where id = $1 for update",
            false => "select bytes from thread where id = $1",
        };
        let Some(row) = transaction.first(taken, &[(&request).into()]).await? else {
            continue;
        };
        transaction.execute(clear, &[(&request).into()]).await?;
        let forget = "update idempotent_request set status = null, headers = null, body = null \
                      where id = $1";
        transaction.execute(forget, &[(&request).into()]).await?;
        transaction.erases();
        room::give_back(transaction, owner, row.integer(0)?).await?;
    }
    Ok(())
}

/// Makes way for a new request where the time of an old one with this key is over.
async fn forget_old(
    transaction: &Transaction<'_>,
    id: &str,
    owner: &Owner,
) -> Result<(), StoreError> {
    let old = "select 1 from thread where id = $1 and expires_at <= $2";
    let values = [id.into(), now().into()];
    if transaction.first(old, &values).await?.is_some() {
        room::delete(transaction, id, owner).await?;
    }
    Ok(())
}

/// Takes over a request whose holder is gone before anything was begun that may be paid for; its key is
/// known for as long as one that comes new. Whether that is so.
async fn take_up(
    transaction: &Transaction<'_>,
    keyed: &Keyed,
    (lease, retention): (Duration, Duration),
) -> Result<bool, StoreError> {
    // Its thread first, with which a deletion begins.
    let renew = "update thread set expires_at = $1 where id = $2 and exists \
                 (select 1 from idempotent_request \
                  where id = $2 and is_done = 0 and is_begun = 0 and held_until <= $3)";
    let values = [after(retention).into(), (&keyed.id).into(), now().into()];
    if transaction.execute(renew, &values).await? == 0 {
        return Ok(false);
    }
    let take = "update idempotent_request set holder = $1, held_until = $2 \
                where id = $3 and owner = $4 and meaning = $5 \
                and is_done = 0 and is_begun = 0 and held_until <= $6";
    let values: [Value<'_>; 6] = [
        (&keyed.holder).into(),
        after(lease).into(),
        (&keyed.id).into(),
        (&keyed.owner).into(),
        (&keyed.meaning).into(),
        now().into(),
    ];
    Ok(transaction.execute(take, &values).await? > 0)
}

async fn found(transaction: &Transaction<'_>, keyed: &Keyed) -> Result<Claimed, StoreError> {
    let known = "select meaning, is_done, held_until, status, headers, body \
                 from idempotent_request where id = $1 and owner = $2";
    let values = [(&keyed.id).into(), (&keyed.owner).into()];
    let Some(mut row) = transaction.first(known, &values).await? else {
        return Ok(Claimed::Running);
    };
    if row.text(0)? != keyed.meaning {
        return Ok(Claimed::Mismatch);
    }
    if let Some(status) = row.optional_integer(3)? {
        return Ok(Claimed::Answered(KeptAnswer {
            status,
            headers: row.text(4)?,
            body: row.bytes(5)?,
        }));
    }
    match row.integer(1)? == 0 && row.integer(2)? > now() {
        true => Ok(Claimed::Running),
        false => Ok(Claimed::Lost),
    }
}

/// The same for all that a thread holds.
pub(super) async fn forget_answers(
    transaction: &Transaction<'_>,
    owner: &Owner,
    thread: &str,
) -> Result<(), StoreError> {
    // By the index each, which PostgreSQL does not take for both at once.
    let itself = "select kept_as from idempotent_request where kept_as = $1";
    let responses = "select kept_as from response \
                     join idempotent_request on kept_as = response.id \
                     where response.thread = $1 and response.parent is not null";
    for kept in [itself, responses] {
        for mut row in transaction.query(kept, &[thread.into()]).await? {
            forget_answer(transaction, owner, &row.text(0)?).await?;
        }
    }
    Ok(())
}

/// Deletes what a thread holds of a request.
pub(super) async fn clear(transaction: &Transaction<'_>, thread: &str) -> Result<(), StoreError> {
    let request = "delete from idempotent_request where id = $1";
    transaction
        .execute(request, &[thread.into()])
        .await
        .map(drop)
}
