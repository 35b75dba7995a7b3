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
    /// Takes a request up, unless it was taken up before. It is held for so long, unless it is held
    /// on; and it is known for as long as `retention` says.
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
                          (id, owner, meaning, holder, held_until, is_done) \
                          values ($1, $2, $3, $4, $5, 0) on conflict (id) do nothing";
            let values: [Value<'_>; 5] = [
                (&keyed.id).into(),
                (&keyed.owner).into(),
                (&keyed.meaning).into(),
                (&keyed.holder).into(),
                after(lease).into(),
            ];
            if transaction.execute(insert, &values).await? == 0 {
                return found(transaction, &keyed).await;
            }
            // As long as it counts for nothing, it makes no room for others.
            let thread = "insert into thread (id, owner, expires_at, bytes) values ($1, $2, $3, 0)";
            let values: [Value<'_>; 3] = [
                (&keyed.id).into(),
                (&keyed.owner).into(),
                after(retention).into(),
            ];
            transaction.execute(thread, &values).await?;
            Ok(Claimed::Yes)
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
    /// same that there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn settle(
        &self,
        keyed: &Keyed,
        answer: Option<KeptAnswer>,
    ) -> Result<bool, StoreError> {
        let (keyed, max_bytes) = (keyed.clone(), self.max_bytes);
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
            let bytes = answer.body.len() + answer.headers.len() + 2 * ROW;
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            if !room::make(transaction, &keyed.owner, bytes, max_bytes, &keyed.id).await? {
                return Ok(false);
            }
            let keep = "update idempotent_request set status = $1, headers = $2, body = $3 \
                        where id = $4";
            let values: [Value<'_>; 4] = [
                answer.status.into(),
                (&answer.headers).into(),
                Value::Bytes(&answer.body),
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

    /// Forgets a request that is held: it may be tried again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release_claim(&self, keyed: &Keyed) -> Result<(), StoreError> {
        let keyed = keyed.clone();
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let held = "select 1 from idempotent_request \
                        where id = $1 and holder = $2 and is_done = 0";
            let values = [(&keyed.id).into(), (&keyed.holder).into()];
            if transaction.first(held, &values).await?.is_some() {
                room::delete(transaction, &keyed.id, &keyed.owner).await?;
            }
            Ok(())
        };
        self.database.write(deadline, write).await
    }
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

/// Deletes what a thread holds of a request.
pub(super) async fn clear(transaction: &Transaction<'_>, thread: &str) -> Result<(), StoreError> {
    let request = "delete from idempotent_request where id = $1";
    transaction
        .execute(request, &[thread.into()])
        .await
        .map(drop)
}
