//! Conversations that are kept by themselves: made, read, changed, deleted.
//!
//! A conversation is a thread of its own, whose items are copies: what becomes of the responses that
//! were made in it does not change it, and the other way round.

mod items;
mod lock;

pub use items::{Added, MAX_ITEMS};
pub(super) use items::{all, append};
pub use lock::Locked;
pub(super) use lock::is_held;

use std::time::Duration;

use super::put::{ROW, bytes_of};
use super::{NewItem, Owner, Responses, after, now, room};
use crate::store::error::StoreError;
use crate::store::sql::{Row, Transaction, Value};

/// A conversation, without its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    pub id: String,
    /// In milliseconds since 1970.
    pub created_at: i64,
    /// A JSON object.
    pub metadata: String,
}

impl Conversation {
    fn of(id: &str, row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: id.to_owned(),
            created_at: row.integer(0)?,
            metadata: row.text(1)?,
        })
    }
}

/// What items take up.
fn size(items: &[NewItem]) -> i64 {
    i64::try_from(bytes_of(items)).unwrap_or(i64::MAX)
}

impl Responses {
    /// Keeps a new conversation with these items, for so long after its last change. `None` where
    /// there is no room for it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn create_conversation(
        &self,
        owner: &Owner,
        id: String,
        metadata: String,
        items: Vec<NewItem>,
        retention: Duration,
    ) -> Result<Option<Conversation>, StoreError> {
        let (owner, max_bytes) = (owner.clone(), self.max_bytes);
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let own = i64::try_from(metadata.len() + 3 * ROW).unwrap_or(i64::MAX);
            let bytes = own.saturating_add(size(&items));
            if !room::make(transaction, &owner, bytes, max_bytes, &id).await? {
                return Ok(None);
            }
            room::open(transaction, &owner, &id, retention, own).await?;
            let conversation = "insert into conversation (id, owner, created_at, metadata, \
                                next_position, items, item_bytes, version, lock_by, lock_until) \
                                values ($1, $2, $3, $4, 0, 0, 0, 0, null, 0)";
            let created_at = now();
            let values: [Value<'_>; 4] = [
                (&id).into(),
                (&owner).into(),
                created_at.into(),
                (&metadata).into(),
            ];
            transaction.execute(conversation, &values).await?;
            append(transaction, &owner, &id, &items).await?;
            room::take(transaction, &owner, bytes).await?;
            Ok(Some(Conversation {
                id,
                created_at,
                metadata,
            }))
        };
        self.database.write(deadline, write).await
    }

    /// A conversation.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn conversation(
        &self,
        owner: &Owner,
        id: &str,
    ) -> Result<Option<Conversation>, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let read = async move |transaction: &Transaction<'_>| find(transaction, &owner, &id).await;
        self.database.read(deadline, read).await
    }

    /// Gives a conversation other metadata, which is a JSON object.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn update_conversation(
        &self,
        owner: &Owner,
        id: &str,
        metadata: String,
        retention: Duration,
    ) -> Result<Option<Conversation>, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if !touch(transaction, &owner, &id, retention).await? {
                return Ok(None);
            }
            let update = "update conversation set metadata = $1 where id = $2 and owner = $3";
            let values = [(&metadata).into(), (&id).into(), (&owner).into()];
            transaction.execute(update, &values).await?;
            find(transaction, &owner, &id).await
        };
        self.database.write(deadline, write).await
    }

    /// Deletes a conversation and its items. Whether there was one. Responses that were made in it
    /// stay.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delete_conversation(&self, owner: &Owner, id: &str) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if find(transaction, &owner, &id).await?.is_none() {
                return Ok(false);
            }
            Ok(room::delete(transaction, &id, &owner).await? > 0)
        };
        self.database.write(deadline, write).await
    }
}

async fn find(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
) -> Result<Option<Conversation>, StoreError> {
    let found = "select conversation.created_at, conversation.metadata from conversation \
                 join thread on thread.id = conversation.id \
                 where conversation.id = $1 and conversation.owner = $2 and thread.expires_at > $3";
    let values = [id.into(), owner.into(), now().into()];
    let row = transaction.first(found, &values).await?;
    row.map(|mut row| Conversation::of(id, &mut row))
        .transpose()
}

/// Keeps a conversation longer, and whoever else would change it out until the transaction ends.
/// Whether it is there.
async fn touch(
    transaction: &Transaction<'_>,
    owner: &Owner,
    id: &str,
    retention: Duration,
) -> Result<bool, StoreError> {
    let longer = "update thread set expires_at = case when expires_at < $1 then $1 else expires_at end \
                  where id = $2 and owner = $3 and expires_at > $4 \
                  and id in (select id from conversation where owner = $3)";
    let values = [
        after(retention).into(),
        id.into(),
        owner.into(),
        now().into(),
    ];
    Ok(transaction.execute(longer, &values).await? > 0)
}

/// Deletes what a thread holds of a conversation.
pub(super) async fn clear(transaction: &Transaction<'_>, thread: &str) -> Result<(), StoreError> {
    let items = "delete from conversation_item where conversation = $1";
    transaction.execute(items, &[thread.into()]).await?;
    let conversation = "delete from conversation where id = $1";
    transaction
        .execute(conversation, &[thread.into()])
        .await
        .map(drop)
}
