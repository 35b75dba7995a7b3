//! One response is made in a conversation at a time, on whichever gateway: who begins one holds the
//! conversation until the response is kept or given up. A holder that dies holds it no longer than
//! its lease.

use std::time::Duration;

use crate::store::error::StoreError;
use crate::store::responses::{Owner, Responses, after, now};
use crate::store::sql::Transaction;

/// Whether somebody holds a conversation now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// Whoever has asked does.
    Yes,
    /// Somebody else does, or it has changed since it was read.
    BySomebodyElse,
    NotThere,
}

impl Responses {
    /// Holds a conversation in the state in which it was read, for so long.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn lock_conversation(
        &self,
        owner: &Owner,
        id: &str,
        version: i64,
        holder: &str,
        lease: Duration,
    ) -> Result<Locked, StoreError> {
        let (owner, id, holder) = (owner.clone(), id.to_owned(), holder.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let lock = "update conversation set lock_by = $1, lock_until = $2 \
                        where id = $3 and owner = $4 and version = $5 and lock_until <= $6";
            let values = [
                (&holder).into(),
                after(lease).into(),
                (&id).into(),
                (&owner).into(),
                version.into(),
                now().into(),
            ];
            if transaction.execute(lock, &values).await? > 0 {
                return Ok(Locked::Yes);
            }
            let is_there = "select 1 from conversation where id = $1 and owner = $2";
            let values = [(&id).into(), (&owner).into()];
            let row = transaction.first(is_there, &values).await?;
            Ok(row.map_or(Locked::NotThere, |_| Locked::BySomebodyElse))
        };
        self.database.write(deadline, write).await
    }

    /// Holds a conversation for so long from now on, or no longer, if it is still held by this
    /// holder. Whether it was.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hold_conversation(
        &self,
        owner: &Owner,
        id: &str,
        holder: &str,
        lease: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let (owner, id, holder) = (owner.clone(), id.to_owned(), holder.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let hold = "update conversation set lock_until = $1 \
                        where id = $2 and owner = $3 and lock_by = $4 and lock_until > 0";
            let values = [
                lease.map_or(0, after).into(),
                (&id).into(),
                (&owner).into(),
                (&holder).into(),
            ];
            Ok(transaction.execute(hold, &values).await? > 0)
        };
        self.database.write(deadline, write).await
    }
}

/// Whether anybody holds a conversation.
pub(super) async fn is_locked(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
) -> Result<bool, StoreError> {
    let locked = "select 1 from conversation where id = $1 and owner = $2 and lock_until > $3";
    let values = [id.into(), owner.into(), now().into()];
    Ok(transaction.first(locked, &values).await?.is_some())
}

/// Takes a conversation out of the hands of this holder, to add to it; whether he has held it. It
/// stays that long from now on.
pub(in super::super) async fn is_held(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
    holder: &str,
    retention: Duration,
) -> Result<bool, StoreError> {
    if !super::touch(transaction, owner, id, retention).await? {
        return Ok(false);
    }
    let release = "update conversation set lock_until = 0 \
                   where id = $1 and owner = $2 and lock_by = $3 and lock_until > 0";
    let values = [id.into(), owner.into(), holder.into()];
    Ok(transaction.execute(release, &values).await? > 0)
}
